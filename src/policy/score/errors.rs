//! The share of recent requests that failed, so that an endpoint which fails fast does not pass for a fast one.
//!
//! It makes an endpoint dearer and never takes it out: ejection is outlier detection's. Failures and requests fade at one
//! rate: with slots that drop out, the successes from before a failure would leave first, and the rate would climb while
//! nothing happens.

use std::time::Instant;

use super::Outcome;

/// A request counts for a third after this time, and for a seventh after ten seconds.
const FADE_SECONDS: f64 = 5.0;
/// No more requests than these are weighed.
const MOST_REQUESTS: f64 = 100.0;
/// Successes assumed beside those seen: one failure of one request is a rate of a third, not of 1.
const ASSUMED_SUCCESSES: f64 = 2.0;

/// Failures over requests in about the last ten seconds.
#[derive(Debug)]
pub(super) struct ErrorRate {
    requests: f64,
    failures: f64,
    updated: Instant,
}

impl ErrorRate {
    pub(super) fn new(now: Instant) -> Self {
        Self { requests: 0.0, failures: 0.0, updated: now }
    }

    pub(super) fn record(&mut self, outcome: Outcome, now: Instant) {
        let failure = match outcome {
            Outcome::Neutral => return,
            Outcome::Success => 0.0,
            Outcome::SoftFailure => 0.5,
            Outcome::Failure => 1.0,
        };
        // Never more than so many: a thousand good answers must not hide fifty bad ones.
        let kept = self.kept(now).min(MOST_REQUESTS / self.requests.max(1.0));
        self.requests = self.requests * kept + 1.0;
        self.failures = self.failures * kept + failure;
        self.updated = self.updated.max(now);
    }

    /// 0 to 1.
    pub(super) fn rate(&self, now: Instant) -> f64 {
        let kept = self.kept(now);
        self.failures * kept / (self.requests * kept + ASSUMED_SUCCESSES)
    }

    /// The share of a request counted at the last update that still counts.
    fn kept(&self, now: Instant) -> f64 {
        (-now.saturating_duration_since(self.updated).as_secs_f64() / FADE_SECONDS).exp()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rate_of(outcomes: &[Outcome]) -> f64 {
        let now = Instant::now();
        let mut errors = ErrorRate::new(now);
        outcomes.iter().for_each(|&outcome| errors.record(outcome, now));
        errors.rate(now)
    }

    #[test]
    fn a_500_counts_half_and_a_client_abort_not_at_all() {
        use Outcome::{Failure, Neutral, SoftFailure, Success};
        assert_eq!(rate_of(&[]), 0.0);
        assert_eq!(rate_of(&[Success; 5]), 0.0);
        assert_eq!(rate_of(&[Failure; 8]), 0.8);
        assert_eq!(rate_of(&[SoftFailure; 8]), 0.4);
        assert_eq!(rate_of(&[Neutral; 8]), 0.0);
    }

    #[test]
    fn a_rate_never_climbs_while_nothing_fails() {
        let start = Instant::now();
        let mut errors = ErrorRate::new(start);
        (0..1000).for_each(|_| errors.record(Outcome::Success, start));
        (0..50).for_each(|_| errors.record(Outcome::Failure, start + Duration::from_secs(5)));
        let rates: Vec<f64> =
            (5..60).map(|second| errors.rate(start + Duration::from_secs(second))).collect();
        assert!(rates.is_sorted_by(|earlier, later| earlier >= later), "{rates:.3?}");
        assert!(rates[0] > 0.05 && rates[54] < rates[0] / 2.0, "{rates:.3?}");
    }
}
