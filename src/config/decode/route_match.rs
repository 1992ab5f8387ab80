//! `routes[].match`: everything in it that is not the path.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue, Method};

use super::address::refuse;
use super::fields::{Fields, entries};
use super::host::{self, Refusal, refusal};
use super::path;
use super::value::Value;
use crate::config::excerpt::quoted;
use crate::config::model::{HostPattern, RouteMatch, Scheme};
use crate::config::node::Data;

/// Which requests a route takes.
pub(super) fn read(value: Value<'_>) -> Option<RouteMatch> {
    let mut fields = Fields::open(value)?;
    let scheme = optional(fields.take("scheme"), |value| value.one_of(&Scheme::WORDS));
    let host = optional(fields.take("host"), |value| refuse(value, parse_host(&value.text()?)));
    let path = path::read(&mut fields);
    let methods = fields.take("methods").map_or(Some(Vec::new()), methods);
    let headers = fields.take("headers").map_or(Some(Vec::new()), headers);
    let query = fields.take("query").map_or(Some(Vec::new()), query);
    fields.close();
    Some(RouteMatch {
        scheme: scheme?,
        except: None,
        host: host?,
        path: path?,
        methods: methods?,
        headers: headers?,
        query: query?,
    })
}

/// `Some(None)` for what is absent, `None` for what is wrong.
fn optional<'a, T>(value: Option<Value<'a>>, read: impl FnOnce(Value<'a>) -> Option<T>) -> Option<Option<T>> {
    value.map_or(Some(None), |value| read(value).map(Some))
}

fn parse_host(text: &str) -> Result<HostPattern, Refusal> {
    if text == "*" {
        return Err(refusal(text, "is not a host", "leave out `host` to take every host"));
    }
    if let Some(domain) = text.strip_prefix("*.") {
        return host::dns_name(domain).map(HostPattern::Wildcard);
    }
    if text.contains('*') {
        return Err(refusal(text, "has `*` in the wrong place", "only `*.` at the beginning is a wildcard"));
    }
    let has_port = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    if let Some((name, _)) = has_port.filter(|(name, _)| !name.contains(':') || name.starts_with('[')) {
        return Err(refusal(text, "has a port", format!("the port does not matter here, write `{name}`")));
    }
    host::named(text).map(HostPattern::Exact)
}

/// One method or a list of them.
fn methods(value: Value<'_>) -> Option<Vec<Method>> {
    if matches!(value.node.data, Data::Text(_)) {
        return routed(value).map(|method| vec![method]);
    }
    let items: Vec<_> = value.items("method")?.collect();
    if items.is_empty() {
        return value.refuse_hint("`methods` is empty", "leave it out to take every method");
    }
    let mut seen = HashSet::new();
    let methods = items.into_iter().filter_map(|item| {
        let method = routed(item)?;
        match seen.insert(method.clone()) {
            true => Some(method),
            false => item.refuse(format!("`{method}` is listed twice")),
        }
    });
    Some(methods.collect())
}

fn routed(value: Value<'_>) -> Option<Method> {
    let method = method(value)?;
    if method == Method::CONNECT {
        return value.refuse("CONNECT never reaches a route: Tillgate refuses it");
    }
    Some(method)
}

/// A method as it stands on the wire.
pub(super) fn method(value: Value<'_>) -> Option<Method> {
    let text = value.text()?;
    let Ok(method) = Method::from_bytes(text.as_bytes()) else {
        return value.refuse(format!("{} is not a method", quoted(&text)));
    };
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        let hint = format!("methods are case-sensitive, write `{}`", text.to_ascii_uppercase());
        return value.refuse_hint(format!("{} is not in upper case", quoted(&text)), hint);
    }
    Some(method)
}

/// Names and values, each name once.
pub(super) fn headers(value: Value<'_>) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut seen = HashSet::new();
    let headers = entries(value)?.into_iter().filter_map(|entry| {
        let Ok(name) = HeaderName::from_bytes(entry.name.as_bytes()) else {
            return refuse_key(entry, format!("{} is not the name of a header", quoted(entry.name)));
        };
        if !seen.insert(name.clone()) {
            return refuse_key(entry, format!("{} is given twice; case does not matter", quoted(entry.name)));
        }
        header_value(entry).map(|value| (name, value))
    });
    Some(headers.collect())
}

pub(super) fn header_value(entry: Value<'_>) -> Option<HeaderValue> {
    let text = entry.text()?;
    match HeaderValue::from_str(&text) {
        Ok(value) if text.trim() == text => Some(value),
        Ok(_) => entry.refuse("no header has a value with blanks around it"),
        Err(_) => entry.refuse(format!("{} cannot be the value of a header", quoted(&text))),
    }
}

fn query(value: Value<'_>) -> Option<Vec<(String, String)>> {
    let pairs = entries(value)?.into_iter().filter_map(|entry| Some((entry.name.to_owned(), entry.text()?)));
    Some(pairs.collect())
}

fn refuse_key<T>(entry: Value<'_>, message: String) -> Option<T> {
    entry.cx.report(entry.key_at, crate::config::Severity::Error, message, None);
    None
}
