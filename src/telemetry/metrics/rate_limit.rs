//! What rate limits do.

use std::fmt;
use std::time::Instant;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::snapshot::{Route, Snapshot};
use crate::telemetry::aggregate::Figures;

/// Of the routes that have limits.
pub(super) fn encode(snapshot: &Snapshot, figures: &Figures, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let limited = || snapshot.routes.iter().filter(|route| !route.rate_limits.is_empty());
    let help = "Requests answered 429 because they were over a limit of their route";
    let mut refused = out.encode_descriptor("rate_limited", help, None, MetricType::Counter)?;
    for route in limited() {
        let count = figures.routes.get(&route.id).map_or(0, |route| route.rate_limited);
        refused
            .encode_family(&[("route", &*route.name)])?
            .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
    }
    let help = "Keys that have used some of a limit of the route";
    let mut keys = out.encode_descriptor("rate_limit_keys", help, None, MetricType::Gauge)?;
    let now = Instant::now();
    for route in limited() {
        keys.encode_family(&[("route", &*route.name)])?.encode_gauge(&keys_in_use(route, now))?;
    }
    let help =
        "Requests whose key found no room among those of a limit, counted by address or with another key";
    let mut crowded = out.encode_descriptor("rate_limit_takeovers", help, None, MetricType::Counter)?;
    for route in limited() {
        let count: u64 = route.rate_limits.iter().map(|limit| limit.crowded()).sum();
        crowded
            .encode_family(&[("route", &*route.name)])?
            .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
    }
    Ok(())
}

fn keys_in_use(route: &Route, now: Instant) -> u64 {
    route.rate_limits.iter().map(|limit| limit.keys_in_use(now) as u64).sum()
}
