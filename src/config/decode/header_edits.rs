//! `routes[].request_headers` and `routes[].response_headers`.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue, header};

use super::fields::{Fields, entries};
use super::route_match::header_value;
use super::strategy::header_name;
use super::value::Value;
use crate::config::excerpt::quoted;
use crate::config::model::{HeaderEdits, Secret};
use crate::config::node::Data;
use crate::config::problem::Severity;

/// Entries of one list, and bytes of one value: no message can grow beyond what others take.
const MOST: usize = 100;
const LONGEST: usize = 8 * 1024;

/// Who says why a name may not be edited, if so.
type Owner = fn(&str) -> Option<&'static str>;

/// What endpoints are sent.
pub(super) fn request(fields: &mut Fields<'_>) -> Option<HeaderEdits> {
    fields.take("request_headers").map_or(Some(HeaderEdits::default()), |value| edits(value, of_request))
}

/// What clients are answered. Of a route with `cors`, that is the one to say who may read it.
pub(super) fn response(fields: &mut Fields<'_>, has_cors: bool) -> Option<HeaderEdits> {
    let owner: Owner = if has_cors { of_shared_response } else { of_response };
    fields.take("response_headers").map_or(Some(HeaderEdits::default()), |value| edits(value, owner))
}

fn edits(value: Value<'_>, owner: Owner) -> Option<HeaderEdits> {
    let mut fields = Fields::open(value)?;
    let remove = fields.take("remove").map_or(Some(Vec::new()), |value| removed(value, owner));
    let set = fields.take("set").map_or(Some(Vec::new()), |value| given(value, owner, false));
    let add = fields.take("add").map_or(Some(Vec::new()), |value| given(value, owner, true));
    fields.close();
    let edits = HeaderEdits { remove: remove?, set: set?, add: add? };
    if let Some((name, _)) = edits.set.iter().find(|(name, _)| edits.remove.contains(name)) {
        let message = format!("{name} is removed to no end: it is set after that");
        value.warn(message, "`remove` goes first, then `set`, then `add`");
    }
    Some(edits)
}

/// One name or a list of them.
fn removed(value: Value<'_>, owner: Owner) -> Option<Vec<HeaderName>> {
    let items: Vec<_> = match &value.node.data {
        Data::Text(_) => vec![value],
        _ => value.items("remove")?.collect(),
    };
    bounded(value, items.len())?;
    let names = items.iter().filter_map(|item| {
        let name = header_name(*item)?;
        match owner(name.as_str()) {
            None => Some(name),
            Some(hint) => item.refuse_hint(format!("`{name}` is not to be removed by a route"), hint),
        }
    });
    Some(names.collect())
}

/// Names with a value each, or, where they are added, with a list of them.
fn given(value: Value<'_>, owner: Owner, may_repeat: bool) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let entries = entries(value)?;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for entry in entries {
        let Some(name) = name(entry, owner) else { continue };
        if !seen.insert(name.clone()) {
            refuse_name::<()>(
                entry,
                format!("{} is given twice; case does not matter", quoted(entry.name)),
                None,
            );
        }
        let values = match &entry.node.data {
            Data::Seq(_) if may_repeat => entry.items(entry.name)?.collect(),
            _ => vec![entry],
        };
        found.extend(values.into_iter().filter_map(|one| Some((name.clone(), text(one, &name)?))));
    }
    bounded(value, found.len())?;
    Some(found)
}

fn bounded(value: Value<'_>, count: usize) -> Option<()> {
    match count <= MOST {
        true => Some(()),
        false => value.refuse(format!("`{}` has more than {MOST} entries", value.name)),
    }
}

fn name(entry: Value<'_>, owner: Owner) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(entry.name.as_bytes()) else {
        return refuse_name(entry, format!("{} is not the name of a header", quoted(entry.name)), None);
    };
    match owner(name.as_str()) {
        None => Some(name),
        Some(hint) => refuse_name(entry, format!("`{name}` is not to be written by a route"), Some(hint)),
    }
}

fn refuse_name<T>(entry: Value<'_>, message: String, hint: Option<&str>) -> Option<T> {
    entry.cx.report(entry.key_at, Severity::Error, message, hint.map(str::to_owned));
    None
}

fn text(value: Value<'_>, name: &HeaderName) -> Option<HeaderValue> {
    let mut text = header_value(value)?;
    if text.len() > LONGEST {
        return value.refuse("the value is longer than 8KiB");
    }
    if text == Secret::SHOWN {
        return value.refuse_hint("`***` stands for a value that is not shown", "write the value itself");
    }
    text.set_sensitive(is_secret(name.as_str()));
    Some(text)
}

/// Whether its value is one that nobody is to read in a config that is shown.
fn is_secret(name: &str) -> bool {
    ["authorization", "cookie", "token", "secret", "password", "key"].iter().any(|word| name.contains(word))
}

/// Names that a message is framed by, or that are about one connection.
fn of_any(name: &str) -> Option<&'static str> {
    match name {
        "content-length" | "transfer-encoding" | "trailer" => Some("Tillgate frames every message itself"),
        "content-encoding" => Some("it says how the body is coded, and no edit of it changes that"),
        "connection"
        | "keep-alive"
        | "proxy-connection"
        | "te"
        | "upgrade"
        | "http2-settings"
        | "proxy-authenticate"
        | "proxy-authorization"
        | "proxy-authentication-info" => Some("it is about one connection, and never passed on"),
        _ if name.starts_with("x-tillgate-") => Some("Tillgate writes it itself, or not at all"),
        _ => None,
    }
}

/// Applications that take `_` for `-` must not be told by another spelling either.
fn of_request(name: &str) -> Option<&'static str> {
    let folded = name.replace('_', "-");
    match folded.as_str() {
        "host" => Some("write `rewrite: { host: NAME }`"),
        "expect" => Some("Tillgate answers it itself"),
        "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" | "x-forwarded-port" | "x-real-ip"
        | "forwarded" => Some("Tillgate says itself who asked; see `trusted_proxies`"),
        "x-request-id" => Some("Tillgate gives every request one"),
        name => of_any(name),
    }
}

fn of_response(name: &str) -> Option<&'static str> {
    let is_date = *name == *header::DATE.as_str();
    if is_date { Some("every answer says when it was made") } else { of_any(name) }
}

fn of_shared_response(name: &str) -> Option<&'static str> {
    if name.starts_with("access-control-") { Some("the route's `cors` says it") } else { of_response(name) }
}
