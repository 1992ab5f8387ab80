//! X-Forwarded-For, -Proto, -Host and -Port, X-Real-IP and Forwarded (RFC 7239): who asked, for what, and how.
//!
//! What a peer that is not trusted says in them is overwritten, and what could pass for one of them goes. A trusted peer's word stays, and the peer is added to
//! it. X-Forwarded-Port, X-Real-IP and Forwarded are written only where one came in: so a forged one cannot pass, and
//! a common request does not pay for what X-Forwarded-For, -Proto and -Host say already.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::present::Present;
use super::{ForwardContext, look_alike};

pub(super) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

pub(super) fn declare(headers: &mut HeaderMap, present: Present, ctx: &ForwardContext<'_>) {
    if ctx.peer_trusted { extend(headers, present, ctx) } else { overwrite(headers, present, ctx) }
}

fn overwrite(headers: &mut HeaderMap, present: Present, ctx: &ForwardContext<'_>) {
    if present.has(Present::LOOK_ALIKE) {
        look_alike::strip(headers);
    }
    if present.has(Present::X_FORWARDED_PORT) {
        headers.insert(&X_FORWARDED_PORT, port_value(ctx));
    }
    if present.has(Present::X_REAL_IP) {
        headers.insert(&X_REAL_IP, address_value(ctx.client));
    }
    if present.has(Present::FORWARDED) {
        headers.insert(header::FORWARDED, visible(forwarded_element(ctx)));
    }
    headers.insert(&X_FORWARDED_FOR, address_value(ctx.client));
    headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(ctx.scheme));
    match ctx.host {
        Some(host) => headers.insert(&X_FORWARDED_HOST, host.clone()),
        None => headers.remove(&X_FORWARDED_HOST),
    };
}

fn extend(headers: &mut HeaderMap, present: Present, ctx: &ForwardContext<'_>) {
    append(headers, &X_FORWARDED_FOR, ctx.client.to_canonical().to_string().as_bytes());
    headers.entry(&X_FORWARDED_PROTO).or_insert_with(|| HeaderValue::from_static(ctx.scheme));
    if let Some(host) = ctx.host {
        headers.entry(&X_FORWARDED_HOST).or_insert_with(|| host.clone());
    }
    if present.has(Present::FORWARDED) {
        append(headers, &header::FORWARDED, &forwarded_element(ctx));
    }
}

/// Adds an item to the list that the lines of this name make up, and makes one line of them: many endpoints read
/// only the first.
fn append(headers: &mut HeaderMap, name: &HeaderName, item: &[u8]) {
    let mut list = Vec::with_capacity(128);
    for line in headers.get_all(name) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(item);
    headers.insert(name, visible(list));
}

fn address_value(address: IpAddr) -> HeaderValue {
    match address.to_canonical() {
        IpAddr::V4(address) => visible(dotted(address)),
        IpAddr::V6(address) => visible(address.to_string().into_bytes()),
    }
}

/// An IPv4 address as text; every request has one written, and `Display` takes several times as long.
fn dotted(address: Ipv4Addr) -> Vec<u8> {
    let mut text = Vec::with_capacity("255.255.255.255.".len());
    for octet in address.octets() {
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.extend([b'0' + octet % 10, b'.']);
    }
    text.pop();
    text
}

/// The port that the client asked for: the one in Host, else the scheme's.
fn port_value(ctx: &ForwardContext<'_>) -> HeaderValue {
    let default = if ctx.scheme == "https" { "443" } else { "80" };
    let port = ctx.host.and_then(|host| host.to_str().ok()?.rsplit_once(':')).map(|(_, port)| port);
    let number = port.and_then(|port| port.parse::<u16>().ok());
    number.map_or(HeaderValue::from_static(default), HeaderValue::from)
}

/// `for=192.0.2.1;proto=http;host="shop.example:8080"` (RFC 7239 section 4).
fn forwarded_element(ctx: &ForwardContext<'_>) -> Vec<u8> {
    let mut element = match ctx.client.to_canonical() {
        IpAddr::V4(address) => format!("for={address}"),
        IpAddr::V6(address) => format!("for=\"[{address}]\""),
    };
    element.extend([";proto=", ctx.scheme]);
    if let Some(host) = ctx.host.and_then(|host| host.to_str().ok()).filter(|host| is_quotable(host)) {
        element.extend([";host=\"", host, "\""]);
    }
    element.into_bytes()
}

fn is_quotable(host: &str) -> bool {
    !host.contains(['"', '\\'])
}

/// A value made of visible characters and of values that have been headers already.
fn visible(bytes: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(bytes)).expect("made of addresses and of header values")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_written_as_the_standard_library_writes_it() {
        for octet in 0..=255 {
            let address = Ipv4Addr::new(octet, 0, 255, 255 - octet);
            assert_eq!(dotted(address), address.to_string().as_bytes());
        }
    }
}
