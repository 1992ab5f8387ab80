//! `routes[].fault`.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::StatusCode;

use super::fields::Fields;
use super::strategy::header_name;
use super::value::Value;
use crate::config::model::{Abort, Delay, Fault, Share};

/// A client waits meanwhile, and so does what it holds here.
const DELAY: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

/// `Some(None)` for `off`. `route`: its name, where that could be read.
pub(super) fn read(value: Value<'_>, route: Option<&str>) -> Option<Option<Fault>> {
    const EXAMPLE: &str = "write `fault: { delay: { for: 200ms, percent: 10 } }`, \
                           `fault: { abort: { status: 503, percent: 1 } }`, or both in one";
    if value.is_off() {
        return Some(None);
    }
    let mut fields = Fields::open(value)?;
    let given = fields.has("delay") || fields.has("abort");
    let delay = fields.take("delay").map_or(Some(None), |value| delay(value).map(Some));
    let abort = fields.take("abort").map_or(Some(None), |value| abort(value).map(Some));
    let when = fields.take("when").map_or(Some(None), |value| when(value).map(Some));
    fields.close();
    if !given {
        return value.refuse_hint("`fault` has neither `delay` nor `abort`", EXAMPLE);
    }
    let fault = Fault { delay: delay?, abort: abort?, when: when? };
    warn(value, &fault, route);
    Some(Some(fault))
}

/// Also logged at every (re)load: what is left on after a game day is found.
fn warn(value: Value<'_>, fault: &Fault, route: Option<&str>) {
    if fault.is_on() {
        let message = format!("route `{}` has faults injected on purpose", route.unwrap_or_default());
        value.warn(message, "write `fault: off` when the test is over");
    }
}

fn delay(value: Value<'_>) -> Option<Delay> {
    let mut fields = Fields::open(value)?;
    let length = fields.require("for", "add `for: 200ms`", |value| value.duration(DELAY));
    let percent = percent(&mut fields);
    fields.close();
    Some(Delay { length: length?, percent: percent? })
}

fn abort(value: Value<'_>) -> Option<Abort> {
    let mut fields = Fields::open(value)?;
    let status = fields.require("status", "add `status: 503`", status);
    let percent = percent(&mut fields);
    fields.close();
    Some(Abort { status: status?, percent: percent? })
}

/// All, where nothing is said.
fn percent(fields: &mut Fields<'_>) -> Option<Share> {
    fields.take("percent").map_or(Some(Share::ALL), Value::percent)
}

fn status(value: Value<'_>) -> Option<StatusCode> {
    let number = value.whole(400..=599)?;
    u16::try_from(number).ok().and_then(|number| StatusCode::from_u16(number).ok())
}

fn when(value: Value<'_>) -> Option<http::HeaderName> {
    let mut fields = Fields::open(value)?;
    let header = fields.require("header", "add `header: X-Game-Day`", header_name);
    fields.close();
    header
}
