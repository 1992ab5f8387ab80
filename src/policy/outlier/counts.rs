//! Requests and failures of the last interval, which slides by a tenth at a time.

use std::time::{Duration, Instant};

use crate::policy::slots::SlotClock;

const SLOTS: u32 = 10;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    requests: u32,
    failures: u32,
}

/// Counts of one endpoint.
#[derive(Debug)]
pub(super) struct Counts {
    interval: Duration,
    clock: SlotClock,
    slots: [Slot; SLOTS as usize],
    current: usize,
    sum: Slot,
}

impl Counts {
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        let clock = SlotClock::new(interval / SLOTS, now);
        Self { interval, clock, slots: [Slot::default(); SLOTS as usize], current: 0, sum: Slot::default() }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) fn record(&mut self, failed: bool, now: Instant) {
        self.advance(now);
        self.add(Slot { requests: 1, failures: u32::from(failed) });
    }

    /// A request that was counted as good has failed after all.
    pub(super) fn spoil(&mut self, now: Instant) {
        self.advance(now);
        self.add(Slot { requests: 0, failures: 1 });
    }

    /// Forgets what is older than the interval.
    pub(super) fn advance(&mut self, now: Instant) {
        for _ in 0..self.clock.advance(now).min(u64::from(SLOTS)) {
            self.current = (self.current + 1) % self.slots.len();
            let left = std::mem::take(&mut self.slots[self.current]);
            self.sum.requests -= left.requests;
            self.sum.failures -= left.failures;
        }
    }

    pub(super) fn clear(&mut self) {
        (self.slots, self.sum) = ([Slot::default(); SLOTS as usize], Slot::default());
    }

    /// Requests, and those of them that failed.
    pub(super) fn read(&self) -> (u32, u32) {
        // A 503 that breaks off is a failure twice.
        (self.sum.requests, self.sum.failures.min(self.sum.requests))
    }

    /// A count that is full stays as it is, so that what leaves later was counted.
    fn add(&mut self, more: Slot) {
        let sum =
            (self.sum.requests.checked_add(more.requests), self.sum.failures.checked_add(more.failures));
        if let (Some(requests), Some(failures)) = sum {
            self.sum = Slot { requests, failures };
            self.slots[self.current].requests += more.requests;
            self.slots[self.current].failures += more.failures;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_interval_is_forgotten_a_tenth_at_a_time() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut counts = Counts::new(Duration::from_secs(10), start);
        (0..3).for_each(|_| counts.record(true, after(500)));
        (0..2).for_each(|_| counts.record(false, after(1500)));
        counts.advance(after(9999));
        assert_eq!(counts.read(), (5, 3));
        counts.advance(after(10_000));
        assert_eq!(counts.read(), (2, 0));
        counts.record(true, after(5000));
        assert_eq!(counts.read(), (3, 1), "a clock that jumps back counts for now");
        counts.advance(after(3_600_000));
        assert_eq!(counts.read(), (0, 0));
    }

    #[test]
    fn an_answer_that_breaks_off_is_one_request_that_failed() {
        let start = Instant::now();
        let mut counts = Counts::new(Duration::from_secs(10), start);
        (0..4).for_each(|_| counts.record(false, start));
        counts.spoil(start);
        assert_eq!(counts.read(), (4, 1));
        (0..9).for_each(|_| counts.spoil(start));
        assert_eq!(counts.read(), (4, 4));
        counts.clear();
        assert_eq!(counts.read(), (0, 0));
    }
}
