//! `routes[].redirect`.

use std::num::NonZeroU16;

use http::StatusCode;

use super::fields::Fields;
use super::host::{self, Refusal, refusal};
use super::rewrite;
use super::value::Value;
use crate::config::model::{Redirect, RouteMatch, Scheme};

mod circles;

pub(super) use circles::warn;

/// Keys of a route that are about what an upstream does.
const NEEDLESS: [&str; 16] = [
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
    "compress",
    "mirror",
    "early_hints",
    "priority",
    "slo",
    "upgrades",
];

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
