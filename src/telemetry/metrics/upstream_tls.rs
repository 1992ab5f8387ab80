//! How connections to endpoints are secured. Only of upstreams with TLS.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::snapshot::Snapshot;

/// Whether endpoints have to prove who they are.
pub(super) fn encode(out: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let help = "1 where whoever answers at an endpoint's address is believed (verify: false)";
    let mut unverified = out.encode_descriptor("upstream_tls_unverified", help, None, MetricType::Gauge)?;
    for upstream in &snapshot.upstreams {
        if let Some(tls) = &upstream.config.tls {
            let labels = [("upstream", &*upstream.name)];
            unverified.encode_family(&labels)?.encode_gauge(&u64::from(!tls.verify))?;
        }
    }
    Ok(())
}
