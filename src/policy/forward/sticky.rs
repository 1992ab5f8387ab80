//! The part of a request that consistent hashing goes by.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName};

use crate::config::HashKey;
use crate::policy::cookies;
use crate::policy::query::parameter;
use crate::policy::route::Head;

/// The bytes that the key names; `None` if the request has none of it, or an empty one, which says as little.
/// `client` is the answer of [`client_address`](super::client_address).
pub fn sticky_value<'a>(key: &HashKey, head: &Head<'a>, client: IpAddr) -> Option<Cow<'a, [u8]>> {
    let value = match key {
        HashKey::Cookie(name) => cookies::values(head.headers, name).next().map(Cow::Borrowed),
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

fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
