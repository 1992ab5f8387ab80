//! Who is ejected, and why; and which pools ignore all that.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::snapshot::{Snapshot, Upstream};
use crate::telemetry::aggregate::{Figures, PoolFigures};

pub(super) fn encode(out: &mut DescriptorEncoder<'_>, snapshot: &Snapshot, figures: &Figures) -> fmt::Result {
    let pools = || snapshot.upstreams.iter().map(|upstream| &**upstream).zip(&figures.pools);
    panics(out, snapshot)?;
    ejected(out, pools())?;
    totals(out, pools())?;
    not_enforced(out, pools())
}

fn panics(out: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let help = "Whether so few endpoints are fit that health is ignored";
    let mut gauge = out.encode_descriptor("upstream_panic", help, None, MetricType::Gauge)?;
    for upstream in &snapshot.upstreams {
        let labels = [("upstream", &*upstream.name)];
        gauge.encode_family(&labels)?.encode_gauge(&u32::from(upstream.panics()))?;
    }
    Ok(())
}

fn ejected<'a>(
    out: &mut DescriptorEncoder<'_>,
    pools: impl Iterator<Item = (&'a Upstream, &'a PoolFigures)>,
) -> fmt::Result {
    let help = "Whether outlier detection has taken the endpoint out";
    let mut gauge = out.encode_descriptor("endpoint_ejected", help, None, MetricType::Gauge)?;
    for (upstream, pool) in pools {
        for (at, endpoint) in upstream.endpoints.iter().enumerate().take(pool.endpoints.len()) {
            let labels = [("upstream", &*upstream.name), ("endpoint", &*endpoint.name)];
            let is_ejected = u32::from(pool.outliers().ejection(at).is_some());
            gauge.encode_family(&labels)?.encode_gauge(&is_ejected)?;
        }
    }
    Ok(())
}

fn totals<'a>(
    out: &mut DescriptorEncoder<'_>,
    pools: impl Iterator<Item = (&'a Upstream, &'a PoolFigures)>,
) -> fmt::Result {
    let help = "Times that outlier detection took the endpoint out, by why";
    let mut counter = out.encode_descriptor("ejections", help, None, MetricType::Counter)?;
    for (upstream, pool) in pools {
        for (at, endpoint) in upstream.endpoints.iter().enumerate().take(pool.endpoints.len()) {
            for (cause, count) in pool.outliers().totals(at).filter(|(_, count)| *count > 0) {
                let labels =
                    [("upstream", &*upstream.name), ("endpoint", &*endpoint.name), ("cause", cause.name())];
                counter.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
    }
    Ok(())
}

fn not_enforced<'a>(
    out: &mut DescriptorEncoder<'_>,
    pools: impl Iterator<Item = (&'a Upstream, &'a PoolFigures)>,
) -> fmt::Result {
    let help = "Times that an endpoint should have been taken out and was not, as too many were out";
    let mut counter = out.encode_descriptor("ejections_not_enforced", help, None, MetricType::Counter)?;
    for (upstream, pool) in pools {
        let labels = [("upstream", &*upstream.name)];
        let count = pool.outliers().not_enforced();
        counter.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
    }
    Ok(())
}
