//! `routes[].retry`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fields::Fields;
use super::value::Value;
use crate::config::model::{Backoff, Condition, Conditions, Retry};
use crate::config::node::Data;

/// A client waits meanwhile, and so does what it holds here.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(1);

/// Bytes of a body that may be kept for each request under way.
const KEPT: RangeInclusive<u64> = 0..=1 << 20;

/// What to write instead of a policy that allows nothing.
const OFF: &str = "write `retry: off` to send nothing again";

/// `Some(None)` for `off`.
pub(super) fn read(value: Value<'_>) -> Option<Option<Retry>> {
    if value.is_off() {
        return Some(None);
    }
    let mut fields = Fields::open(value)?;
    let default = Retry::default();
    let retry = Retry {
        attempts: fields.get("attempts", attempts).unwrap_or(default.attempts),
        on: fields.get("on", conditions).unwrap_or(default.on),
        budget_percent: fields.get("budget_percent", percent).unwrap_or(default.budget_percent),
        backoff: fields.get("backoff", backoff).unwrap_or(default.backoff),
        max_body: fields.get("max_body", |value| value.size(KEPT)).unwrap_or(default.max_body),
        idempotent_calls: fields.get("idempotent_calls", Value::flag).unwrap_or(default.idempotent_calls),
    };
    warn(value, &retry);
    fields.close();
    Some(Some(retry))
}

fn warn(value: Value<'_>, retry: &Retry) {
    if retry.on.contains(Condition::GrpcUnavailable) && !retry.idempotent_calls {
        value.warn(
            "`grpc_unavailable` has no effect: gRPC calls are POSTs, which are not sent again once an endpoint has them",
            "add `idempotent_calls: true` if the calls of this route do no harm when they are made twice",
        );
    }
}

fn attempts(value: Value<'_>) -> Option<u8> {
    if matches!(value.node.data, Data::Int(0)) {
        return value.refuse_hint("`attempts` must be at least 1", OFF);
    }
    value.whole(1..=5).and_then(|number| u8::try_from(number).ok())
}

fn percent(value: Value<'_>) -> Option<u8> {
    value.whole(1..=100).and_then(|number| u8::try_from(number).ok())
}

fn conditions(value: Value<'_>) -> Option<Conditions> {
    let items: Vec<_> = value.items("condition")?.collect();
    if items.is_empty() {
        return value.refuse_hint("`on` names no condition", OFF);
    }
    let choices = Condition::ALL.map(|condition| (condition.name(), condition));
    Some(items.into_iter().filter_map(|item| item.word_or_number(&choices)).collect())
}

fn backoff(value: Value<'_>) -> Option<Backoff> {
    let mut fields = Fields::open(value)?;
    let default = Backoff::default();
    let max = fields.get("max", |value| value.duration(WAIT)).unwrap_or(default.max);
    let base = fields.get("base", |value| base(value, max)).unwrap_or(default.base.min(max));
    fields.close();
    Some(Backoff { base, max })
}

fn base(value: Value<'_>, max: Duration) -> Option<Duration> {
    let base = value.duration(WAIT)?;
    if base <= max {
        return Some(base);
    }
    value.refuse(format!("`base` is longer than `max`, which is {}", super::show_duration(max)))
}
