//! Whether a route keeps the target of its p99: whether more than one in a hundred of its requests takes longer.
//!
//! Judged by rounds that begin anew with each verdict, so that what was slow before the shares shrank does not shrink
//! them again.

use std::time::{Duration, Instant};

/// A round is no shorter; what is decided after one must have had time to show.
const ROUND: Duration = Duration::from_secs(1);
/// Nor is it judged by fewer requests, unless it has lasted long.
const ENOUGH: u32 = 100;
/// A round with fewer requests is judged after this time.
const LONGEST: Duration = Duration::from_secs(10);
/// So many slow requests at least: one in twenty says nothing of one in a hundred.
const SLOW: u32 = 2;

/// The requests of one route in the current round.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    slo: Duration,
    began: Instant,
    count: u32,
    slow: u32,
    misses: bool,
}

impl Target {
    /// A round begins `now`.
    pub fn new(slo: Duration, now: Instant) -> Self {
        Self { slo, began: now, count: 0, slow: 0, misses: false }
    }

    /// The target.
    pub fn slo(&self) -> Duration {
        self.slo
    }

    /// A request took so long from its head to its response head. `None` for one that got none in time.
    pub fn learn(&mut self, took: Option<Duration>) {
        self.count = self.count.saturating_add(1);
        self.slow = self.slow.saturating_add(u32::from(took.is_none_or(|took| took > self.slo)));
    }

    /// Whether the round that ends now, if one does, missed the target.
    pub fn judge(&mut self, now: Instant) -> Option<bool> {
        let lasted = now.saturating_duration_since(self.began);
        if lasted < ROUND || (self.count < ENOUGH && lasted < LONGEST) {
            return None;
        }
        let misses = self.slow >= SLOW && self.slow > self.count / 100;
        *self = Self { misses, ..Self::new(self.slo, now) };
        Some(misses)
    }

    /// Whether the last round missed it.
    pub fn misses(&self) -> bool {
        self.misses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(fast: u32, slow: u32, lost: u32, lasts: u64) -> Option<bool> {
        let start = Instant::now();
        let mut target = Target::new(Duration::from_millis(200), start);
        (0..fast).for_each(|_| target.learn(Some(Duration::from_millis(200))));
        (0..slow).for_each(|_| target.learn(Some(Duration::from_millis(201))));
        (0..lost).for_each(|_| target.learn(None));
        target.judge(start + Duration::from_millis(lasts))
    }

    #[test]
    fn one_slow_request_in_a_hundred_is_what_a_p99_allows() {
        assert_eq!(round(990, 10, 0, 1000), Some(false));
        assert_eq!(round(989, 11, 0, 1000), Some(true));
        assert_eq!(round(989, 0, 11, 1000), Some(true));
    }

    #[test]
    fn a_round_needs_time_and_requests() {
        assert_eq!(round(0, 500, 0, 999), None);
        assert_eq!(round(0, 99, 0, 9_999), None);
        assert_eq!(round(0, 2, 0, 10_000), Some(true));
        assert_eq!(round(5, 1, 0, 10_000), Some(false), "one slow request of six is no tail");
    }

    #[test]
    fn each_round_is_judged_by_its_own_requests() {
        let start = Instant::now();
        let mut target = Target::new(Duration::from_millis(200), start);
        (0..200).for_each(|_| target.learn(None));
        let second = start + ROUND;
        assert_eq!((target.judge(second), target.misses()), (Some(true), true));
        assert_eq!(target.judge(second + ROUND), None, "nothing is known of it yet");
        assert!(target.misses());
        (0..200).for_each(|_| target.learn(Some(Duration::ZERO)));
        assert_eq!((target.judge(second + ROUND), target.misses()), (Some(false), false));
    }
}
