//! The config as a file again, with every default spelled out. What it prints reads back to the same config,
//! save that secrets are hidden.

mod hedge;

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::decode::{show_duration, show_size};
use super::model::{
    AccessLog, Admin, Condition, Config, Connection, Endpoint, ExplainHeader, HashKey, HostPattern,
    LeastResponse, Limits, Listener, LogFormat, LogTarget, PathPattern, Retry, Route, RouteMatch, Secret,
    Share, Strategy, Upstream, Workers,
};
use super::yaml;

mod compress;
mod cookie;
mod cors;
mod fault;
mod header_edits;
mod health_check;
mod mirror;
mod outlier;
mod queue;
mod rate_limit;
mod redirect;
mod rewrite;
mod split;
mod timeouts;
mod tls;
mod upgrades;
mod upstream_tls;

/// The config as YAML. A `${` in a value is printed as `$${`, so that it is not taken for a reference.
pub fn to_yaml(config: &Config) -> String {
    yaml::to_text(&document(config, true))
}

/// The config as JSON, in the shape of the file.
pub fn to_json(config: &Config) -> serde_json::Value {
    serde_json::to_value(document(config, false)).expect("a tree of strings, numbers, lists and maps is JSON")
}

/// What is printed. A map of its own, since the order of listeners, upstreams and routes is the file's.
#[derive(Clone)]
enum Doc {
    Text(String),
    Whole(u64),
    Fraction(f64),
    Flag(bool),
    List(Vec<Doc>),
    Map(Vec<(String, Doc)>),
}

impl Serialize for Doc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Whole(number) => serializer.serialize_u64(*number),
            Self::Fraction(number) => serializer.serialize_f64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
        }
    }
}

fn document(config: &Config, for_yaml: bool) -> Doc {
    let doc = file(config);
    if for_yaml { escaped(doc) } else { doc }
}

/// Values are where references are looked for; keys are left alone.
fn escaped(doc: Doc) -> Doc {
    match doc {
        Doc::Text(text) => Doc::Text(text.replace("${", "$${")),
        Doc::List(items) => Doc::List(items.into_iter().map(escaped).collect()),
        Doc::Map(entries) => {
            Doc::Map(entries.into_iter().map(|(key, value)| (key, escaped(value))).collect())
        }
        number => number,
    }
}

fn file(config: &Config) -> Doc {
    let Config {
        workers,
        trusted_proxies,
        listeners,
        upstreams,
        routes,
        compress,
        admin,
        access_log,
        explain_header,
        shutdown,
    } = config;
    map([
        ("workers", workers_doc(*workers)),
        ("trusted_proxies", Doc::List(trusted_proxies.iter().map(text).collect())),
        ("listeners", named(listeners, |listener| (&listener.name, listener_doc(listener)))),
        ("upstreams", named(upstreams, |upstream| (&upstream.name, upstream_doc(upstream)))),
        ("routes", Doc::List(routes.iter().map(route_doc).collect())),
        ("compress", compress::doc(compress.as_ref())),
        ("admin", admin_doc(admin)),
        ("access_log", access_log_doc(access_log)),
        ("explain_header", explain_header_doc(explain_header.as_ref())),
        ("shutdown", map([("drain_timeout", duration(shutdown.drain_timeout))])),
    ])
}

fn workers_doc(workers: Workers) -> Doc {
    match workers {
        Workers::Auto => text("auto"),
        Workers::Count(count) => whole(count.get()),
    }
}

fn listener_doc(listener: &Listener) -> Doc {
    let Limits {
        max_connections,
        max_connections_per_client,
        max_header_bytes,
        max_streams,
        header_timeout,
        idle_timeout,
    } = &listener.limits;
    let limits = map([
        ("max_connections", whole(*max_connections)),
        ("max_connections_per_client", max_connections_per_client.map_or_else(|| text("off"), whole)),
        ("max_header_bytes", text(&show_size(*max_header_bytes as u64))),
        ("max_streams", whole(*max_streams as usize)),
        ("header_timeout", duration(*header_timeout)),
        ("idle_timeout", duration(*idle_timeout)),
    ]);
    map([
        ("address", text(&listener.address)),
        ("tls", tls::doc(listener.tls.as_ref())),
        ("limits", limits),
        ("proxy_protocol", text(listener.proxy_protocol.name())),
    ])
}

