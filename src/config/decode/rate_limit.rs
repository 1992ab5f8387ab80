//! `routes[].rate_limit`.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use super::fields::Fields;
use super::strategy::{cookie_name, header_name};
use super::value::{Context, Value};
use crate::config::model::{Per, Rate, RateKey, RateLimit, Route};
use crate::config::node::{Data, Ordinal};
use crate::config::problem::Severity;

/// Requests in one unit of time, and at once.
const COUNT: RangeInclusive<u64> = 1..=1_000_000;

/// Keys of one limit.
const KEYS: RangeInclusive<u64> = 1024..=1 << 20;

/// Keys of all limits of one file: 256 MiB.
const MOST_KEYS: u64 = 8 << 20;

/// Limits of one route. Each costs its requests a look-up.
const MOST: usize = 4;

const KEY_HINT: &str = "write `client_ip`, `{ header: X-Api-Key }` or `{ cookie: session }`";
const RATE_HINT: &str = "write it as `100/s`, `60/m` or `1000/h`";

/// One limit, a list of them, or `off`.
pub(super) fn read(value: Value<'_>) -> Option<Vec<RateLimit>> {
    if value.is_off() {
        return Some(Vec::new());
    }
    if !matches!(value.node.data, Data::Seq(_)) {
        return one(value).map(|limit| vec![limit]);
    }
    let items: Vec<_> = value.items("limit")?.collect();
    if items.is_empty() || items.len() > MOST {
        let message = format!("`rate_limit` has {} limits, and may have 1 to {MOST}", items.len());
        return value.refuse_hint(message, "write `rate_limit: off` for none");
    }
    Some(unlike(items))
}

/// Two that count the same by the same rate would be one that counts twice.
fn unlike(items: Vec<Value<'_>>) -> Vec<RateLimit> {
    let mut limits: Vec<RateLimit> = Vec::with_capacity(items.len());
    for item in items {
        let Some(limit) = one(item) else { continue };
        if limits.iter().any(|other| other.key == limit.key && other.rate == limit.rate) {
            item.refuse::<()>(format!("{} by {} is limited already", limit.rate, limit.key));
        }
        limits.push(limit);
    }
    limits
}

fn one(value: Value<'_>) -> Option<RateLimit> {
    let mut fields = Fields::open(value)?;
    let key = fields.require("key", "add `key: client_ip`", key);
    let rate = fields.require("rate", "add `rate: 100/s`", rate);
    let burst = fields.get("burst", count);
    let max_keys = fields.get("max_keys", max_keys).unwrap_or(RateLimit::MAX_KEYS);
    fields.close();
    let rate = rate?;
    Some(RateLimit { key: key?, rate, burst: burst.unwrap_or(rate.count), max_keys })
}

fn key(value: Value<'_>) -> Option<RateKey> {
    match &value.node.data {
        Data::Text(text) if text == "client_ip" => Some(RateKey::ClientIp),
        Data::Map(_) => named_key(value),
        data => value.refuse_hint(
            format!("`key` must be client_ip, a header or a cookie, found {}", data.describe()),
            KEY_HINT,
        ),
    }
}

fn named_key(value: Value<'_>) -> Option<RateKey> {
    let mut fields = Fields::open(value)?;
    let (header, cookie) = (fields.take("header"), fields.take("cookie"));
    fields.close();
    match (header, cookie) {
        (Some(header), None) => header_name(header).map(RateKey::Header),
        (None, Some(cookie)) => cookie_name(cookie).map(RateKey::Cookie),
        (None, None) => value.refuse_hint("`key` names no header and no cookie", KEY_HINT),
        (Some(_), Some(_)) => {
            value.refuse_hint("`key` names a header and a cookie", "make a list of two limits")
        }
    }
}

fn rate(value: Value<'_>) -> Option<Rate> {
    let Data::Text(_) = &value.node.data else { return not_a_rate(value, &value.node.data.describe()) };
    let text = value.text()?;
    parse_rate(&text).or_else(|| not_a_rate(value, &format!("`{text}`")))
}

fn not_a_rate<T>(value: Value<'_>, found: &str) -> Option<T> {
    let (least, most) = (COUNT.start(), COUNT.end());
    let message = format!("`rate` must be {least} to {most} a second, minute or hour, found {found}");
    value.refuse_hint(message, RATE_HINT)
}

fn parse_rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let count: u64 = count.trim().parse().ok().filter(|count| COUNT.contains(count))?;
    let per = Per::ALL.into_iter().find(|per| per.name() == unit.trim())?;
    Some(Rate { count: u32::try_from(count).ok().and_then(NonZeroU32::new)?, per })
}

fn count(value: Value<'_>) -> Option<NonZeroU32> {
    value.whole(COUNT).and_then(|count| u32::try_from(count).ok()).and_then(NonZeroU32::new)
}

fn max_keys(value: Value<'_>) -> Option<u32> {
    value.whole(KEYS).and_then(|keys| u32::try_from(keys).ok())
}

/// Whether all of them together fit into memory.
pub(super) fn check_total(value: Value<'_>, routes: &[(Route, Ordinal)]) {
    let limits = routes.iter().flat_map(|(route, _)| &route.rate_limit);
    let total: u64 = limits.map(|limit| u64::from(limit.max_keys + limit.newcomers())).sum();
    if total > MOST_KEYS {
        let message =
            format!("all `rate_limit` together keep {total} keys, and may keep {MOST_KEYS} (256 MiB)");
        value.refuse_hint::<()>(message, "give some of them a smaller `max_keys`");
    }
}

/// Warns at every route whose limits all count what a client may make up.
pub(super) fn warn(cx: &Context<'_>, routes: &[(Route, Ordinal)]) {
    for (route, at) in routes {
        let by_client = route.rate_limit.iter().any(|limit| limit.key == RateKey::ClientIp);
        if let (Some(limit), false) = (route.rate_limit.first(), by_client) {
            let message = format!(
                "a client of route `{}` that makes up a {} is limited by nothing",
                route.name, limit.key
            );
            let hint = "put a limit by `client_ip` beside it, or ignore this if something in front checks it";
            cx.report(*at, Severity::Warning, message, Some(hint.to_owned()));
        }
    }
}
