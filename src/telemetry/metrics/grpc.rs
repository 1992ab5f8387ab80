//! What gRPC calls end with.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::snapshot::Snapshot;
use crate::telemetry::aggregate::Figures;

/// Of the routes that had calls.
pub(super) fn encode(snapshot: &Snapshot, figures: &Figures, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "gRPC calls by what they ended with";
    let mut calls = out.encode_descriptor("grpc_requests", help, None, MetricType::Counter)?;
    for route in &snapshot.routes {
        for (code, count) in figures.routes.get(&route.id).iter().flat_map(|route| &route.grpc) {
            let labels = [("route", &*route.name), ("grpc_status", *code)];
            calls.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
    }
    Ok(())
}
