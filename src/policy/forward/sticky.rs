//! The part of a request that consistent hashing goes by.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName};

use crate::config::HashKey;
use crate::policy::query::parameter;
use crate::policy::route::Head;

/// The bytes that the key names; `None` if the request has none of it, or an empty one, which says as little.
/// `client` is the answer of [`client_address`](super::client_address).
pub fn sticky_value<'a>(key: &HashKey, head: &Head<'a>, client: IpAddr) -> Option<Cow<'a, [u8]>> {
    let value = match key {
        HashKey::Cookie(name) => cookie(head.headers, name).map(Cow::Borrowed),
        HashKey::Header(name) => header_value(head.headers, name).map(Cow::Borrowed),
        HashKey::Query(name) => head.query.and_then(|query| parameter(query, name)),
        HashKey::ClientIp => Some(Cow::Owned(address_bytes(client))),
        HashKey::Path => Some(Cow::Borrowed(head.path.as_bytes())),
    };
    value.filter(|value| !value.is_empty())
}

/// The value of the first header of this name.
pub fn header_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    headers.get(name).map(|value| value.as_bytes())
}

/// The value of the first cookie of this name, quotes and all, over every Cookie line: HTTP/2 sends one for each
/// cookie (RFC 6265 section 4.2.1, RFC 9113 section 8.2.3). Names are compared byte for byte.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let mut pairs =
        lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
