//! Headers that mean one connection and not the message (RFC 9110 section 7.6.1), taken off in both directions.
//!
//! Proxy-Authorization and Proxy-Authenticate go too: they are between a client and a proxy (RFC 9110 section 11.7),
//! and to its clients a reverse proxy is the origin, so neither is meant for the other side. Trailer stays: trailers are
//! passed on.

use http::header::{self, HeaderMap, HeaderName};

use super::present::Present;

/// The bit of each in [`Present`] is its place here.
static HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    header::TE,
    header::UPGRADE,
    header::TRANSFER_ENCODING,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("proxy-authentication-info"),
];

/// Removes every hop-by-hop header, and those that Connection names.
pub(super) fn strip(headers: &mut HeaderMap, present: Present) {
    // The body is about to be framed anew; its old length must not outlive its old coding (RFC 9112 section 6.3).
    if present.has(Present::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    if present.has(Present::CONNECTION) {
        for name in nominated(headers) {
            headers.remove(name);
        }
    }
    for (_, name) in HOP_BY_HOP.iter().enumerate().filter(|(place, _)| present.has(1 << place)) {
        headers.remove(name);
    }
}

/// Whether TE lists `trailers`, the one thing in it that an intermediary may vouch for itself.
pub(super) fn wants_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &header::TE).any(|token| token.eq_ignore_ascii_case(b"trailers"))
}

/// The headers that Connection names, save those that it may not. Empty, and not allocated, for `keep-alive`.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, &header::CONNECTION)
        .filter(|token| !is_option(token))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !is_protected(name.as_str()))
        .collect()
}

/// Connection options that name no header, or one that is removed in any case.
fn is_option(token: &[u8]) -> bool {
    [&b"keep-alive"[..], b"close", b"upgrade", b"te"].iter().any(|option| token.eq_ignore_ascii_case(option))
}

/// Headers that an endpoint decides by: a client that could have them dropped could lift a check, or change the framing.
pub(super) fn is_protected(name: &str) -> bool {
    let protected =
        ["host", "content-length", "cookie", "authorization", "forwarded", "x-real-ip", "x-request-id"];
    protected.contains(&name) || name.starts_with("x-forwarded-")
}

/// What a header lists, over all of its lines.
pub fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines = headers.get_all(name).into_iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::super::present::bit;
    use super::*;

    #[test]
    fn the_bit_of_every_hop_by_hop_header_is_its_place() {
        for (place, name) in HOP_BY_HOP.iter().enumerate() {
            assert_eq!(bit(name.as_str()), 1 << place, "{name}");
        }
    }
}
