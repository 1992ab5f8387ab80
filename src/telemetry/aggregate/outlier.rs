//! Puts outlier detection to work on the figures of a pool: policy decides, here it is told and logged.

use std::time::Instant;

use super::{Figures, PoolFigures};
use crate::policy::outlier::Change;
use crate::snapshot::{Id, Upstream};

impl Figures {
    /// An endpoint whose health check had failed has passed it: if it is ejected, it returns at the next tick.
    pub fn passed_health_check(&mut self, endpoint: Id, now: Instant) {
        if let Some(&(pool, at)) = self.places.get(&endpoint) {
            self.pools[pool].outliers.end(at, now);
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
