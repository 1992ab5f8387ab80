//! The share of recent requests that failed, so that an endpoint which fails fast does not pass for a fast one.
//!
//! It makes an endpoint dearer and never takes it out: ejection is outlier detection's.

use std::time::{Duration, Instant};

use super::Outcome;
use crate::policy::slots::SlotClock;

/// Seconds that a request counts, in slots of one second.
const SLOTS: usize = 10;
/// Successes assumed beside those seen: one failure of one request is a rate of a third, not of 1.
const ASSUMED_SUCCESSES: f64 = 2.0;

/// Failures over requests in the last ten seconds.
#[derive(Debug)]
pub(super) struct ErrorRate {
    clock: SlotClock,
    slots: [Slot; SLOTS],
    current: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    requests: u32,
    /// Half failures: a `SoftFailure` is one, a `Failure` two.
    halves: u32,
}

impl ErrorRate {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            clock: SlotClock::new(Duration::from_secs(1), now),
            slots: [Slot::default(); SLOTS],
            current: 0,
        }
    }

    pub(super) fn record(&mut self, outcome: Outcome, now: Instant) {
        self.advance(now);
        let halves = match outcome {
            Outcome::Neutral => return,
            Outcome::Success => 0,
            Outcome::SoftFailure => 1,
            Outcome::Failure => 2,
        };
        let slot = &mut self.slots[self.current];
        slot.requests = slot.requests.saturating_add(1);
        slot.halves = slot.halves.saturating_add(halves);
    }

    /// 0 to 1.
    pub(super) fn rate(&mut self, now: Instant) -> f64 {
        self.advance(now);
        let sum = |part: fn(&Slot) -> u32| self.slots.iter().map(|slot| f64::from(part(slot))).sum::<f64>();
        sum(|slot| slot.halves) / 2.0 / (sum(|slot| slot.requests) + ASSUMED_SUCCESSES)
    }

    fn advance(&mut self, now: Instant) {
        for _ in 0..self.clock.advance(now).min(SLOTS as u64) {
            self.current = (self.current + 1) % SLOTS;
            self.slots[self.current] = Slot::default();
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn failures_are_forgotten_after_ten_seconds() {
        let start = Instant::now();
        let mut errors = ErrorRate::new(start);
        errors.record(Outcome::Failure, start);
        assert!(errors.rate(start + Duration::from_secs(9)) > 0.3);
        assert_eq!(errors.rate(start + Duration::from_secs(10)), 0.0);
    }
}
