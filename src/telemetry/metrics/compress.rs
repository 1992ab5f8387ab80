//! What was compressed, and what it came to.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::snapshot::{CodingCounts, Compress, Snapshot};

/// Of the routes that compress.
pub(super) fn encode(snapshot: &Snapshot, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Responses that were compressed, whole or not";
    by_coding(snapshot, out, ("compressed_responses", help, None), |counts| &counts.responses)?;
    let help = "Bytes of response bodies before they were compressed";
    by_coding(snapshot, out, ("compression_in", help, Some(&Unit::Bytes)), |counts| &counts.bytes_in)?;
    let help = "Bytes of response bodies after they were compressed";
    by_coding(snapshot, out, ("compression_out", help, Some(&Unit::Bytes)), |counts| &counts.bytes_out)?;
    let help = "Responses that were not compressed since as many were being compressed as may";
    let mut family = out.encode_descriptor("compression_busy", help, None, MetricType::Counter)?;
    for (route, compress) in compressing(snapshot) {
        let count = compress.counts.busy.load(Relaxed);
        family.encode_family(&[("route", route)])?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
    }
    let help = "Responses that are being compressed";
    let mut family = out.encode_descriptor("compression_in_flight", help, None, MetricType::Gauge)?;
    for (route, compress) in compressing(snapshot) {
        family.encode_family(&[("route", route)])?.encode_gauge(&compress.counts.in_flight())?;
    }
    Ok(())
}

/// Routes that compress, by name.
fn compressing(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &Compress)> {
    snapshot.routes.iter().filter_map(|route| Some((&*route.name, route.compress.as_deref()?)))
}

fn by_coding(
    snapshot: &Snapshot,
    out: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    value: fn(&CodingCounts) -> &AtomicU64,
) -> fmt::Result {
    let mut family = out.encode_descriptor(name, help, unit, MetricType::Counter)?;
    for (route, compress) in compressing(snapshot) {
        for coding in &compress.config.algorithms {
            let labels = [("route", route), ("algorithm", coding.name())];
            let count = value(compress.counts.of(*coding)).load(Relaxed);
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}
