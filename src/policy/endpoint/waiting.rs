//! How many requests wait for their response head, and for how long on average, in one atomic word.
//!
//! A request that is never answered leaves no latency behind; its age is the only thing that tells. Count and sum of
//! starts have to change together, or a reader between the two would see an age of years.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// The low bits hold the count, which therefore stays below 1,048,576.
const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
/// Starts stand in the 44 bits above, modulo 2^44: what is wanted is the sum of ages, which stays below half of that
/// for a million requests that have each waited for two minutes.
const START_BITS: u32 = u64::BITS - COUNT_BITS;
const UNIT_US: u64 = 16;

/// A moment in units of 16 us since an epoch. The states of one upstream have one epoch, so that a pick works it out once.
#[derive(Debug, Clone, Copy)]
pub struct Ticks(u64);

impl Ticks {
    /// The epoch itself, for what comes before it.
    pub fn between(epoch: Instant, now: Instant) -> Self {
        let since = now.saturating_duration_since(epoch);
        Self(since.as_secs() * (1_000_000 / UNIT_US) + u64::from(since.subsec_micros()) / UNIT_US)
    }
}

/// Requests that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(AtomicU64);

impl Waiting {
    /// A request begins to wait. Answers what `end` needs.
    pub(super) fn begin(&self, now: Ticks) -> Entry {
        let entry = Entry((now.0 << COUNT_BITS).wrapping_add(1));
        self.0.fetch_add(entry.0, Relaxed);
        entry
    }

    /// It has its response head, or gives up.
    pub(super) fn end(&self, entry: Entry) {
        self.0.fetch_sub(entry.0, Relaxed);
    }

    /// How many wait, and the sum of their ages in microseconds; 0 if none does.
    #[inline]
    pub(super) fn read(&self, now: Ticks) -> (f32, f32) {
        let word = self.0.load(Relaxed);
        let count = word & COUNT;
        let ages = (now.0.wrapping_mul(count) << COUNT_BITS).wrapping_sub(word & !COUNT) >> COUNT_BITS;
        // A start that this worker's clock has not reached yet makes a sum just below zero.
        let ages = if ages >> (START_BITS - 1) == 1 { 0 } else { ages };
        // Rounds; nobody compares ages by more digits than an f32 has. Signed, as both are small and that is one instruction.
        (count.cast_signed() as f32, ages.cast_signed() as f32 * UNIT_US as f32)
    }
}

/// One request that waits.
#[derive(Debug, Clone, Copy)]
#[must_use = "what begins to wait has to end"]
pub(super) struct Entry(u64);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn ms(ms: u64) -> Ticks {
        Ticks(ms * 1000 / UNIT_US)
    }

    /// The mean.
    fn age(waiting: &Waiting, at: u64) -> f32 {
        let (count, sum) = waiting.read(ms(at));
        if count == 0.0 { sum } else { sum / count }
    }

    #[test]
    fn the_mean_age_is_that_of_those_that_wait() {
        let waiting = Waiting::default();
        assert_eq!(age(&waiting, 5), 0.0);
        let (first, second) = (waiting.begin(ms(100)), waiting.begin(ms(200)));
        assert_eq!(age(&waiting, 400), 250_000.0);
        waiting.end(first);
        assert_eq!(age(&waiting, 400), 200_000.0);
        waiting.end(second);
        assert_eq!(age(&waiting, 400), 0.0);
    }

    #[test]
    fn a_reader_whose_clock_is_behind_sees_no_age() {
        let waiting = Waiting::default();
        let _entry = waiting.begin(ms(100));
        assert_eq!(age(&waiting, 99), 0.0);
        let now = Instant::now();
        assert_eq!(Ticks::between(now + Duration::from_secs(1), now).0, 0);
    }

    #[test]
    fn years_of_uptime_and_many_requests_do_not_disturb_it() {
        let waiting = Waiting::default();
        let start = 10 * 365 * 86_400 * 1000;
        let entries: Vec<_> = (0..100_000).map(|_| waiting.begin(ms(start))).collect();
        let minutes = age(&waiting, start + 60_000) / 60e6;
        assert!((minutes - 1.0).abs() < 1e-3, "{minutes}");
        entries.into_iter().for_each(|entry| waiting.end(entry));
        assert_eq!(age(&waiting, start + 60_000), 0.0);
    }
}
