//! `upstreams`.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::fields::{Fields, entries};
use super::listener::timeout;
use super::value::Value;
use super::{
    address, check_name, cookie, health_check, outlier, proxy_protocol, queue, strategy, upstream_tls,
};
use crate::config::model::{
    Connection, Endpoint, HostPort, LeastResponse, Normalize, OutlierDetection, Protocol, Strategy, Upstream,
    UpstreamTls,
};
use crate::config::node::{Data, Ordinal};

/// The upstreams that could be read.
pub(super) struct Upstreams {
    /// In file order, with the place of each.
    pub(super) found: Vec<(Upstream, Ordinal)>,
    /// Every name in the file, so that a route to an upstream with a mistake in it is not called wrong too.
    pub(super) names: BTreeSet<String>,
}

/// All upstreams in file order.
pub(super) fn all(value: Value<'_>) -> Option<Upstreams> {
    let entries = entries(value)?;
    if entries.is_empty() {
        return value.refuse_hint("there is no upstream", "add `shop: { endpoints: [\"127.0.0.1:7001\"] }`");
    }
    let names = entries.iter().map(|entry| entry.name.to_owned()).collect();
    let found = entries.into_iter().filter_map(|entry| Some((one(entry)?, entry.key_at))).collect();
    Some(Upstreams { found, names })
}

fn one(entry: Value<'_>) -> Option<Upstream> {
    let name = check_name(entry, entry.name);
    let mut fields = Fields::open(entry)?;
    let strategy = strategy::read(&mut fields, Some(Strategy::default()));
    let strategy = strategy.flatten();
    let endpoints = fields.require("endpoints", "add `endpoints: [\"127.0.0.1:7001\"]`", |value| {
        endpoints(value, strategy.as_ref())
    });
    let least_response = fields.get("least_response", least_response).unwrap_or_default();
    let slow_start = fields.get("slow_start", slow_start).flatten();
    let panic_threshold_percent =
        fields.get("panic_threshold_percent", percent).unwrap_or(Upstream::PANIC_THRESHOLD);
    let outlier_detection = fields
        .get("outlier_detection", |value| outlier::read(value, panic_threshold_percent))
        .unwrap_or_else(|| Some(OutlierDetection::default()));
    let health_check = fields.get("health_check", health_check::read).flatten();
    let mut connection = fields.get("connection", connection).unwrap_or_default();
    let send = |value: Value<'_>| proxy_protocol::send(value, connection.max_idle);
    connection.proxy_protocol = fields.get("proxy_protocol", send).unwrap_or_default();
    let sticky = fields.get("sticky", cookie::sticky).flatten();
    let queue = fields.get("queue", queue::read).flatten();
    let adaptive_concurrency = fields.get("adaptive_concurrency", queue::adaptive).flatten();
    let (protocol, tls) = transport(&mut fields, endpoints.as_deref());
    fields.close();
    Some(Upstream {
        name: name?,
        strategy: strategy?,
        least_response,
        slow_start,
        panic_threshold_percent,
        outlier_detection,
        health_check,
        endpoints: endpoints?,
        protocol,
        tls,
        connection,
        sticky,
        queue,
        adaptive_concurrency,
    })
}

fn least_response(value: Value<'_>) -> Option<LeastResponse> {
    let mut fields = Fields::open(value)?;
    let default = LeastResponse::default();
    let window = Duration::from_secs(1)..=Duration::from_secs(600);
    let tuning = LeastResponse {
        quantile: fields.get("quantile", |value| value.fraction(0.5..=0.999)).unwrap_or(default.quantile),
        window: fields.get("window", |value| value.duration(window)).unwrap_or(default.window),
        min_samples: fields
            .get("min_samples", |value| value.whole(1..=1_000_000))
            .unwrap_or(default.min_samples),
        normalize: fields.get("normalize", |value| value.one_of(&NORMALIZE)).unwrap_or(default.normalize),
    };
    fields.close();
    Some(tuning)
}

const NORMALIZE: [(&str, Normalize); 2] = [("route", Normalize::Route), ("off", Normalize::Off)];

/// `Some(None)` for `off`.
fn slow_start(value: Value<'_>) -> Option<Option<Duration>> {
    if value.is_off() {
        return Some(None);
    }
    value.duration(Duration::from_secs(1)..=Duration::from_secs(15 * 60)).map(Some)
}

