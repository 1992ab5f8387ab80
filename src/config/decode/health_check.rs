//! `upstreams.*.health_check`.

use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Method, header};

use super::address::refuse;
use super::fields::Fields;
use super::host::{self, Refusal, refusal};
use super::route_match::{headers, method};
use super::value::Value;
use crate::config::excerpt::quoted;
use crate::config::model::{GrpcProbe, HealthCheck, HttpProbe, Probe, Statuses};
use crate::config::node::Data;

const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(300);

/// Statuses that an answer can have in the end.
const STATUS: RangeInclusive<u16> = 200..=599;
/// Ranges of statuses, headers, and bytes of texts: a check costs no more memory than this.
const RANGES: usize = 16;
const HEADERS: usize = 32;
const PATH_BYTES: usize = 4096;
const BODY_TEXT: RangeInclusive<usize> = 1..=1000;
const SERVICE: RangeInclusive<usize> = 1..=255;

/// Headers that every check has already, or that say how it is framed.
const TAKEN: [HeaderName; 6] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
];

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Tcp,
    Grpc,
}

const KINDS: [(&str, Kind); 3] = [("http", Kind::Http), ("tcp", Kind::Tcp), ("grpc", Kind::Grpc)];

/// Keys that belong to one kind of check or another.
const OWN: [&str; 7] = ["method", "path", "host", "headers", "expect", "body", "service"];

/// `Some(None)` for `off`.
pub(super) fn read(value: Value<'_>) -> Option<Option<HealthCheck>> {
    if value.is_off() {
        return Some(None);
    }
    let mut fields = Fields::open(value)?;
    let default = HealthCheck::default();
    let probe = probe(&mut fields);
    let port = fields.get("port", port);
    let interval = fields.take("interval").map_or(Some(default.interval), |value| value.duration(INTERVAL));
    let longest = interval.unwrap_or(*TIMEOUT.end());
    let timeout = fields.get("timeout", |value| timeout(value, longest));
    let rise = fields.get("rise", count).unwrap_or(default.rise);
    let fall = fields.get("fall", count).unwrap_or(default.fall);
    fields.close();
    let timeout = timeout.unwrap_or(default.timeout.min(longest));
    Some(Some(HealthCheck { probe: probe?, port, interval: interval?, timeout, rise, fall }))
}

fn count(value: Value<'_>) -> Option<u8> {
    value.whole(1..=100).and_then(|number| u8::try_from(number).ok())
}

fn port(value: Value<'_>) -> Option<NonZeroU16> {
    let port = value.whole(1..=u16::MAX.into())?;
    u16::try_from(port).ok().and_then(NonZeroU16::new)
}

fn timeout(value: Value<'_>, interval: Duration) -> Option<Duration> {
    let timeout = value.duration(TIMEOUT)?;
    if timeout <= interval {
        return Some(timeout);
    }
    let message = format!("`timeout` is longer than `interval`, which is {}", super::show_duration(interval));
    value.refuse_hint(message, "a check ends before the next begins: make `interval` longer")
}

fn probe(fields: &mut Fields<'_>) -> Option<Probe> {
    match fields.take("type").map_or(Some(Kind::Http), |value| value.one_of(&KINDS)) {
        Some(Kind::Http) => {
            refuse_foreign(fields, "http", |key| key != "service");
            http(fields).map(Probe::Http)
        }
        Some(Kind::Tcp) => {
            refuse_foreign(fields, "tcp", |_| false);
            Some(Probe::Tcp)
        }
        Some(Kind::Grpc) => {
            refuse_foreign(fields, "grpc", |key| matches!(key, "service" | "host"));
            grpc(fields).map(Probe::Grpc)
        }
        None => {
            // Which of them belong to it, only the right word would tell.
            for key in OWN {
                fields.take(key);
            }
            None
        }
    }
}

fn refuse_foreign(fields: &mut Fields<'_>, kind: &str, belongs: impl Fn(&str) -> bool) {
    for key in OWN.iter().filter(|key| !belongs(key)) {
        if let Some(value) = fields.take(key) {
            let fit = if *key == "service" { "grpc" } else { "http" };
            let message = format!("`{key}` has no meaning for type {kind}");
            value.refuse_hint::<()>(message, format!("remove it, or write `type: {fit}`"));
        }
    }
}

