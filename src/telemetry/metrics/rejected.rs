//! Connections that were closed unserved.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Process;

/// Of one listener.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rejected {
    /// Because the listener was full.
    pub by_listener: u64,
    /// Because the client had as many connections as it may.
    pub by_client: u64,
}

/// By listener and cause.
pub(super) fn encode(process: &Process, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Connections closed unserved because their listener was full, or their client had too many";
    let mut rejected = out.encode_descriptor("connections_rejected", help, None, MetricType::Counter)?;
    for ((_, name), count) in process.listeners.iter().zip(&process.connections_rejected) {
        for (cause, count) in [("listener", count.by_listener), ("client", count.by_client)] {
            rejected
                .encode_family(&[("listener", name.as_str()), ("cause", cause)])?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}