fn connection(value: Value<'_>) -> Option<Connection> {
    let mut fields = Fields::open(value)?;
    let default = Connection::default();
    let max_idle = |value: Value<'_>| value.whole(0..=65_536).and_then(|number| usize::try_from(number).ok());
    let connection = Connection {
        connect_timeout: fields.get("connect_timeout", timeout).unwrap_or(default.connect_timeout),
        idle_timeout: fields.get("idle_timeout", timeout).unwrap_or(default.idle_timeout),
        max_idle: fields.get("max_idle", max_idle).unwrap_or(default.max_idle),
        max_streams: fields.get("max_streams", max_streams).unwrap_or(default.max_streams),
        ping_interval: fields.get("ping_interval", ping_interval).unwrap_or(default.ping_interval),
        ping_timeout: fields
            .get("ping_timeout", |value| value.duration(Duration::from_millis(100)..=HOUR))
            .unwrap_or(default.ping_timeout),
        proxy_protocol: default.proxy_protocol,
    };
    fields.close();
    Some(connection)
}

const HOUR: Duration = Duration::from_secs(3600);

fn max_streams(value: Value<'_>) -> Option<u32> {
    value.whole(1..=1000).and_then(|number| u32::try_from(number).ok())
}

/// `Some(None)` for `off`.
fn ping_interval(value: Value<'_>) -> Option<Option<Duration>> {
    if value.is_off() {
        return Some(None);
    }
    value.duration(Duration::from_secs(1)..=HOUR).map(Some)
}

/// What is spoken with the endpoints, and how it is encrypted.
fn transport(fields: &mut Fields<'_>, endpoints: Option<&[Endpoint]>) -> (Protocol, Option<UpstreamTls>) {
    let (word, map) = (fields.take("protocol"), fields.take("tls"));
    let protocol = word.and_then(upstream_tls::protocol).unwrap_or_default();
    let tls = map.and_then(upstream_tls::read).flatten();
    if let (Some(map), Some(tls)) = (map, &tls) {
        upstream_tls::warn(map, tls, endpoints.unwrap_or_default());
    }
    if let (Some(word), Protocol::Auto, None) = (word, protocol, map) {
        upstream_tls::warn_of_auto(word);
    }
    (protocol, tls)
}

fn endpoints(value: Value<'_>, strategy: Option<&Strategy>) -> Option<Vec<Endpoint>> {
    let mut seen = HashSet::new();
    let items: Vec<_> = value.items("endpoint")?.collect();
    if items.is_empty() {
        return value
            .refuse_hint("an upstream needs at least one endpoint", "add one, such as `- 127.0.0.1:7001`");
    }
    let found: Vec<_> = items.iter().filter_map(|item| endpoint(*item, &mut seen, strategy)).collect();
    if found.len() == items.len() && found.iter().all(|endpoint| endpoint.weight == 0) {
        value.warn("every endpoint has weight 0, so none gets a request", "give one a weight of 1 or more");
    }
    if found.len() == items.len() && found.iter().all(|endpoint| endpoint.backup) {
        value.warn(
            "every endpoint is a backup, so there is none to stand in for",
            "leave `backup` out of one",
        );
    }
    Some(found)
}

fn endpoint(item: Value<'_>, seen: &mut HashSet<HostPort>, strategy: Option<&Strategy>) -> Option<Endpoint> {
    if !matches!(item.node.data, Data::Map(_)) {
        let address = address::host_port(item).and_then(|address| unique(item, address, seen))?;
        return Some(Endpoint { address, weight: 1, backup: false, max_connections: None });
    }
    let mut fields = Fields::open(item)?;
    let address = fields.require("address", "add `address: \"127.0.0.1:7001\"`", |value| {
        address::host_port(value).and_then(|address| unique(value, address, seen))
    });
    let weight = fields.get("weight", |value| weight(value, strategy)).unwrap_or(1);
    let backup = fields.get("backup", Value::flag).unwrap_or(false);
    let max_connections = fields.get("max_connections", queue::requests);
    fields.close();
    Some(Endpoint { address: address?, weight, backup, max_connections })
}

fn percent(value: Value<'_>) -> Option<u8> {
    value.whole(0..=100).and_then(|number| u8::try_from(number).ok())
}

fn unique(value: Value<'_>, address: HostPort, seen: &mut HashSet<HostPort>) -> Option<HostPort> {
    if seen.insert(address.clone()) {
        return Some(address);
    }
    let message = format!("`{address}` is an endpoint of this upstream already");
    value.refuse_hint(message, "to send it more requests, give it a `weight`")
}

fn weight(value: Value<'_>, strategy: Option<&Strategy>) -> Option<u32> {
    let weight = value.whole(0..=1000).and_then(|number| u32::try_from(number).ok())?;
    if weight > 1 && strategy == Some(&Strategy::RoundRobin) {
        value.warn("strategy round_robin ignores weights", "write `strategy: weighted`");
    }
    Some(weight)
}
