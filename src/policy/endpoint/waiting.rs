//! How many requests wait for their response head, and for how long on average, in one atomic word.
//!
//! A request that is never answered leaves no latency behind; its age is the only thing that tells. Count and sum of
//! starts have to change together, or a reader between the two would see an age of years.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The low bits hold the count, which therefore stays below 1,048,576.
const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
/// Starts are counted in units of 16 us in the 44 bits above, modulo 2^44: what is wanted is the sum of ages, which
/// stays below that for a million requests that have each waited for four minutes.
const UNIT_US: u64 = 16;

/// Requests that wait. All times are since one moment that the caller chooses.
#[derive(Debug, Default)]
pub(super) struct Waiting(AtomicU64);

impl Waiting {
    /// A request begins to wait. Answers what `end` needs.
    pub(super) fn begin(&self, since: Duration) -> Entry {
        let entry = Entry((units(since) << COUNT_BITS).wrapping_add(1));
        self.0.fetch_add(entry.0, Relaxed);
        entry
    }

    /// It has its response head, or gives up.
    pub(super) fn end(&self, entry: Entry) {
        self.0.fetch_sub(entry.0, Relaxed);
    }

    /// How many wait, and their mean age.
    #[inline]
    pub(super) fn read(&self, since: Duration) -> (u32, Duration) {
        let word = self.0.load(Relaxed);
        let count = word & COUNT;
        if count == 0 {
            return (0, Duration::ZERO);
        }
        let now = units(since).wrapping_mul(count) << COUNT_BITS;
        let ages = now.wrapping_sub(word & !COUNT) >> COUNT_BITS;
        // A start that this thread's clock has not reached yet makes a sum just below zero.
        let ages = if ages >> (63 - COUNT_BITS) == 1 { 0 } else { ages };
        (u32::try_from(count).unwrap_or(u32::MAX), Duration::from_micros(ages * UNIT_US / count))
    }
}

/// One request that waits.
#[derive(Debug, Clone, Copy)]
#[must_use = "what begins to wait has to end"]
pub(super) struct Entry(u64);

fn units(since: Duration) -> u64 {
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX) / UNIT_US
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_mean_age_is_that_of_those_that_wait() {
        let waiting = Waiting::default();
        assert_eq!(waiting.read(ms(5)), (0, Duration::ZERO));
        let (first, second) = (waiting.begin(ms(100)), waiting.begin(ms(200)));
        assert_eq!(waiting.read(ms(400)), (2, ms(250)));
        waiting.end(first);
        assert_eq!(waiting.read(ms(400)), (1, ms(200)));
        waiting.end(second);
        assert_eq!(waiting.read(ms(400)), (0, Duration::ZERO));
    }

    #[test]
    fn a_reader_whose_clock_is_behind_sees_no_age() {
        let waiting = Waiting::default();
        let _entry = waiting.begin(ms(100));
        assert_eq!(waiting.read(ms(99)), (1, Duration::ZERO));
    }

    #[test]
    fn years_of_uptime_and_many_requests_do_not_disturb_it() {
        let waiting = Waiting::default();
        let start = Duration::from_secs(10 * 365 * 86_400);
        let entries: Vec<_> = (0..100_000).map(|_| waiting.begin(start)).collect();
        let (count, age) = waiting.read(start + Duration::from_secs(60));
        assert_eq!((count, age.as_secs()), (100_000, 60));
        entries.into_iter().for_each(|entry| waiting.end(entry));
        assert_eq!(waiting.read(start).0, 0);
    }
}
