//! When traffic left an endpoint, and when it was back: read off the picks of a run.

use std::time::Duration;

/// Shares are taken over so long.
const WINDOW: Duration = Duration::from_millis(500);
/// What holds for so long, holds.
const HOLDS: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(10);

/// Which endpoint was picked when, in order of time.
#[derive(Debug, Default, PartialEq)]
pub struct Picks(Vec<(Duration, usize)>);

impl Picks {
    pub fn add(&mut self, endpoint: usize, now: Duration) {
        self.0.push((now, endpoint));
    }

    /// Picks of each of `count` endpoints in a span of time.
    pub fn counts(&self, count: usize, from: Duration, to: Duration) -> Vec<u64> {
        let mut counts = vec![0; count];
        for &(_, endpoint) in self.between(from, to) {
            counts[endpoint] += 1;
        }
        counts
    }

    /// How long after `from` the share of `endpoint` began to be under `limit` for two seconds on end; `None` if it
    /// did not by `to`.
    pub fn time_until_under(
        &self,
        limit: f64,
        endpoint: usize,
        from: Duration,
        to: Duration,
    ) -> Option<Duration> {
        self.time_until(endpoint, from, to, |share| share < limit)
    }

    /// The same for a share that is not under `limit`.
    pub fn time_until_over(
        &self,
        limit: f64,
        endpoint: usize,
        from: Duration,
        to: Duration,
    ) -> Option<Duration> {
        self.time_until(endpoint, from, to, |share| share >= limit)
    }

    fn time_until(
        &self,
        endpoint: usize,
        from: Duration,
        to: Duration,
        holds: impl Fn(f64) -> bool,
    ) -> Option<Duration> {
        let mut since = None;
        let mut at = from;
        while at + WINDOW <= to {
            since = match self.share(endpoint, at, at + WINDOW) {
                Some(share) if holds(share) => since.or(Some(at)),
                Some(_) => None,
                None => since,
            };
            if since.is_some_and(|since| at - since >= HOLDS) {
                break;
            }
            at += STEP;
        }
        since.filter(|since| at - *since >= HOLDS).map(|since| since - from)
    }

    /// `None` where nothing was picked.
    fn share(&self, endpoint: usize, from: Duration, to: Duration) -> Option<f64> {
        let picks = self.between(from, to);
        let hits = picks.iter().filter(|(_, picked)| *picked == endpoint).count();
        (!picks.is_empty()).then(|| hits as f64 / picks.len() as f64)
    }

    fn between(&self, from: Duration, to: Duration) -> &[(Duration, usize)] {
        let first = self.0.partition_point(|(at, _)| *at < from);
        let last = self.0.partition_point(|(at, _)| *at < to);
        &self.0[first..last]
    }
}
