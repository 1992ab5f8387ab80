//! Connections that were closed unserved.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Process;
use crate::policy::proxy_header::Refusal;

/// Of one listener.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rejected {
    /// Because the listener was full.
    pub by_listener: u64,
    /// Because the client had as many connections as it may.
    pub by_client: u64,
    /// For want of a good PROXY header, index by index [`Refusal::ALL`].
    pub by_proxy_header: [u64; Refusal::ALL.len()],
}

/// By listener and cause.
pub(super) fn encode(process: &Process, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Connections closed unserved: listener full, too many of one client, or no good PROXY header";
    let mut rejected = out.encode_descriptor("connections_rejected", help, None, MetricType::Counter)?;
    for ((_, name), count) in process.listeners.iter().zip(&process.connections_rejected) {
        let by_proxy_header = Refusal::ALL.map(Refusal::name).into_iter().zip(count.by_proxy_header);
        let by_place = [("listener", count.by_listener), ("client", count.by_client)];
        for (cause, count) in by_place.into_iter().chain(by_proxy_header) {
            rejected
                .encode_family(&[("listener", name.as_str()), ("cause", cause)])?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}