fn upstream_doc(upstream: &Upstream) -> Doc {
    let LeastResponse { quantile, window, min_samples, normalize } = upstream.least_response;
    let Connection {
        connect_timeout,
        idle_timeout,
        max_idle,
        max_streams,
        ping_interval,
        ping_timeout,
        proxy_protocol,
    } = &upstream.connection;
    let tuning = [
        ("quantile", Doc::Fraction(quantile)),
        ("window", duration(window)),
        ("min_samples", Doc::Whole(min_samples)),
        ("normalize", text(normalize.name())),
    ];
    let connection = [
        ("connect_timeout", duration(*connect_timeout)),
        ("idle_timeout", duration(*idle_timeout)),
        ("max_idle", whole(*max_idle)),
        ("max_streams", Doc::Whole((*max_streams).into())),
        ("ping_interval", ping_interval.map_or_else(|| text("off"), duration)),
        ("ping_timeout", duration(*ping_timeout)),
    ];
    optional_map([
        ("strategy", Some(text(upstream.strategy.name()))),
        ("least_response", Some(map(tuning))),
        ("hash", upstream.strategy.hash_key().map(hash_doc)),
        ("slow_start", Some(upstream.slow_start.map_or_else(|| text("off"), duration))),
        ("panic_threshold_percent", Some(whole(upstream.panic_threshold_percent.into()))),
        ("outlier_detection", Some(outlier::doc(upstream.outlier_detection.as_ref()))),
        ("health_check", Some(health_check::doc(upstream.health_check.as_ref()))),
        ("endpoints", Some(Doc::List(upstream.endpoints.iter().map(endpoint_doc).collect()))),
        ("protocol", Some(text(upstream.protocol.name()))),
        ("tls", Some(upstream_tls::doc(upstream.tls.as_ref()))),
        ("connection", Some(map(connection))),
        ("proxy_protocol", Some(text(proxy_protocol.name()))),
        (
            "sticky",
            Some(upstream.sticky.as_ref().map_or_else(|| text("off"), |own| cookie::doc(own, "cookie"))),
        ),
        ("queue", Some(queue::queue_doc(upstream.queue))),
        ("adaptive_concurrency", Some(queue::adaptive_doc(upstream.adaptive_concurrency))),
    ])
}

fn hash_doc(key: &HashKey) -> Doc {
    let (on, name) = match key {
        HashKey::Cookie(name) => ("cookie", Some(text(name))),
        HashKey::Header(name) => ("header", Some(text(name))),
        HashKey::Query(name) => ("query", Some(text(name))),
        HashKey::ClientIp => ("client_ip", None),
        HashKey::Path => ("path", None),
    };
    optional_map([("on", Some(text(on))), ("name", name)])
}

fn endpoint_doc(endpoint: &Endpoint) -> Doc {
    let Endpoint { address, weight, backup, max_connections } = endpoint;
    optional_map([
        ("address", Some(text(address))),
        ("weight", Some(Doc::Whole((*weight).into()))),
        ("backup", Some(Doc::Flag(*backup))),
        ("max_connections", max_connections.map(|most| Doc::Whole(most.into()))),
    ])
}

fn route_doc(route: &Route) -> Doc {
    let strategy = route.strategy.as_ref();
    // What is about an upstream may not stand beside a redirect.
    let serves = route.redirect.is_none();
    optional_map([
        ("name", Some(text(&route.name))),
        ("match", Some(match_doc(&route.matches))),
        ("upstream", (route.split.is_none() && serves).then(|| text(&route.upstream))),
        ("redirect", route.redirect.as_ref().map(redirect::doc)),
        ("rewrite", route.rewrite.as_ref().map(rewrite::doc)),
        ("request_headers", header_edits::doc(&route.request_headers)),
        ("response_headers", header_edits::doc(&route.response_headers)),
        ("cors", Some(route.cors.as_ref().map_or_else(|| text("off"), cors::doc))),
        ("split", route.split.as_ref().map(split::doc)),
        ("split_cookie", route.split.as_ref().and_then(split::cookie_doc)),
        ("strategy", strategy.map(|strategy| text(strategy.name()))),
        ("hash", strategy.and_then(Strategy::hash_key).map(hash_doc)),
        ("timeouts", Some(timeouts::doc(route.timeouts))),
        ("rate_limit", rate_limit::doc(&route.rate_limit)),
        ("retry", serves.then(|| route.retry.as_ref().map_or_else(|| text("off"), retry_doc))),
        ("hedge", serves.then(|| hedge::doc(route.hedge.as_ref()))),
        ("max_body", route.max_body.map(|bytes| text(&show_size(bytes)))),
        ("mirror", serves.then(|| route.mirror.as_ref().map_or_else(|| text("off"), mirror::doc))),
        ("compress", serves.then(|| compress::doc(route.compress.as_ref()))),
        ("early_hints", serves.then(|| text(if route.early_hints { "on" } else { "off" }))),
        ("fault", Some(route.fault.as_ref().map_or_else(|| text("off"), fault::doc))),
        ("priority", serves.then(|| text(route.priority.name()))),
        ("slo", serves.then(|| route.slo.map_or_else(|| text("off"), duration))),
        ("upgrades", serves.then(|| upgrades::doc(&route.upgrades))),
    ])
}

