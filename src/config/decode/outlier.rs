//! `upstreams.*.outlier_detection`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fields::Fields;
use super::show_duration;
use super::value::Value;
use crate::config::model::OutlierDetection;

/// Ejections begin and end ten times a second.
const SHORTEST: Duration = Duration::from_millis(100);
const BASE: RangeInclusive<Duration> = SHORTEST..=Duration::from_secs(3600);
const MAX: RangeInclusive<Duration> = SHORTEST..=Duration::from_secs(24 * 3600);
const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// `Some(None)` for `off`. `panic_percent`: the upstream's `panic_threshold_percent`.
pub(super) fn read(value: Value<'_>, panic_percent: u8) -> Option<Option<OutlierDetection>> {
    if value.is_off() {
        return Some(None);
    }
    let mut fields = Fields::open(value)?;
    let default = OutlierDetection::default();
    let in_a_row = |value| or_off(value, |value| number(value, 1..=1000));
    let base_ejection =
        fields.get("base_ejection", |value| value.duration(BASE)).unwrap_or(default.base_ejection);
    let most = |value| max_ejection(value, base_ejection);
    let detection = OutlierDetection {
        consecutive_failures: fields
            .get("consecutive_failures", in_a_row)
            .unwrap_or(default.consecutive_failures),
        failure_percent: fields
            .get("failure_percent", |value| or_off(value, |value| number(value, 1..=100)))
            .unwrap_or(default.failure_percent),
        latency_factor: fields
            .get("latency_factor", |value| or_off(value, |value| number(value, 2..=100)))
            .unwrap_or(default.latency_factor),
        min_requests: fields
            .get("min_requests", |value| number(value, 1..=1_000_000))
            .unwrap_or(default.min_requests),
        interval: fields.get("interval", |value| value.duration(INTERVAL)).unwrap_or(default.interval),
        base_ejection,
        max_ejection: fields.get("max_ejection", most).unwrap_or(default.max_ejection.max(base_ejection)),
        max_ejected_percent: fields
            .get("max_ejected_percent", |value| share(value, panic_percent))
            .unwrap_or(default.max_ejected_percent),
    };
    fields.close();
    refuse_nothing(value, &detection).then_some(Some(detection))
}

fn or_off<T>(value: Value<'_>, read: impl FnOnce(Value<'_>) -> Option<T>) -> Option<Option<T>> {
    if value.is_off() { Some(None) } else { read(value).map(Some) }
}

fn number<T: TryFrom<u64>>(value: Value<'_>, range: RangeInclusive<u64>) -> Option<T> {
    value.whole(range).and_then(|number| T::try_from(number).ok())
}

fn max_ejection(value: Value<'_>, base: Duration) -> Option<Duration> {
    let max = value.duration(MAX)?;
    if max >= base {
        return Some(max);
    }
    value.refuse(format!("`max_ejection` is shorter than `base_ejection`, which is {}", show_duration(base)))
}

/// Beyond what the panic threshold allows, an ejection would bring all of them back.
fn share(value: Value<'_>, panic_percent: u8) -> Option<u8> {
    let share: u8 = number(value, 0..=100)?;
    if share > 100 - panic_percent {
        let message = format!(
            "with more than {} % ejected, `panic_threshold_percent: {panic_percent}` gives all endpoints requests again",
            100 - panic_percent
        );
        value.warn(message, "lower one of the two");
    }
    Some(share)
}

/// Whether there is anything that it looks for.
fn refuse_nothing(value: Value<'_>, detection: &OutlierDetection) -> bool {
    let OutlierDetection { consecutive_failures, failure_percent, latency_factor, .. } = detection;
    let any = consecutive_failures.is_some() || failure_percent.is_some() || latency_factor.is_some();
    if !any {
        value.refuse_hint::<()>("nothing is left to look for", "write `outlier_detection: off`");
    }
    any
}
