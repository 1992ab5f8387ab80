//! Puts outlier detection to work on the figures of a pool: policy decides, here it is told and logged.

use std::time::Instant;

use super::{Figures, PoolFigures};
use crate::policy::outlier::{Change, Sign};
use crate::snapshot::{Id, Snapshot, Upstream};
use crate::telemetry::record::Sample;

impl Figures {
    /// An endpoint whose health check had failed has passed it: if it is ejected, it returns at the next tick.
    pub fn passed_health_check(&mut self, endpoint: Id, now: Instant) {
        if let Some(&(pool, at)) = self.places.get(&endpoint) {
            self.pools[pool].outliers.end(at, now);
        }
    }

    /// Ejects at once what fails in a row. To be called after each batch; nearly always there is nothing to do.
    pub fn answer_alarms(&mut self, snapshot: &Snapshot, now: Instant) {
        for pool in self.alarmed.drain(..) {
            let (Some(figures), Some(upstream)) = (self.pools.get_mut(pool), snapshot.upstreams.get(pool))
            else {
                continue;
            };
            if figures.eject(upstream, now) {
                upstream.reopen();
            }
        }
    }

    pub(super) fn note_alarm(&mut self, pool: usize, at: usize, sample: &Sample, now: Instant) {
        let is_alarming = sample.sign == Sign::Bad && self.pools[pool].outliers.is_alarming(at, now);
        if is_alarming && !self.alarmed.contains(&pool) {
            self.alarmed.push(pool);
        }
    }
}

impl PoolFigures {
    /// Ejects and brings back what is due, by the scores of the last tick. Whether the pool has to decide anew.
    pub(super) fn eject(&mut self, upstream: &Upstream, now: Instant) -> bool {
        let scores = &self.endpoints;
        let tails = |at: usize| scores[at].score.map_or(1.0, |score| score.raw_tail);
        let changes = self.outliers.tick(upstream.balancer.candidates(), tails, now);
        for change in &changes {
            if let Change::Returned(at) = change {
                // Before anybody can pick it: what is known of it is from before.
                self.recent.give_another_chance(*at, now);
            }
            self.tell(*change, upstream);
        }
        !changes.is_empty()
    }

    fn tell(&self, change: Change, upstream: &Upstream) {
        let name = |at: usize| &*upstream.endpoints[at].name;
        match change {
            Change::Ejected(at, cause, length) => {
                let times = self.outliers.ejection(at).map(|ejection| ejection.times);
                let cause = cause.name();
                tracing::warn!(
                    upstream = &*upstream.name,
                    endpoint = name(at),
                    cause,
                    ?length,
                    times,
                    "endpoint ejected"
                );
            }
            Change::Returned(at) => {
                tracing::info!(
                    upstream = &*upstream.name,
                    endpoint = name(at),
                    "endpoint back from its ejection"
                );
            }
        }
    }
}

/// An endpoint that was ejected is not watched any more.
pub(super) fn tell_unwatched(upstream: &Upstream, at: usize) {
    let (upstream, endpoint) = (&*upstream.name, &*upstream.endpoints[at].name);
    tracing::info!(upstream, endpoint, "outlier detection turned off: an ejected endpoint is back");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::policy::score::{self, Outcome};
    use crate::telemetry::recorder::Batch;

    fn snapshot() -> Snapshot {
        let text = "listeners: { web: { address: \"127.0.0.1:0\" } }\n\
                    upstreams: { shop: { endpoints: [\"127.0.0.1:1\", \"127.0.0.1:2\"] } }\n\
                    routes: [ { upstream: shop } ]\n";
        let config = config::parse("shop.yaml", text, &|_| None).expect("a good config").config;
        crate::snapshot::build(config, None, None, &|_, _| Ok(vec![])).expect("nothing to resolve")
    }

    fn tries(endpoint: Id, (outcome, sign): (Outcome, Sign), count: usize, now: Instant) -> Batch {
        let learned = score::Sample { route: 0, latency: None, outcome };
        let sample = Sample { endpoint, learned, sign, began: now };
        Batch { records: vec![], samples: vec![sample; count], retries: vec![], hedging: vec![], lost: 0 }
    }

    #[test]
    fn what_fails_in_a_row_is_not_left_in_until_the_next_tick() {
        let (snapshot, now) = (snapshot(), Instant::now());
        let mut figures = Figures::default();
        figures.follow(&snapshot, now);
        let upstream = &snapshot.upstreams[0];
        figures.absorb(&tries(upstream.endpoints[0].id, (Outcome::Success, Sign::Good), 1, now), now);
        let mut fail = |count| {
            let batch = tries(upstream.endpoints[1].id, (Outcome::Failure, Sign::Bad), count, now);
            figures.absorb(&batch, now);
            figures.answer_alarms(&snapshot, now);
            upstream.state(1).standing().ejected
        };
        assert_eq!((fail(4), fail(1)), (false, true));
        assert!(
            !upstream.state(1).gives(crate::policy::availability::Access::Draining),
            "nothing goes there"
        );
    }

    #[test]
    fn retries_that_were_saved_up_are_forgotten_by_the_ticks() {
        let (snapshot, now) = (snapshot(), Instant::now());
        let mut figures = Figures::default();
        figures.follow(&snapshot, now);
        let budget = &snapshot.upstreams[0].budget;
        budget.pay_in(100_000);
        (0..1200).for_each(|_| figures.publish(&snapshot, now));
        assert!((0..1000).filter(|_| budget.take(now)).count() < 20);
    }
}
