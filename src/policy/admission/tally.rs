//! How long requests have waited for a permit. Touched only by those that did.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets in milliseconds; the last bucket has none.
pub const BOUNDS_MS: [u16; 11] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500];

/// Waits by bucket of [`BOUNDS_MS`], and their sum.
#[derive(Debug, Default)]
pub struct Tally {
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_us: AtomicU64,
}

impl Tally {
    /// A wait is over, however it ended.
    pub fn add(&self, waited: Duration) {
        let bucket = BOUNDS_MS.partition_point(|bound| Duration::from_millis((*bound).into()) < waited);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How many fell into each bucket.
    pub fn counts(&self) -> [u64; BOUNDS_MS.len() + 1] {
        self.buckets.each_ref().map(|bucket| bucket.load(Relaxed))
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_falls_into_the_first_bucket_that_holds_it() {
        let tally = Tally::default();
        [1, 2, 3, 9_999].into_iter().for_each(|millis| tally.add(Duration::from_millis(millis)));
        assert_eq!(tally.counts(), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(tally.sum(), Duration::from_millis(10_005));
    }
}
