//! What became of the second copies of slow reads, route by route, and how long the first ones take.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::record::{Copied, Hedge};
use crate::config::After;
use crate::policy::availability::Access;
use crate::policy::hedge::{Cause, UsualDelay};
use crate::snapshot::{Hedged, Id, Route, Snapshot, Upstream};

/// What one route's hedging came to.
#[derive(Debug, Default)]
pub struct HedgeFigures {
    /// Second copies by [`HedgeEnd`](super::record::HedgeEnd).
    pub ends: [u64; 3],
    /// Those that were due and not sent, by [`Cause`].
    pub refused: [u64; Cause::ALL.len()],
    /// Where the delay is measured.
    usual: Option<UsualDelay>,
}

impl HedgeFigures {
    /// Takes in one event. The two copies there were, if it is of a request that was sent twice.
    pub(super) fn learn(&mut self, told: &Hedge, now: Instant) -> Option<Copied> {
        match *told {
            Hedge::First(took) => {
                if let Some(usual) = &mut self.usual {
                    usual.record(took, now);
                }
                None
            }
            Hedge::Refused(cause) => {
                self.refused[cause as usize] += 1;
                None
            }
            Hedge::Copied(copied) => {
                self.ends[copied.end as usize] += 1;
                Some(copied)
            }
        }
    }

    fn follow(&mut self, hedged: &Hedged, now: Instant) {
        match hedged.policy.after {
            After::Time(_) => self.usual = None,
            After::Quantile(quantile) => {
                self.usual.get_or_insert_with(|| UsualDelay::new(quantile, now)).ask_for(quantile);
            }
        }
    }

    fn publish(&mut self, hedged: &Hedged, now: Instant) {
        if let Some(usual) = &mut self.usual {
            hedged.state.publish(usual.read(now));
        }
    }
}

/// Makes room for the routes that hedge, and forgets the others.
pub(super) fn follow(all: &mut HashMap<Id, HedgeFigures>, snapshot: &Snapshot, now: Instant) {
    let hedged: HashMap<Id, &Hedged> = of(snapshot).map(|(route, hedged)| (route.id, hedged)).collect();
    all.retain(|id, _| hedged.contains_key(id));
    for (id, hedged) in hedged {
        all.entry(id).or_default().follow(hedged, now);
    }
}

/// Tells the workers after how long to hedge, and what is usual.
pub(super) fn publish(all: &mut HashMap<Id, HedgeFigures>, snapshot: &Snapshot, now: Instant) {
    if all.is_empty() {
        return;
    }
    for (route, hedged) in of(snapshot) {
        if let Some(figures) = all.get_mut(&route.id) {
            figures.publish(hedged, now);
        }
    }
    let upstreams: HashSet<usize> = of(snapshot).flat_map(|(route, _)| route.upstreams()).collect();
    upstreams.into_iter().for_each(|index| read_load(&snapshot.upstreams[index]));
}

fn read_load(upstream: &Upstream) {
    let states = upstream.balancer.candidates().iter().map(|candidate| &candidate.state);
    upstream.load.read(states.filter(|state| state.gives(Access::Open)).map(|state| state.in_flight()));
}

fn of(snapshot: &Snapshot) -> impl Iterator<Item = (&Route, &Hedged)> {
    snapshot.routes.iter().filter_map(|route| Some((route, route.hedge.as_ref()?)))
}
