//! Tunnels, by route. Only of routes that had any.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::snapshot::{Snapshot, TunnelCounts};

/// A route's name and its counts.
type Named<'a> = (&'a str, &'a TunnelCounts);

/// How many are open, how many were, and what went through them.
pub(super) fn encode(out: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let had_any = |counts: &TunnelCounts| counts.opened.load(Relaxed) > 0;
    let routes = snapshot.routes.iter().map(|route| (&*route.name, &*route.tunnels));
    let routes: Vec<Named<'_>> = routes.filter(|(_, counts)| had_any(counts)).collect();
    let help = "Tunnels that are open, such as WebSockets";
    let mut open = out.encode_descriptor("tunnels_open", help, None, MetricType::Gauge)?;
    for (route, counts) in &routes {
        open.encode_family(&[("route", *route)])?.encode_gauge(&counts.open.load(Relaxed))?;
    }
    let help = "Tunnels that were opened";
    let mut opened = out.encode_descriptor("tunnels_opened", help, None, MetricType::Counter)?;
    for (route, counts) in &routes {
        let count = counts.opened.load(Relaxed);
        opened.encode_family(&[("route", *route)])?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
    }
    bytes(out, &routes)
}

fn bytes(out: &mut DescriptorEncoder<'_>, routes: &[Named<'_>]) -> fmt::Result {
    let help = "Bytes through tunnels, from clients (in) and to them (out)";
    let mut family = out.encode_descriptor("tunnel", help, Some(&Unit::Bytes), MetricType::Counter)?;
    for (route, counts) in routes {
        let directions: [(_, &AtomicU64); 2] = [("in", &counts.bytes_in), ("out", &counts.bytes_out)];
        for (direction, count) in directions {
            let labels = [("route", *route), ("direction", direction)];
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&count.load(Relaxed), None)?;
        }
    }
    Ok(())
}
