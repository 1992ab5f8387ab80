//! What upstreams let in, let wait and turn away. Upstreams that nothing bounds are left out.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::super::aggregate::Figures;
use crate::config::Priority;
use crate::policy::admission::{Admission, BOUNDS_MS};
use crate::snapshot::{Snapshot, Upstream};

pub(super) fn encode(out: &mut DescriptorEncoder<'_>, snapshot: &Snapshot, figures: &Figures) -> fmt::Result {
    let bounded = || snapshot.upstreams.iter().filter(|upstream| upstream.has_admission());
    let upstreams: Vec<&Arc<Upstream>> = bounded().collect();
    gauge(out, "upstream_in_flight", "Requests let in and not finished", &upstreams, |one| {
        Some(one.in_flight())
    })?;
    gauge(out, "queue_waiting", "Requests that wait to be let in", &upstreams, |one| Some(one.waiting()))?;
    let help = "Requests that may be in flight now";
    gauge(out, "concurrency_limit", help, &upstreams, Admission::limit)?;
    shares(out, &upstreams)?;
    waits(out, &upstreams)?;
    shed(out, snapshot, figures)
}

fn gauge(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    upstreams: &[&Arc<Upstream>],
    value: fn(&Admission) -> Option<u32>,
) -> fmt::Result {
    let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for upstream in upstreams {
        if let Some(value) = value(&upstream.admission) {
            family.encode_family(&[("upstream", &*upstream.name)])?.encode_gauge(&value)?;
        }
    }
    Ok(())
}

fn shares(out: &mut DescriptorEncoder<'_>, upstreams: &[&Arc<Upstream>]) -> fmt::Result {
    let help = "Share of the requests that is let in, 0 to 1";
    let mut family = out.encode_descriptor("admit_share", help, None, MetricType::Gauge)?;
    for upstream in upstreams {
        for priority in Priority::ALL {
            let labels = [("upstream", &*upstream.name), ("priority", priority.name())];
            let share = f64::from(upstream.admission.shares().of(priority));
            family.encode_family(&labels)?.encode_gauge(&share)?;
        }
    }
    Ok(())
}

fn waits(out: &mut DescriptorEncoder<'_>, upstreams: &[&Arc<Upstream>]) -> fmt::Result {
    let help = "How long requests waited, whether they were let in or not";
    let (unit, kind) = (Unit::Seconds, MetricType::Histogram);
    let mut family = out.encode_descriptor("queue", help, Some(&unit), kind)?;
    for upstream in upstreams {
        let tally = upstream.admission.tally();
        let counts = tally.counts();
        let bounds = BOUNDS_MS.iter().map(|millis| f64::from(*millis) / 1e3).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        family.encode_family(&[("upstream", &*upstream.name)])?.encode_histogram::<NoLabelSet>(
            tally.sum().as_secs_f64(),
            counts.iter().sum(),
            &buckets,
            None,
        )?;
    }
    Ok(())
}

fn shed(out: &mut DescriptorEncoder<'_>, snapshot: &Snapshot, figures: &Figures) -> fmt::Result {
    let help = "Requests turned away for the load of their upstream, by why";
    let mut family = out.encode_descriptor("requests_shed", help, None, MetricType::Counter)?;
    for route in &snapshot.routes {
        let Some(known) = figures.routes.get(&route.id) else { continue };
        for (reason, count) in &known.shed {
            let labels = [("route", &*route.name), ("priority", route.priority.name()), ("reason", *reason)];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
    }
    Ok(())
}