fn retry_doc(retry: &Retry) -> Doc {
    let Retry { attempts, on, budget_percent, backoff, max_body, idempotent_calls } = retry;
    let condition = |condition: Condition| match condition.status() {
        Some(status) => whole(status.as_u16().into()),
        None => text(condition.name()),
    };
    let backoff = map([("base", duration(backoff.base)), ("max", duration(backoff.max))]);
    map([
        ("attempts", whole((*attempts).into())),
        ("on", Doc::List(on.iter().map(condition).collect())),
        ("budget_percent", whole((*budget_percent).into())),
        ("backoff", backoff),
        ("max_body", text(&show_size(*max_body))),
        ("idempotent_calls", Doc::Flag(*idempotent_calls)),
    ])
}

fn match_doc(matches: &RouteMatch) -> Doc {
    let RouteMatch { scheme, except: _, host, path, methods, headers, query } = matches;
    let headers = headers.iter().map(|(name, value)| (name.to_string(), bytes(value.as_bytes())));
    let query = query.iter().map(|(name, value)| (name.clone(), text(value)));
    let mut entries = Vec::new();
    entries.extend(scheme.map(|scheme| ("scheme".to_owned(), text(scheme.name()))));
    entries.extend(host.as_ref().map(|host| ("host".to_owned(), host_doc(host))));
    entries.extend(path_doc(path).map(|(key, path)| (key.to_owned(), path)));
    entries.extend(filled("methods", Doc::List(methods.iter().map(text).collect())));
    entries.extend(filled("headers", Doc::Map(headers.collect())));
    entries.extend(filled("query", Doc::Map(query.collect())));
    Doc::Map(entries)
}

/// An empty list or map matches everything, as an absent one does, and only the absent one may be written.
fn filled(key: &str, doc: Doc) -> Option<(String, Doc)> {
    let is_empty = match &doc {
        Doc::List(items) => items.is_empty(),
        Doc::Map(entries) => entries.is_empty(),
        Doc::Text(_) | Doc::Whole(_) | Doc::Fraction(_) | Doc::Flag(_) => false,
    };
    (!is_empty).then(|| (key.to_owned(), doc))
}

fn host_doc(host: &HostPattern) -> Doc {
    match host {
        HostPattern::Exact(name) => text(name),
        HostPattern::Wildcard(domain) => text(&format!("*.{domain}")),
    }
}

fn path_doc(path: &PathPattern) -> Option<(&'static str, Doc)> {
    match path {
        PathPattern::Any => None,
        PathPattern::Exact(path) => Some(("path", text(path))),
        PathPattern::Prefix(path) => Some(("path_prefix", text(path))),
        PathPattern::Regex(regex) => Some(("path_regex", text(regex))),
    }
}

fn admin_doc(admin: &Admin) -> Doc {
    match admin {
        Admin::Off => text("off"),
        Admin::Tcp(address) => map([("address", text(address))]),
        Admin::Unix(path) => map([("address", text(&format!("unix:{}", path.display())))]),
    }
}

fn access_log_doc(log: &AccessLog) -> Doc {
    let AccessLog::On { target, format } = log else { return text("off") };
    let path = match target {
        LogTarget::Stdout => text("stdout"),
        LogTarget::Stderr => text("stderr"),
        LogTarget::File(path) => text(&path.display()),
    };
    let format = match format {
        LogFormat::Json => "json",
        LogFormat::Combined => "combined",
    };
    map([("path", path), ("format", text(format))])
}

/// A file that is made of this has to be given the token again.
fn explain_header_doc(header: Option<&ExplainHeader>) -> Doc {
    let Some(ExplainHeader { token, addresses }) = header else { return text("off") };
    optional_map([
        ("token", token.as_ref().map(|_| text(Secret::SHOWN))),
        ("addresses", Some(Doc::List(addresses.iter().map(text).collect()))),
    ])
}

fn named<T>(list: &[T], entry: impl Fn(&T) -> (&String, Doc)) -> Doc {
    Doc::Map(list.iter().map(entry).map(|(name, doc)| (name.clone(), doc)).collect())
}

fn map<const N: usize>(entries: [(&str, Doc); N]) -> Doc {
    Doc::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn optional_map<const N: usize>(entries: [(&str, Option<Doc>); N]) -> Doc {
    Doc::Map(entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

fn text(value: &(impl ToString + ?Sized)) -> Doc {
    Doc::Text(value.to_string())
}

fn bytes(value: &[u8]) -> Doc {
    Doc::Text(String::from_utf8_lossy(value).into_owned())
}

fn whole(number: usize) -> Doc {
    Doc::Whole(number as u64)
}

fn share(value: Share) -> Doc {
    let count = value.per_ten_thousand();
    match count.is_multiple_of(100) {
        true => Doc::Whole((count / 100).into()),
        false => Doc::Fraction(f64::from(count) / 100.0),
    }
}

fn duration(value: Duration) -> Doc {
    text(&show_duration(value))
}
