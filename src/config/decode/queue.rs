//! `upstreams.*.queue` and `adaptive_concurrency`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fields::Fields;
use super::value::Value;
use crate::config::model::{AdaptiveConcurrency, Queue};

/// What a limit of requests may be.
const REQUESTS: RangeInclusive<u64> = 1..=1_000_000;

/// A client waits meanwhile.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

/// `Some(None)` for `off`.
pub(super) fn read(value: Value<'_>) -> Option<Option<Queue>> {
    if value.is_off() {
        return Some(None);
    }
    let mut fields = Fields::open(value)?;
    let default = Queue::default();
    let queue = Queue {
        max_in_flight: fields.get("max_in_flight", requests).unwrap_or(default.max_in_flight),
        max_waiting: fields.get("max_waiting", waiting).unwrap_or(default.max_waiting),
        timeout: fields.get("timeout", |value| value.duration(WAIT)).unwrap_or(default.timeout),
    };
    fields.close();
    Some(Some(queue))
}

/// `Some(None)` for `off`.
pub(super) fn adaptive(value: Value<'_>) -> Option<Option<AdaptiveConcurrency>> {
    if value.is_off() {
        return Some(None);
    }
    let mut fields = Fields::open(value)?;
    let default = AdaptiveConcurrency::default();
    let min = fields.get("min", requests);
    let lowest = min.unwrap_or(1);
    let max = fields.get("max", |value| most(value, lowest)).unwrap_or(default.max.max(lowest));
    let tolerance_percent = fields.get("tolerance_percent", tolerance).unwrap_or(default.tolerance_percent);
    fields.close();
    Some(Some(AdaptiveConcurrency { min: min.unwrap_or(default.min.min(max)), max, tolerance_percent }))
}

/// A number of requests that may be in flight.
pub(super) fn requests(value: Value<'_>) -> Option<u32> {
    value.whole(REQUESTS).and_then(|number| u32::try_from(number).ok())
}

fn waiting(value: Value<'_>) -> Option<u32> {
    value.whole(0..=*REQUESTS.end()).and_then(|number| u32::try_from(number).ok())
}

fn tolerance(value: Value<'_>) -> Option<u8> {
    value.whole(0..=200).and_then(|number| u8::try_from(number).ok())
}

fn most(value: Value<'_>, min: u32) -> Option<u32> {
    let max = requests(value)?;
    if max >= min {
        return Some(max);
    }
    value.refuse_hint(format!("`max` is lower than `min`, which is {min}"), "write a lower `min` too")
}
