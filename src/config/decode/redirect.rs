//! `routes[].redirect`.

use std::num::NonZeroU16;

use http::{Method, StatusCode};

use super::fields::Fields;
use super::host::{self, Refusal, refusal};
use super::rewrite;
use super::value::{Context, Value};
use crate::config::model::{HostPattern, PathPattern, Redirect, Route, RouteMatch, Scheme};
use crate::config::node::Ordinal;
use crate::config::problem::Severity;
use crate::policy::redirect::{self, Place};
use crate::policy::route::{Head, RouteTable};

/// Keys of a route that are about what an upstream does.
const NEEDLESS: [&str; 13] = [
    "upstream",
    "split",
    "split_cookie",
    "strategy",
    "hash",
    "rewrite",
    "request_headers",
    "retry",
    "hedge",
    "max_body",
    "mirror",
    "priority",
    "slo",
];

/// So many redirects in a row are a circle.
const MOST_HOPS: usize = 10;

/// `Some(None)` where there is none. A route that has one has nothing else to do with its requests.
pub(super) fn read(fields: &mut Fields<'_>, matches: Option<&RouteMatch>) -> Option<Option<Redirect>> {
    let Some(value) = fields.take("redirect") else { return Some(None) };
    for needless in NEEDLESS.into_iter().filter_map(|key| fields.take(key)) {
        let message = format!("`{}` has no meaning beside `redirect`", needless.name);
        needless.refuse_hint::<()>(message, "remove one of them");
    }
    redirect(value, matches).map(Some)
}

/// The match of a route: who speaks the scheme already, where nothing else changes, is not sent where he is.
pub(super) fn narrow(matches: RouteMatch, redirect: Option<&Redirect>) -> RouteMatch {
    let except = redirect.and_then(Redirect::only_scheme).filter(|_| matches.scheme.is_none());
    RouteMatch { except, ..matches }
}

fn redirect(value: Value<'_>, matches: Option<&RouteMatch>) -> Option<Redirect> {
    let mut fields = Fields::open(value)?;
    let scheme = fields.take("scheme").map_or(Some(None), |value| value.one_of(&Scheme::WORDS).map(Some));
    let host = fields.take("host").map_or(Some(None), |value| host(value).map(Some));
    let port = fields.take("port").map_or(Some(None), |value| port(value).map(Some));
    let path = rewrite::path_change(&mut fields, matches);
    let status = fields.take("status").map_or(Some(StatusCode::PERMANENT_REDIRECT), status);
    fields.close();
    let redirect = Redirect { scheme: scheme?, host: host?, port: port?, path: path?, status: status? };
    checked(value, redirect, matches)
}

fn checked(value: Value<'_>, redirect: Redirect, matches: Option<&RouteMatch>) -> Option<Redirect> {
    let Redirect { scheme, host, port, path, status: _ } = &redirect;
    if scheme.is_none() && host.is_none() && port.is_none() && path.is_none() {
        let hint = "add `scheme: https`, or host, port, path, path_prefix or path_regex";
        return value.refuse_hint("`redirect` does not say where to", hint);
    }
    let asked = matches.and_then(|matches| matches.scheme);
    if port.is_none() && redirect.only_scheme().is_some_and(|scheme| Some(scheme) == asked) {
        let hint = "let the route match the other `scheme`";
        return value.refuse_hint("this redirect leads back to itself", hint);
    }
    Some(redirect)
}

fn status(value: Value<'_>) -> Option<StatusCode> {
    let words = Redirect::STATUSES.map(|status| (status.as_u16().to_string(), status));
    let choices: Vec<_> = words.iter().map(|(word, status)| (word.as_str(), *status)).collect();
    value.word_or_number(&choices)
}

fn host(value: Value<'_>) -> Option<String> {
    super::address::refuse(value, host_alone(&value.text()?))
}

fn host_alone(text: &str) -> Result<String, Refusal> {
    match host::with_port(text)? {
        (host, None) => Ok(host),
        (host, Some(port)) => {
            Err(refusal(text, "has a port", format!("write `host: \"{host}\", port: {port}`")))
        }
    }
}

fn port(value: Value<'_>) -> Option<NonZeroU16> {
    value.whole(1..=65535).and_then(|port| u16::try_from(port).ok()).and_then(NonZeroU16::new)
}

/// Warns of routes that would send a client round in circles. A request of each is made up and followed.
pub(super) fn warn(cx: &Context<'_>, routes: &[(Route, Ordinal)]) {
    let compile = |route: &Route| {
        let redirect = route.redirect.as_ref()?;
        Some(redirect::Redirect::new(redirect, &route.matches.path))
    };
    let redirects: Vec<_> = routes.iter().map(|(route, _)| compile(route)).collect();
    if redirects.iter().all(Option::is_none) {
        return;
    }
    let table = RouteTable::new(routes.iter().map(|(route, _)| &route.matches));
    for (index, (route, at)) in routes.iter().enumerate().filter(|(index, _)| redirects[*index].is_some()) {
        if let Some(place) = circle(&table, routes, &redirects, index) {
            let message = format!("route `{}` sends clients round in circles, by way of {place}", route.name);
            let hint = "let it match less, or give that place a route of its own";
            cx.report(*at, Severity::Warning, message, Some(hint.to_owned()));
        }
    }
}

/// Where a client is for the last time that begins at this route; `None` if it arrives somewhere.
fn circle(
    table: &RouteTable,
    routes: &[(Route, Ordinal)],
    redirects: &[Option<redirect::Redirect>],
    first: usize,
) -> Option<String> {
    let mut at = first;
    let mut place = sample(&routes[first].0.matches)?;
    for _ in 0..MOST_HOPS {
        let next = redirects[at].as_ref()?.place(&place).ok()?;
        let RouteMatch { methods, headers, query: _, .. } = &routes[first].0.matches;
        let headers = headers.iter().cloned().collect();
        let head = Head {
            scheme: next.scheme,
            host: &next.host,
            path: &next.path,
            query: next.query,
            method: methods.first().unwrap_or(&Method::GET),
            headers: &headers,
        };
        at = table.find(&head)?;
        place = Place {
            host: next.host.into_owned().into(),
            path: next.path.into_owned().into(),
            scheme: next.scheme,
            port: next.port,
            query: None,
        };
    }
    Some(place.to_string())
}

/// A request that the route takes; `None` where none can be made up.
fn sample(matches: &RouteMatch) -> Option<Place<'static>> {
    let host = match &matches.host {
        None => "shop.example".to_owned(),
        Some(HostPattern::Exact(host)) => host.clone(),
        Some(HostPattern::Wildcard(domain)) => format!("shop.{domain}"),
    };
    let path = match &matches.path {
        PathPattern::Any => "/".to_owned(),
        PathPattern::Exact(path) | PathPattern::Prefix(path) => path.clone(),
        PathPattern::Regex(_) => return None,
    };
    let other = matches.except.map(|except| match except {
        Scheme::Http => Scheme::Https,
        Scheme::Https => Scheme::Http,
    });
    let scheme = matches.scheme.or(other).unwrap_or(Scheme::Http);
    // What a query or a header would have to be is not kept: a route that needs one is not followed far.
    Some(Place { scheme, host: host.into(), port: None, path: path.into(), query: None })
}
