//! `routes[].cors`.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderName, Method, header};

use super::address::refuse;
use super::fields::Fields;
use super::host::{self, Refusal, refusal};
use super::route_match::method;
use super::strategy::header_name;
use super::value::{Context, Value};
use crate::config::model::{Cors, Listed, OriginPattern, Route, RouteMatch, Scheme};
use crate::config::node::{Data, Ordinal};
use crate::config::problem::Severity;

/// More than a day no browser keeps it.
const MAX_AGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 60 * 60);

/// Entries of one list: origins are compared one by one, and the others stand in every preflight's answer.
const MOST: usize = 100;

/// `Some(None)` for `off` and where there is none. `matches`: what the route matches, where that could be read.
pub(super) fn read(fields: &mut Fields<'_>, matches: Option<&RouteMatch>) -> Option<Option<Cors>> {
    match fields.take("cors") {
        None => Some(None),
        Some(value) if value.is_off() => Some(None),
        Some(value) => policy(value, matches).map(Some),
    }
}

fn policy(value: Value<'_>, matches: Option<&RouteMatch>) -> Option<Cors> {
    const EXAMPLE: &str = "add `allow_origins: [https://shop.example]`";
    let mut fields = Fields::open(value)?;
    let origins = fields.require("allow_origins", EXAMPLE, |value| listed(value, origin));
    let methods = fields
        .take("allow_methods")
        .map_or_else(|| Some(Listed::These(taken(matches))), |value| listed(value, method));
    let headers = fields.take("allow_headers").map_or(Some(none()), |value| listed(value, header_name));
    let exposed = fields.take("expose_headers").map_or(Some(none()), |value| listed(value, header_name));
    let credentials = fields.take("allow_credentials");
    let max_age = fields.get("max_age", |value| value.duration(MAX_AGE)).unwrap_or(Cors::MAX_AGE);
    fields.close();
    let cors = Cors {
        allow_origins: origins?,
        allow_methods: methods?,
        allow_headers: headers?,
        expose_headers: exposed?,
        allow_credentials: credentials.map_or(Some(false), Value::flag)?,
        max_age,
    };
    if let Some((value, key)) = credentials.zip(unlisted(&cors)).filter(|_| cors.allow_credentials) {
        let message = format!("`allow_credentials` and `{key}: \"*\"` exclude each other");
        return value.refuse_hint(message, "browsers refuse the two together; list what is allowed");
    }
    Some(cors)
}

fn none<T>() -> Listed<T> {
    Listed::These(Vec::new())
}

/// The methods that a route takes, or those that a page may use anyway.
fn taken(matches: Option<&RouteMatch>) -> Vec<Method> {
    let named = matches.map(|matches| matches.methods.clone()).unwrap_or_default();
    if named.is_empty() { vec![Method::GET, Method::HEAD, Method::POST] } else { named }
}

/// A key that allows everything.
fn unlisted(cors: &Cors) -> Option<&'static str> {
    let all = [
        ("allow_origins", cors.allow_origins == Listed::All),
        ("allow_methods", cors.allow_methods == Listed::All),
        ("allow_headers", cors.allow_headers == Listed::All),
        ("expose_headers", cors.expose_headers == Listed::All),
    ];
    all.into_iter().find(|(_, is_all)| *is_all).map(|(key, _)| key)
}

/// `"*"`, one entry, or a list.
fn listed<T>(value: Value<'_>, read: impl Fn(Value<'_>) -> Option<T>) -> Option<Listed<T>> {
    let items: Vec<_> = match &value.node.data {
        Data::Text(_) => vec![value],
        _ => value.items(value.name)?.collect(),
    };
    let is_all = |item: &Value<'_>| matches!(&item.node.data, Data::Text(text) if text == "*");
    match items.iter().find(|item| is_all(item)) {
        Some(_) if items.len() == 1 => return Some(Listed::All),
        Some(item) => {
            return item.refuse_hint("`*` stands for all of them", "write it alone, or leave it out");
        }
        None => {}
    }
    if items.len() > MOST {
        return value.refuse(format!("`{}` has more than {MOST} entries", value.name));
    }
    let found: Vec<T> = items.iter().filter_map(|item| read(*item)).collect();
    (found.len() == items.len()).then_some(Listed::These(found))
}

fn origin(value: Value<'_>) -> Option<OriginPattern> {
    refuse(value, parse_origin(&value.text()?))
}

fn parse_origin(text: &str) -> Result<OriginPattern, Refusal> {
    const SHAPE: &str = "write `https://shop.example`, `https://*.shop.example` or `\"*\"`";
    let wrong = |hint: &str| refusal(text, "is not an origin", hint);
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong(SHAPE))?;
    if let Some((host, _)) = rest.split_once(['/', '?', '#']) {
        return Err(wrong(&format!("an origin ends before the path: write `{scheme}://{host}`")));
    }
    let scheme = scheme.to_ascii_lowercase();
    let Some(known) = Scheme::of(scheme.as_bytes()) else {
        return Err(wrong("only http and https have origins that can be told apart"));
    };
    let (is_wildcard, name) = rest.strip_prefix("*.").map_or((false, rest), |domain| (true, domain));
    let (host, port) = host::with_port(name)?;
    let port = port.filter(|port| port.get() != known.default_port());
    let host = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    Ok(match is_wildcard {
        false => OriginPattern::Exact(format!("{scheme}://{host}")),
        true => OriginPattern::Wildcard { scheme: format!("{scheme}://"), domain: format!(".{host}") },
    })
}

/// Warns of what a preflight never gets to, and of what it allows in vain.
pub(super) fn warn(cx: &Context<'_>, routes: &[(Route, Ordinal)]) {
    let report = |at: Ordinal, message: String, hint: &str| {
        cx.report(at, Severity::Warning, message, Some(hint.to_owned()));
    };
    for (route, at) in routes {
        let Some(cors) = &route.cors else { continue };
        if let Some(method) = needless(cors, &route.matches) {
            let message =
                format!("`cors` of route `{}` allows {method}, which the route does not take", route.name);
            report(*at, message, "leave it out, or add it to the methods of the match");
        }
        if let Some(name) = unseen(&route.matches) {
            let message =
                format!("`cors` of route `{}` answers no preflight: those have no {name}", route.name);
            report(*at, message, "match by something else than a header");
        }
    }
}

fn needless<'a>(cors: &'a Cors, matches: &RouteMatch) -> Option<&'a Method> {
    let Listed::These(methods) = &cors.allow_methods else { return None };
    methods.iter().find(|method| !matches.methods.is_empty() && !matches.methods.contains(method))
}

/// A header that the route needs and a browser does not send with a preflight.
fn unseen(matches: &RouteMatch) -> Option<&HeaderName> {
    let sent = [header::ORIGIN, header::USER_AGENT, header::HOST];
    matches.headers.iter().map(|(name, _)| name).find(|name| !sent.contains(name))
}
