//! Endpoints that are checked: whether they are healthy, and what their checks came to.

use std::fmt;
use std::sync::PoisonError;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::policy::health::Record;
use crate::snapshot::{Endpoint, Snapshot, Upstream};
use crate::telemetry::health::Records;

pub(super) fn encode(out: &mut DescriptorEncoder<'_>, snapshot: &Snapshot, records: &Records) -> fmt::Result {
    let records = records.lock().unwrap_or_else(PoisonError::into_inner);
    let endpoints = || snapshot.upstreams.iter().flat_map(|upstream| of(upstream));
    let checked = || {
        endpoints().filter_map(|(upstream, endpoint)| {
            Some(([("upstream", &*upstream.name), ("endpoint", &*endpoint.name)], records.get(&endpoint.id)?))
        })
    };
    let help = "1 where the health check passes, 0 where it does not";
    let mut healthy = out.encode_descriptor("endpoint_healthy", help, None, MetricType::Gauge)?;
    for (labels, record) in checked() {
        healthy.encode_family(&labels)?.encode_gauge(&u32::from(record.is_healthy()))?;
    }
    let help = "Health checks by endpoint and result; untried for want of a socket";
    let mut checks = out.encode_descriptor("health_checks", help, None, MetricType::Counter)?;
    for ([upstream, endpoint], record) in checked() {
        for (result, count) in results(record) {
            let labels = [upstream, endpoint, ("result", result)];
            checks.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}

/// What they are called in the label `result`, and how many there were.
fn results(record: &Record) -> [(&'static str, u64); 3] {
    [("passed", record.passed), ("failed", record.failed), ("untried", record.untried)]
}

fn of(upstream: &Upstream) -> impl Iterator<Item = (&Upstream, &Endpoint)> {
    upstream.endpoints.iter().map(move |endpoint| (upstream, endpoint))
}
