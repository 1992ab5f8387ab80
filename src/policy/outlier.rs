//! Which endpoints live traffic takes out of a pool for a time, and when they return.
//!
//! After Envoy's outlier detection, with one difference throughout: an endpoint is ejected for doing worse than its
//! siblings, not for doing badly. Where all fail alike, it is the page, the database or the network, and to send
//! everything to half of the pool would only add load to it.
//!
//! Runs where scores are worked out, ten times a second; workers only see the obstacle in the endpoint's state.

mod counts;
mod sign;
mod tally;
mod watch;

use std::time::{Duration, Instant};

pub use self::sign::Sign;
use self::tally::{Group, Tally};
pub use self::watch::Ejection;
use self::watch::Watch;
use super::endpoint::{Candidate, Obstacle};
use crate::config::OutlierDetection;

/// An endpoint fails more than the others only if its share of failures is so many times theirs.
const WORSE: u64 = 2;

/// Why an endpoint is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It failed too often in a row.
    ConsecutiveFailures,
    /// It failed before its first success after the last ejection.
    FailedReturn,
    /// Too large a share of its requests failed.
    FailurePercent,
    /// It was too slow for too long.
    Latency,
}

impl Cause {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 4] =
        [Self::ConsecutiveFailures, Self::FailedReturn, Self::FailurePercent, Self::Latency];

    /// The word used for it in the logs, the metrics and the admin API.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailedReturn => "failed_return",
            Self::FailurePercent => "failure_percent",
            Self::Latency => "latency",
        }
    }
}

/// What has become of an endpoint, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It gets nothing for so long.
    Ejected(usize, Cause, Duration),
    /// It gets requests again.
    Returned(usize),
}

/// The endpoints of one pool under watch. It survives a reload.
#[derive(Debug)]
pub struct Outliers {
    settings: Option<OutlierDetection>,
    watches: Vec<Watch>,
    not_enforced: u64,
}

impl Outliers {
    /// A pool of which nothing is known. Without settings, nothing is looked for.
    pub fn new(settings: Option<OutlierDetection>, endpoints: usize, now: Instant) -> Self {
        let interval = interval(settings.as_ref());
        let watch = || Watch::new(interval, now);
        Self { settings, watches: std::iter::repeat_with(watch).take(endpoints).collect(), not_enforced: 0 }
    }

    /// The pool after a reload: each of `candidates` is one of before, by its index, or a new one. What is out stays out
    /// until its time, unless nothing is looked for any more. The pool has to decide anew afterwards.
    pub fn renew(
        self,
        settings: Option<OutlierDetection>,
        before: &[Option<usize>],
        candidates: &[Candidate],
        now: Instant,
    ) -> Self {
        let interval = interval(settings.as_ref());
        let mut known: Vec<Option<Watch>> = self.watches.into_iter().map(Some).collect();
        let mut renew = |before: &Option<usize>| {
            let watch = before.and_then(|index| known.get_mut(index)?.take());
            watch.map_or_else(|| Watch::new(interval, now), |watch| watch.renew(interval, now))
        };
        let mut renewed = Self { settings, watches: before.iter().map(&mut renew).collect(), ..self };
        if settings.is_none() {
            let ejected = (0..renewed.watches.len()).filter(|&at| renewed.watches[at].is_ejected());
            ejected.collect::<Vec<_>>().into_iter().for_each(|at| renewed.bring_back(at, candidates, now));
        }
        renewed
    }

    /// Takes note of how a try ended that began at `began`.
    pub fn learn(&mut self, endpoint: usize, sign: Sign, began: Instant, now: Instant) {
        if self.settings.is_some() {
            self.watches[endpoint].learn(sign, began, now);
        }
    }

    /// Whether an endpoint has failed so often in a row that the next tick is not to be waited for.
    pub fn is_alarming(&self, endpoint: usize, now: Instant) -> bool {
        let in_a_row = [Cause::ConsecutiveFailures, Cause::FailedReturn];
        let watch = &self.watches[endpoint];
        let shows = |settings| in_a_row.into_iter().any(|cause| watch.shows(cause, settings, now));
        !watch.is_ejected() && self.settings.as_ref().is_some_and(shows)
    }

    /// An ejection ends at the next tick, as when its time is up: a health check that had failed has passed.
    pub fn end(&mut self, endpoint: usize, now: Instant) {
        self.watches[endpoint].shorten(now);
    }

