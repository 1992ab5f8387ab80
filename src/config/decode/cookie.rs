//! `upstreams.*.sticky` and `routes[].split_cookie`.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fields::Fields;
use super::strategy::cookie_name;
use super::value::{Context, Value};
use crate::config::excerpt::quoted;
use crate::config::model::{Cookie, Route, SameSite, Secret, Upstream};
use crate::config::node::{Data, Ordinal};
use crate::config::problem::Severity;

/// Browsers keep no cookie for longer than 400 days.
const TTL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(365 * 24 * 3600);

/// Fewer characters could be guessed.
const SECRET_BYTES: RangeInclusive<usize> = 32..=256;

/// Each is one more try at a cookie that somebody made up.
const MOST_SECRETS: usize = 4;

/// `Some(None)` for `off`.
pub(super) fn sticky(value: Value<'_>) -> Option<Option<Cookie>> {
    if value.is_off() {
        return Some(None);
    }
    let mut fields = Fields::open(value)?;
    let name = fields.take("cookie").map_or_else(|| Some("tillgate".to_owned()), cookie_name);
    read(fields, name).map(Some)
}

/// A cookie that has to be named.
pub(super) fn named(value: Value<'_>) -> Option<Cookie> {
    let mut fields = Fields::open(value)?;
    let name = fields.require("name", "add `name: tillgate_split`", cookie_name);
    read(fields, name)
}

fn read(mut fields: Fields<'_>, name: Option<String>) -> Option<Cookie> {
    let default = Cookie::named(name.as_deref().unwrap_or_default());
    let cookie = Cookie {
        ttl: fields.get("ttl", |value| value.duration(TTL)).unwrap_or(default.ttl),
        path: fields.get("path", path).unwrap_or(default.path),
        secure: fields.get("secure", secure).flatten(),
        http_only: fields.get("http_only", Value::flag).unwrap_or(default.http_only),
        same_site: same_site(&mut fields).unwrap_or_default(),
        secrets: secrets(&mut fields).unwrap_or_default(),
        name: default.name,
    };
    fields.close();
    name.map(|_| cookie)
}

/// `Some(None)` for `auto`.
fn secure(value: Value<'_>) -> Option<Option<bool>> {
    if matches!(&value.node.data, Data::Text(text) if text == "auto") {
        return Some(None);
    }
    value.flag().map(Some)
}

const SAME_SITE: [(&str, SameSite); 3] =
    [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];

fn same_site(fields: &mut Fields<'_>) -> Option<SameSite> {
    fields.get("same_site", |value| value.one_of(&SAME_SITE))
}

/// RFC 6265 section 4.1.1: a path has no control character and no semicolon.
fn path(value: Value<'_>) -> Option<String> {
    let path = value.text()?;
    let is_fit = |byte: u8| byte.is_ascii_graphic() && byte != b';';
    if path.starts_with('/') && path.len() <= 1024 && path.bytes().all(is_fit) {
        return Some(path);
    }
    value.refuse_hint(format!("{} is not the path of a cookie", quoted(&path)), "write it as `/shop`")
}

/// `secret: NEW`, or `secrets: [NEW, OLD]`.
fn secrets(fields: &mut Fields<'_>) -> Option<Vec<Secret>> {
    match (fields.take("secret"), fields.take("secrets")) {
        (None, None) => None,
        (Some(one), None) => secret(one, one).map(|secret| vec![secret]),
        (None, Some(all)) => several(all),
        (Some(_), Some(all)) => refuse(all, "`secret` and `secrets` exclude each other"),
    }
}

fn several(value: Value<'_>) -> Option<Vec<Secret>> {
    if !matches!(value.node.data, Data::Seq(_)) {
        return refuse(value, "`secrets` must be a list");
    }
    let items: Vec<_> = value.items("secret")?.collect();
    if items.is_empty() || items.len() > MOST_SECRETS {
        return refuse(value, "`secrets` must be 1 to 4 of them");
    }
    items.into_iter().map(|item| secret(item, value)).collect()
}

/// Never repeated in a message, whatever is wrong with it: that is said at the key of `owner`.
fn secret(value: Value<'_>, owner: Value<'_>) -> Option<Secret> {
    if !matches!(value.node.data, Data::Text(_)) {
        return refuse(owner, "a secret must be text");
    }
    let text = value.text()?;
    match SECRET_BYTES.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Some(Secret::new(text)),
        false => refuse(owner, "a secret must be 32 to 256 visible ASCII characters without blanks"),
    }
}

fn refuse<T>(value: Value<'_>, message: &str) -> Option<T> {
    let hint = "write `secret: \"${STICKY_SECRET}\"`, and set it to what `openssl rand -hex 32` prints";
    value.cx.report(value.key_at, Severity::Error, message.to_owned(), Some(hint.to_owned()));
    None
}

/// Where cookies meet in a browser that are not the same there.
pub(super) fn check(cx: &Context<'_>, upstreams: &[(Upstream, Ordinal)], routes: &[(Route, Ordinal)]) {
    let mut owners: HashMap<(&str, &str), String> = HashMap::new();
    let sticky = upstreams
        .iter()
        .filter_map(|(one, at)| Some((one.sticky.as_ref()?, format!("upstream `{}`", one.name), *at)));
    let split = routes.iter().filter_map(|(one, at)| {
        Some((one.split.as_ref()?.cookie.as_ref()?, format!("route `{}`", one.name), *at))
    });
    for (cookie, owner, at) in sticky.chain(split) {
        if cookie.same_site == SameSite::None && cookie.secure == Some(false) {
            let message = format!("browsers drop the cookie of {owner}: `same_site: none` needs `secure`");
            cx.report(at, Severity::Warning, message, Some("write `secure: true`".to_owned()));
        }
        if let Some(other) = owners.get(&(cookie.name.as_str(), cookie.path.as_str())) {
            let message =
                format!("{owner} has the cookie of {other}: a client that goes to both stays with neither");
            let hint = format!("give each a name of its own, such as `{}_2`", cookie.name);
            cx.report(at, Severity::Warning, message, Some(hint));
        }
        owners.entry((&cookie.name, &cookie.path)).or_insert(owner);
    }
}
