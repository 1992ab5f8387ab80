//! `upstreams.*.outlier_detection`.

use super::{Doc, duration, map, text, whole};
use crate::config::model::OutlierDetection;

pub(super) fn doc(detection: Option<&OutlierDetection>) -> Doc {
    let Some(detection) = detection else { return text("off") };
    let OutlierDetection {
        consecutive_failures,
        failure_percent,
        latency_factor,
        min_requests,
        interval,
        base_ejection,
        max_ejection,
        max_ejected_percent,
    } = *detection;
    map([
        ("consecutive_failures", or_off(consecutive_failures)),
        ("failure_percent", or_off(failure_percent)),
        ("latency_factor", or_off(latency_factor)),
        ("min_requests", Doc::Whole(min_requests.into())),
        ("interval", duration(interval)),
        ("base_ejection", duration(base_ejection)),
        ("max_ejection", duration(max_ejection)),
        ("max_ejected_percent", whole(max_ejected_percent.into())),
    ])
}

fn or_off(number: Option<impl Into<u64>>) -> Doc {
    number.map_or_else(|| text("off"), |number| Doc::Whole(number.into()))
}
