//! Nodes to the typed config. Reports every problem of a file in one go: a bad upstream does not hide a bad
//! route.

mod address;
mod compress;
mod cookie;
mod cors;
mod env;
mod fault;
mod fields;
mod header_edits;
mod health_check;
mod hedge;
mod host;
mod listener;
mod mirror;
mod outlier;
mod overlap;
mod overload;
mod path;
mod process;
mod proxy_protocol;
mod queue;
mod rate_limit;
mod redirect;
mod retry;
mod rewrite;
mod route;
mod route_match;
mod split;
mod strategy;
mod timeouts;
mod tls;
mod units;
mod upgrades;
mod upstream;
mod upstream_tls;
mod value;

use super::model::{Admin, Config, Listener};
use super::node::Node;
use super::problem::Findings;
use fields::Fields;
use value::{Context, Value};

pub(super) use env::Env;
pub(crate) use units::{show_duration, show_size};
pub(super) use value::Surroundings;

/// The config if there is no error in it, and everything found on the way.
pub(super) fn decode(root: &Node, surroundings: Surroundings<'_>) -> (Option<Config>, Findings) {
    let cx = Context::new(surroundings);
    let config = file(Value { cx: &cx, name: "the config", key_at: root.at, node: root });
    let config = config.filter(|_| !cx.has_errors());
    (config, cx.into_findings())
}

fn file(root: Value<'_>) -> Option<Config> {
    let mut fields = Fields::open(root)?;
    let mut config = Config::default();
    process_wide(&mut fields, &mut config);
    let admin = fields.take("admin");
    config.admin = admin.map_or_else(|| Some(Admin::default()), process::admin).unwrap_or(Admin::Off);
    // Where they cannot be read, they are not also said to name nobody.
    let trusts = !config.trusted_proxies.is_empty() || root.cx.has_errors();
    let listeners =
        fields.require("listeners", "add `listeners: { web: { address: \"127.0.0.1:8080\" } }`", |value| {
            listener::all(value, trusts)
        });
    let upstreams = fields.require(
        "upstreams",
        "add `upstreams: { shop: { endpoints: [\"127.0.0.1:7001\"] } }`",
        upstream::all,
    );
    let names = upstreams.as_ref().map(|upstreams| &upstreams.names);
    config.compress = fields.get("compress", |value| compress::read(value, None)).flatten();
    let routes = fields.require("routes", "add `routes: [ { upstream: shop } ]`", |value| {
        route::all(value, names, config.compress.as_ref())
    });
    fields.not_yet(&["tracing", "acme", "cache"]);
    fields.close();
    check_admin(admin.unwrap_or(root), &config.admin, listeners.as_deref().unwrap_or_default());
    let (upstreams, routes) = (upstreams?.found, routes?);
    if !root.cx.has_errors() {
        overlap::warn(root.cx, &upstreams, &routes);
        cookie::check(root.cx, &upstreams, &routes);
        mirror::check(root.cx, &upstreams, &routes);
        hedge::warn(root.cx, &upstreams, &routes);
        rate_limit::warn(root.cx, &routes);
        redirect::warn(root.cx, &routes);
        rewrite::warn(root.cx, &routes);
        cors::warn(root.cx, &routes);
    }
    config.listeners = listeners?;
    config.upstreams = upstreams.into_iter().map(|(upstream, _)| upstream).collect();
    config.routes = routes.into_iter().map(|(route, _)| route).collect();
    Some(config)
}

/// The admin server, also the one that stands there by default, has an address of its own.
fn check_admin(at: Value<'_>, admin: &Admin, listeners: &[Listener]) {
    let Admin::Tcp(address) = admin else { return };
    let taken = listeners.iter().find(|listener| listener.address == *address && address.port() != 0);
    if let Some(listener) = taken {
        let message =
            format!("`{address}` is the address of the admin server and of listener `{}`", listener.name);
        at.refuse_hint::<()>(message, "write `admin: { address: 127.0.0.1:9901 }`, or move the listener");
    }
}

fn process_wide(fields: &mut Fields<'_>, config: &mut Config) {
    config.workers = fields.get("workers", process::workers).unwrap_or_default();
    config.trusted_proxies = fields.get("trusted_proxies", process::trusted_proxies).unwrap_or_default();
    config.access_log = fields.get("access_log", process::access_log).unwrap_or_default();
    config.explain_header = fields.get("explain_header", process::explain_header).flatten();
    config.shutdown = fields.get("shutdown", process::shutdown).unwrap_or_default();
}

/// Refuses a name that could not be a metric label or a part of an admin path.
fn check_name(value: Value<'_>, name: &str) -> Option<String> {
    let is_fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if (1..=64).contains(&name.len()) && name.bytes().all(is_fit) {
        return Some(name.to_owned());
    }
    let message = format!("{} is not a name", super::excerpt::quoted(name));
    let hint = "a name has 1 to 64 letters, digits, `_`, `.` or `-`";
    value.cx.report(value.key_at, super::Severity::Error, message, Some(hint.to_owned()));
    None
}
