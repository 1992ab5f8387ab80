//! `routes[].upgrades`.

use super::value::Value;
use crate::config::excerpt::quoted;
use crate::config::model::Upgrades;

/// Protocols that one route may name.
const MOST: usize = 8;
/// Bytes of a name.
const LONGEST: usize = 64;

/// `off`, or a list of names.
pub(super) fn read(value: Value<'_>) -> Option<Upgrades> {
    if value.is_off() {
        return Some(Upgrades::off());
    }
    let items: Vec<_> = value.items("protocol")?.collect();
    if items.is_empty() {
        return value.refuse_hint("`upgrades` names no protocol", "write `upgrades: off` to allow none");
    }
    if items.len() > MOST {
        return value.refuse(format!("`upgrades` names {} protocols, and {MOST} is the most", items.len()));
    }
    let mut protocols = Vec::with_capacity(items.len());
    for item in items {
        let protocol = protocol(item)?;
        if protocols.contains(&protocol) {
            return item.refuse_hint(format!("{} stands there twice", quoted(&protocol)), "remove one");
        }
        protocols.push(protocol);
    }
    Some(Upgrades::of(protocols))
}

fn protocol(item: Value<'_>) -> Option<String> {
    let protocol = item.text()?.to_ascii_lowercase();
    if !is_protocol(&protocol) {
        let message = format!("{} is not the name of a protocol", quoted(&protocol));
        return item.refuse_hint(message, "write it as it stands in `Upgrade`, as in `websocket`");
    }
    match danger(&protocol) {
        None => Some(protocol),
        Some(danger) => item.refuse_hint(
            format!("{} is never passed on: {danger}", quoted(&protocol)),
            "remove it; `websocket` is the one that shops need",
        ),
    }
}

/// `name` or `name/version`, each a token (RFC 9110 section 7.8).
fn is_protocol(text: &str) -> bool {
    let (name, version) = text.split_once('/').unwrap_or((text, "1"));
    let is_token = |part: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !part.is_empty() && part.bytes().all(is_good)
    };
    text.len() <= LONGEST && is_token(name) && is_token(version)
}

/// What would follow if a client could switch to it.
fn danger(protocol: &str) -> Option<&'static str> {
    let name = protocol.split('/').next().unwrap_or(protocol);
    match name {
        "h2c" | "h2" | "h3" | "http" => Some("requests in it would pass every route and limit unseen"),
        "tls" => Some("what is in it could not be seen"),
        _ if name.starts_with("connect") => Some("it would make this an open proxy"),
        _ => None,
    }
}
