//! Where requests were sent beside what the balancer says: sticky clients, splits, mirrors, faults.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::snapshot::{Mirror, MirrorCounts, Snapshot};

/// Shows nothing of what no config asks for.
pub(super) fn encode(snapshot: &Snapshot, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    sticky(snapshot, out)?;
    split(snapshot, out)?;
    mirrors(snapshot, out)?;
    faults(snapshot, out)
}

fn sticky(snapshot: &Snapshot, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Answered requests of sticky upstreams, by what their cookie came to";
    let mut family = out.encode_descriptor("sticky_requests", help, None, MetricType::Counter)?;
    for upstream in &snapshot.upstreams {
        for (result, count) in upstream.sticky.iter().flat_map(|sticky| sticky.counts.each()) {
            let labels = [("upstream", &*upstream.name), ("result", result)];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}

fn split(snapshot: &Snapshot, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Requests of split routes, by the upstream that was chosen";
    let mut family = out.encode_descriptor("split_requests", help, None, MetricType::Counter)?;
    for route in &snapshot.routes {
        for branch in route.split.iter().flat_map(|split| &split.branches) {
            let upstream = &*snapshot.upstreams[branch.upstream].name;
            let count = branch.requests.load(Relaxed);
            family
                .encode_family(&[("route", &*route.name), ("upstream", upstream)])?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}

/// Mirrors with their labels.
fn mirrored(snapshot: &Snapshot) -> impl Iterator<Item = ([(&str, &str); 2], &Mirror)> {
    snapshot.routes.iter().filter_map(|route| {
        let mirror = route.mirror.as_deref()?;
        Some(([("route", &*route.name), ("upstream", &*snapshot.upstreams[mirror.upstream].name)], mirror))
    })
}

fn mirrors(snapshot: &Snapshot, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Copies of requests that were sent, by whether there was an answer";
    let sent: [(_, Count); 2] =
        [("answered", |counts| &counts.answered), ("failed", |counts| &counts.failed)];
    copies(snapshot, out, ("mirror_requests", help, "result"), sent)?;
    let help = "Copies that were not sent, by why";
    let dropped: [(_, Count); 2] = [("busy", |counts| &counts.busy), ("body", |counts| &counts.body)];
    copies(snapshot, out, ("mirror_dropped", help, "reason"), dropped)?;
    let help = "Copies under way";
    let mut family = out.encode_descriptor("mirror_in_flight", help, None, MetricType::Gauge)?;
    for (labels, mirror) in mirrored(snapshot) {
        family.encode_family(&labels)?.encode_gauge(&mirror.counts.in_flight())?;
    }
    Ok(())
}

type Count = fn(&MirrorCounts) -> &AtomicU64;

fn copies(
    snapshot: &Snapshot,
    out: &mut DescriptorEncoder<'_>,
    (name, help, label): (&str, &str, &'static str),
    counts: [(&'static str, Count); 2],
) -> fmt::Result {
    let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    for ([route, upstream], mirror) in mirrored(snapshot) {
        for (word, count) in counts {
            let count = count(&mirror.counts).load(Relaxed);
            family
                .encode_family(&[route, upstream, (label, word)])?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}

fn faults(snapshot: &Snapshot, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Faults injected on purpose";
    let mut family = out.encode_descriptor("faults_injected", help, None, MetricType::Counter)?;
    for route in &snapshot.routes {
        let Some(fault) = &route.fault else { continue };
        for (kind, count) in [("delay", &fault.counts.delay), ("abort", &fault.counts.abort)] {
            let labels = [("route", &*route.name), ("kind", kind)];
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&count.load(Relaxed), None)?;
        }
    }
    Ok(())
}
