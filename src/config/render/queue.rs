//! `queue` and `adaptive_concurrency`.

use super::{Doc, duration, map, text};
use crate::config::model::{AdaptiveConcurrency, Queue};

pub(super) fn queue_doc(queue: Option<Queue>) -> Doc {
    let Some(Queue { max_in_flight, max_waiting, timeout }) = queue else { return text("off") };
    map([
        ("max_in_flight", Doc::Whole(max_in_flight.into())),
        ("max_waiting", Doc::Whole(max_waiting.into())),
        ("timeout", duration(timeout)),
    ])
}

pub(super) fn adaptive_doc(adaptive: Option<AdaptiveConcurrency>) -> Doc {
    let Some(AdaptiveConcurrency { min, max, tolerance_percent }) = adaptive else { return text("off") };
    map([
        ("min", Doc::Whole(min.into())),
        ("max", Doc::Whole(max.into())),
        ("tolerance_percent", Doc::Whole(tolerance_percent.into())),
    ])
}