/// What is wrong has been reported, and the config is refused for it.
fn http(fields: &mut Fields<'_>) -> Option<HttpProbe> {
    let default = HttpProbe::default();
    let method = fields.get("method", harmless).unwrap_or(default.method);
    let body = fields.take("body");
    if let Some(body) = body.filter(|_| method == Method::HEAD) {
        body.refuse_hint::<()>("the answer to HEAD has no body", "write `method: GET`, or remove `body`");
    }
    Some(HttpProbe {
        method,
        path: fields.get("path", path).unwrap_or(default.path),
        host: fields.get("host", authority),
        headers: fields.get("headers", own_headers).unwrap_or_default(),
        expect: fields.get("expect", statuses).unwrap_or(default.expect),
        body: body.and_then(|value| bounded(value, BODY_TEXT)),
    })
}

fn grpc(fields: &mut Fields<'_>) -> Option<GrpcProbe> {
    let service = fields.get("service", |value| bounded(value, SERVICE));
    Some(GrpcProbe { service, host: fields.get("host", authority) })
}

fn harmless(value: Value<'_>) -> Option<Method> {
    let method = method(value)?;
    if method == Method::CONNECT {
        return value.refuse("CONNECT asks for a tunnel, not for an answer");
    }
    if !method.is_safe() {
        let message = format!("{method} may change something, and a check is repeated for ever");
        value.warn(message, "write `method: GET`, unless the path is made for checks");
    }
    Some(method)
}

fn path(value: Value<'_>) -> Option<PathAndQuery> {
    let text = value.text()?;
    refuse(value, parse_path(&text))
}

fn parse_path(text: &str) -> Result<PathAndQuery, Refusal> {
    if !text.starts_with('/') {
        return Err(refusal(text, "is not a path", format!("write `/{text}`")));
    }
    if text.contains('#') {
        return Err(refusal(text, "is not a path", "a path ends before `#`"));
    }
    if text.len() > PATH_BYTES {
        return Err(refusal(text, "is too long", format!("a path has up to {PATH_BYTES} bytes")));
    }
    let hint = "write a blank as `%20`, and other characters that do not belong into a path likewise";
    text.parse().map_err(|_| refusal(text, "is not a path", hint))
}

/// A host, and a port if there is one.
fn authority(value: Value<'_>) -> Option<Authority> {
    let text = value.text()?;
    refuse(value, parse_authority(&text))
}

fn parse_authority(text: &str) -> Result<Authority, Refusal> {
    let has_port = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    let (name, port) = has_port.unwrap_or((text, "80"));
    if !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return Err(refusal(text, "has no valid port", "a port is a number up to 65535"));
    }
    match host::literal(name) {
        Some(ip) => drop(ip?),
        None => drop(host::dns_name(name)?),
    }
    text.parse().map_err(|_| refusal(text, "is not a host", "write it as `shop.example`"))
}

fn own_headers(value: Value<'_>) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let headers = headers(value)?;
    if headers.len() > HEADERS {
        return value.refuse(format!("`headers` has more than {HEADERS} entries"));
    }
    if let Some((name, _)) = headers.iter().find(|(name, _)| TAKEN.contains(name)) {
        let hint = if *name == header::HOST { "write `host` beside `headers`" } else { "leave it out" };
        return value.refuse_hint(format!("the header `{name}` is not for a config to set"), hint);
    }
    Some(headers)
}

/// `200`, `200-399`, or several of those with commas between them.
fn statuses(value: Value<'_>) -> Option<Statuses> {
    let text = match &value.node.data {
        Data::Int(number) => number.to_string(),
        Data::Text(_) => value.text()?,
        _ => return value.refuse_hint("`expect` must be a status or a range", "write it as `\"200,204\"`"),
    };
    let ranges: Vec<_> = text.split(',').map(|part| range(part.trim())).collect();
    if ranges.len() > RANGES {
        return value.refuse(format!("`expect` has more than {RANGES} ranges"));
    }
    let ranges: Result<Vec<_>, Refusal> = ranges.into_iter().collect();
    refuse(value, ranges).map(Statuses::new)
}

fn range(text: &str) -> Result<(u16, u16), Refusal> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let (least, most) = (status(least.trim()), status(most.trim()));
    match (least, most) {
        (Some(least), Some(most)) if least <= most => Ok((least, most)),
        (Some(_), Some(_)) => Err(refusal(text, "is an empty range", "write the lower status first")),
        _ => Err(refusal(
            text,
            "is not a status or a range",
            "a status is a number from 200 to 599, a range `200-399`, a list `\"200,204\"`",
        )),
    }
}

fn status(text: &str) -> Option<u16> {
    let is_number = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().filter(|status| STATUS.contains(status))
}

fn bounded(value: Value<'_>, bytes: RangeInclusive<usize>) -> Option<String> {
    let text = value.text()?;
    if bytes.contains(&text.len()) {
        return Some(text);
    }
    let (least, most) = bytes.into_inner();
    let name = quoted(value.name);
    value.refuse(format!("{name} must have {least} to {most} bytes, found {}", text.len()))
}
