//! HTTP/2 connections that were ended for what their clients did.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Process;

/// Why a connection was ended before its client would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedEarly {
    /// A header block was not finished in time.
    HeaderTimeout,
    /// Too many frames that ask for nothing.
    ControlFrames,
    /// Too many requests that ended at once, before their answers did.
    CancelledRequests,
}

impl EndedEarly {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::HeaderTimeout, Self::ControlFrames, Self::CancelledRequests];

    /// The value of the label `cause`.
    fn name(self) -> &'static str {
        match self {
            Self::HeaderTimeout => "header_timeout",
            Self::ControlFrames => "control_frames",
            Self::CancelledRequests => "cancelled_requests",
        }
    }
}

/// By listener and cause.
pub(super) fn encode(process: &Process, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "HTTP/2 connections ended for a header block that did not end, or for a flood";
    let mut ended = out.encode_descriptor("http2_connections_ended", help, None, MetricType::Counter)?;
    for ((_, name), counts) in process.listeners.iter().zip(&process.connections_ended) {
        for (cause, count) in EndedEarly::ALL.into_iter().zip(counts) {
            ended
                .encode_family(&[("listener", name.as_str()), ("cause", cause.name())])?
                .encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
    }
    Ok(())
}