    /// Ejects and brings back what is due. `tails`: how many times the pool's its tail latency is, by endpoint. If anything
    /// changed, the pool has to decide anew.
    pub fn tick(
        &mut self,
        candidates: &[Candidate],
        tails: impl Fn(usize) -> f32,
        now: Instant,
    ) -> Vec<Change> {
        let Some(settings) = self.settings else { return Vec::new() };
        let mut changes = Vec::new();
        let mut quiet = true;
        for (at, watch) in self.watches.iter_mut().enumerate() {
            watch.advance(&settings, tails(at), now);
            quiet &= !watch.is_ejected() && !watch.is_suspect(&settings, now);
        }
        if !quiet {
            let mut tally = Tally::of(&self.watches, candidates);
            self.return_due(&settings, candidates, &mut tally, &mut changes, now);
            self.eject_due(&settings, candidates, &mut tally, &mut changes, now);
        }
        changes
    }

    /// Why and for how much longer an endpoint is out, if it is.
    pub fn ejection(&self, endpoint: usize) -> Option<Ejection> {
        self.watches[endpoint].ejection()
    }

    /// How often an endpoint has been ejected, by why.
    pub fn totals(&self, endpoint: usize) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().zip(self.watches[endpoint].totals)
    }

    /// How often an endpoint should have been ejected and was not, because too many were out.
    pub fn not_enforced(&self) -> u64 {
        self.not_enforced
    }

    /// Brings back what is out and whose time is over, and what its pool can no longer do without: the others may have been
    /// drained, removed, or found unhealthy meanwhile. First those whose time ends first.
    fn return_due(
        &mut self,
        settings: &OutlierDetection,
        candidates: &[Candidate],
        tally: &mut Tally,
        changes: &mut Vec<Change>,
        now: Instant,
    ) {
        let out = |(at, watch): (usize, &Watch)| Some((watch.ejection()?.until, at));
        let mut ejected: Vec<(Instant, usize)> = self.watches.iter().enumerate().filter_map(out).collect();
        ejected.sort_unstable();
        for (until, at) in ejected {
            if until <= now || tally.needs(&candidates[at], settings.max_ejected_percent) {
                tally.remove(&self.watches[at], &candidates[at]);
                self.bring_back(at, candidates, now);
                tally.add(&self.watches[at], &candidates[at]);
                changes.push(Change::Returned(at));
            }
        }
    }

    fn bring_back(&mut self, at: usize, candidates: &[Candidate], now: Instant) {
        self.watches[at].bring_back(now);
        candidates[at].state.obstruct(Obstacle::Ejected, false);
    }

    /// The worst first, as there may not be room for all.
    fn eject_due(
        &mut self,
        settings: &OutlierDetection,
        candidates: &[Candidate],
        tally: &mut Tally,
        changes: &mut Vec<Change>,
        now: Instant,
    ) {
        let all = 0..self.watches.len();
        let mut suspects: Vec<usize> = all.filter(|&at| self.watches[at].is_suspect(settings, now)).collect();
        suspects.sort_by_key(|&at| std::cmp::Reverse(self.watches[at].badness()));
        for at in suspects {
            let (watch, candidate) = (&mut self.watches[at], &candidates[at]);
            let Some(cause) = cause(watch, candidate, settings, tally, now) else { continue };
            if tally.allows(watch, candidate, settings.max_ejected_percent) {
                tally.remove(watch, candidate);
                let length = watch.eject(cause, settings, now);
                candidate.state.obstruct(Obstacle::Ejected, true);
                tally.add(watch, candidate);
                changes.push(Change::Ejected(at, cause, length));
            } else if watch.withhold(settings.interval, now) {
                self.not_enforced = self.not_enforced.saturating_add(1);
            }
        }
    }
}

/// Why this one is to be ejected: what is against it, and does not hold as well for those that would have its requests.
fn cause(
    watch: &Watch,
    candidate: &Candidate,
    settings: &OutlierDetection,
    tally: &Tally,
    now: Instant,
) -> Option<Cause> {
    if !tally::is_in_service(candidate) {
        return None;
    }
    let heirs = tally.heirs(watch, candidate);
    Cause::ALL.into_iter().filter(|cause| watch.shows(*cause, settings, now)).find(|cause| match cause {
        Cause::ConsecutiveFailures | Cause::FailedReturn => heirs.working > 0,
        Cause::FailurePercent => fails_more_than(watch, &heirs),
        // A tail is a multiple of the pool's as it is.
        Cause::Latency => true,
    })
}

/// Whether its share of failures is so much larger. Of those that were never asked nothing is known.
fn fails_more_than(watch: &Watch, others: &Group) -> bool {
    let (requests, failed) = watch.requests();
    let is_worse = u64::from(failed) * others.requests >= WORSE * others.failed * u64::from(requests);
    others.requests > 0 && is_worse
}

/// Where nothing is looked for, nothing is counted either.
fn interval(settings: Option<&OutlierDetection>) -> Duration {
    settings.map_or(OutlierDetection::default().interval, |settings| settings.interval)
}

#[cfg(test)]
mod tests;
