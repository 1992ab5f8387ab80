//! What an endpoint's entry says of its ejection.

use std::time::Instant;

use serde_json::{Value, json};

use crate::telemetry::aggregate::PoolFigures;

/// `null` unless it is out.
pub(super) fn describe(pool: &PoolFigures, endpoint: usize, now: Instant) -> Value {
    let Some(ejection) = pool.outliers().ejection(endpoint) else { return Value::Null };
    let left = ejection.until.saturating_duration_since(now);
    json!({
        "cause": ejection.cause.name(),
        // No more digits than anybody reads.
        "for_seconds_more": (left.as_secs_f64() * 10.0).round() / 10.0,
        "times": ejection.times,
    })
}
