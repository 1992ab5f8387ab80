//! X-Forwarded-For, -Proto, -Host and -Port, X-Real-IP and Forwarded (RFC 7239): who asked, for what, and how.
//!
//! What a peer that is not trusted says in them is overwritten. A trusted peer's word stays, and the peer is added to
//! it. Forwarded is written only where one came in, so that a forged one cannot pass and a common request does
//! not pay for it; X-Forwarded-* says the same.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::ForwardContext;

pub(super) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

pub(super) fn declare(headers: &mut HeaderMap, ctx: &ForwardContext<'_>) {
    if ctx.peer_trusted { extend(headers, ctx) } else { overwrite(headers, ctx) }
}

fn overwrite(headers: &mut HeaderMap, ctx: &ForwardContext<'_>) {
    let peer = address_value(ctx.peer);
    headers.insert(&X_FORWARDED_FOR, peer.clone());
    headers.insert(&X_REAL_IP, peer);
    headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(ctx.scheme));
    headers.insert(&X_FORWARDED_PORT, port_value(ctx));
    match ctx.host {
        Some(host) => headers.insert(&X_FORWARDED_HOST, host.clone()),
        None => headers.remove(&X_FORWARDED_HOST),
    };
    if headers.contains_key(header::FORWARDED) {
        headers.insert(header::FORWARDED, visible(forwarded_element(ctx)));
    }
}

fn extend(headers: &mut HeaderMap, ctx: &ForwardContext<'_>) {
    append(headers, &X_FORWARDED_FOR, ctx.peer.to_canonical().to_string().as_bytes());
    headers.entry(&X_REAL_IP).or_insert_with(|| address_value(ctx.client));
    headers.entry(&X_FORWARDED_PROTO).or_insert_with(|| HeaderValue::from_static(ctx.scheme));
    headers.entry(&X_FORWARDED_PORT).or_insert_with(|| port_value(ctx));
    if let Some(host) = ctx.host {
        headers.entry(&X_FORWARDED_HOST).or_insert_with(|| host.clone());
    }
    if headers.contains_key(header::FORWARDED) {
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
    visible(address.to_canonical().to_string().into_bytes())
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
    let mut element = match ctx.peer.to_canonical() {
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
