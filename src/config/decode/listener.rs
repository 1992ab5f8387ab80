//! `listeners`.

use std::collections::HashMap;
use std::time::Duration;

use super::fields::{Fields, entries};
use super::value::Value;
use super::{address, check_name, proxy_protocol, tls};
use crate::config::model::{Limits, Listener};

/// Bounds of every timeout that has none of its own: something, and no more than a day.
pub(super) const ANY_TIMEOUT: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 3600);

/// Bytes of a request head that may be configured.
const HEADER_BYTES: std::ops::RangeInclusive<u64> = 8 * 1024..=1024 * 1024;

/// Streams of one HTTP/2 connection that may be configured.
const STREAMS: std::ops::RangeInclusive<u64> = 1..=1000;

/// All listeners in file order; no two at one address. `trusts` says whether any peer is in `trusted_proxies`.
pub(super) fn all(value: Value<'_>, trusts: bool) -> Option<Vec<Listener>> {
    let entries = entries(value)?;
    if entries.is_empty() {
        return value.refuse_hint("there is no listener", "add `web: { address: \"127.0.0.1:8080\" }`");
    }
    let mut bound = HashMap::new();
    let listeners = entries.into_iter().filter_map(|entry| one(entry, &mut bound, trusts));
    Some(listeners.collect())
}

fn one<'a>(
    entry: Value<'a>,
    bound: &mut HashMap<std::net::SocketAddr, &'a str>,
    trusts: bool,
) -> Option<Listener> {
    let name = check_name(entry, entry.name);
    let mut fields = Fields::open(entry)?;
    let address = fields.require("address", "add `address: \"127.0.0.1:8080\"`", |value| {
        let address = address::socket_addr(value)?;
        match bound.insert(address, entry.name) {
            Some(other) if address.port() != 0 => {
                value.refuse(format!("`{address}` is the address of listener `{other}` already"))
            }
            _ => Some(address),
        }
    });
    let limits = fields.get("limits", limits).unwrap_or_default();
    let accept = |value: Value<'_>| proxy_protocol::accept(value, trusts);
    let proxy_protocol = fields.get("proxy_protocol", accept).unwrap_or_default();
    let tls = fields.take("tls").map_or(Some(None), tls::read);
    fields.close();
    Some(Listener { name: name?, address: address?, tls: tls?, limits, proxy_protocol })
}

fn limits(value: Value<'_>) -> Option<Limits> {
    let mut fields = Fields::open(value)?;
    let default = Limits::default();
    let limits = Limits {
        max_connections: fields.get("max_connections", at_least_one).unwrap_or(default.max_connections),
        max_connections_per_client: fields.get("max_connections_per_client", per_client).flatten(),
        max_header_bytes: fields.get("max_header_bytes", header_bytes).unwrap_or(default.max_header_bytes),
        max_streams: fields.get("max_streams", streams).unwrap_or(default.max_streams),
        header_timeout: fields.get("header_timeout", timeout).unwrap_or(default.header_timeout),
        idle_timeout: fields.get("idle_timeout", timeout).unwrap_or(default.idle_timeout),
    };
    fields.close();
    Some(limits)
}

/// A duration within [`ANY_TIMEOUT`].
pub(super) fn timeout(value: Value<'_>) -> Option<Duration> {
    value.duration(ANY_TIMEOUT)
}

fn at_least_one(value: Value<'_>) -> Option<usize> {
    value.whole(1..=u64::from(u32::MAX)).and_then(|number| usize::try_from(number).ok())
}

/// `Some(None)` for `off`, and for 0, which says the same.
fn per_client(value: Value<'_>) -> Option<Option<usize>> {
    if value.is_off() {
        return Some(None);
    }
    let most = value.whole(0..=u64::from(u32::MAX)).and_then(|number| usize::try_from(number).ok())?;
    Some((most > 0).then_some(most))
}

fn streams(value: Value<'_>) -> Option<u32> {
    value.whole(STREAMS).and_then(|number| u32::try_from(number).ok())
}

fn header_bytes(value: Value<'_>) -> Option<usize> {
    value.size(HEADER_BYTES).and_then(|bytes| usize::try_from(bytes).ok())
}
