//! `routes[].priority` and `routes[].slo`.

use std::time::Duration;

use super::value::Value;
use crate::config::model::Priority;

const PRIORITIES: [(&str, Priority); 3] =
    [("critical", Priority::Critical), ("normal", Priority::Normal), ("sheddable", Priority::Sheddable)];

/// One of the three words.
pub(super) fn priority(value: Value<'_>) -> Option<Priority> {
    value.one_of(&PRIORITIES)
}

/// The target of the route's p99; `Some(None)` for `off`.
pub(super) fn slo(value: Value<'_>) -> Option<Option<Duration>> {
    if value.is_off() {
        return Some(None);
    }
    value.duration(Duration::from_millis(1)..=Duration::from_secs(60)).map(Some)
}
