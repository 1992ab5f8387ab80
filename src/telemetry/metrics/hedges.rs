//! What hedging came to, by route. Only of routes that hedge.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::policy::hedge::Cause;
use crate::snapshot::{Hedged, Snapshot};
use crate::telemetry::aggregate::Figures;
use crate::telemetry::hedges::HedgeFigures;
use crate::telemetry::record::HedgeEnd;

/// Counters of copies sent and not sent, and the delays in force.
pub(super) fn encode(out: &mut DescriptorEncoder<'_>, snapshot: &Snapshot, figures: &Figures) -> fmt::Result {
    let routes: Vec<_> = snapshot
        .routes
        .iter()
        .filter_map(|route| Some((&*route.name, route.hedge.as_ref()?, figures.hedges.get(&route.id)?)))
        .collect();
    ends(out, &routes)?;
    refused(out, &routes)?;
    delays(out, &routes)
}

type Named<'a> = (&'a str, &'a Hedged, &'a HedgeFigures);

fn ends(out: &mut DescriptorEncoder<'_>, routes: &[Named<'_>]) -> fmt::Result {
    let help = "Slow reads sent to a second endpoint, by what the second copy came to";
    let mut hedges = out.encode_descriptor("hedges", help, None, MetricType::Counter)?;
    for (route, _, figures) in routes {
        for (end, count) in HedgeEnd::ALL.iter().zip(figures.ends) {
            let labels = [("route", *route), ("result", end.name())];
            hedges.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}

fn refused(out: &mut DescriptorEncoder<'_>, routes: &[Named<'_>]) -> fmt::Result {
    let help = "Times that a second copy was due and was not sent, by why";
    let mut refused = out.encode_descriptor("hedges_refused", help, None, MetricType::Counter)?;
    for (route, _, figures) in routes {
        for (cause, count) in Cause::ALL.iter().zip(figures.refused) {
            let labels = [("route", *route), ("cause", cause.name())];
            refused.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    Ok(())
}

/// Missing while too little is known.
fn delays(out: &mut DescriptorEncoder<'_>, routes: &[Named<'_>]) -> fmt::Result {
    let help = "How long a read waits before a second copy is due";
    let mut delays = out.encode_descriptor("hedge_delay", help, Some(&Unit::Seconds), MetricType::Gauge)?;
    for (route, hedged, _) in routes {
        if let Some(delay) = hedged.state.delay(hedged.policy.after) {
            delays.encode_family(&[("route", *route)])?.encode_gauge(&delay.as_secs_f64())?;
        }
    }
    Ok(())
}
