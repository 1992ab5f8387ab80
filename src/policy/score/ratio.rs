//! The latencies of one endpoint as multiples of what is usual, over the last seconds: what endpoints are compared by.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::policy::slots::{Ring, Scale};

/// The usual latency is counted as this.
const USUAL: f64 = 64.0;
/// From a 64th of the usual to 128 times that: a client that finds one very slow page shall not shun its endpoint for the
/// whole window. One digit tells 6 % apart, a quarter of the dead-band of a score.
const RATIO: Scale = Scale { range: (1, 1 << 13), resolution: 1, digits: 1 };

/// Ratios to the usual latency over a sliding window of six slots. Their sum is kept rather than computed: adding up
/// six histograms for each endpoint every 100 ms would cost more than all the samples.
#[derive(Debug)]
pub(super) struct RatioWindow {
    ring: Ring,
    sum: Option<Histogram<u32>>,
}

impl RatioWindow {
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        Self { ring: Ring::new(RATIO, window, now), sum: None }
    }

    /// Counts one ratio.
    pub(super) fn record(&mut self, ratio: f64, now: Instant) {
        self.advance(now);
        let value = counted(ratio);
        self.ring.record(value);
        self.sum.get_or_insert_with(|| RATIO.histogram()).saturating_record(value);
    }

    pub(super) fn advance(&mut self, now: Instant) {
        let Self { ring, sum } = self;
        ring.advance(now, |left| forget(sum, left));
    }

    pub(super) fn resize(&mut self, window: Duration, now: Instant) {
        self.advance(now);
        self.ring.resize(window, now);
    }

    pub(super) fn retention(&self) -> Duration {
        self.ring.retention()
    }

    pub(super) fn count(&self) -> u64 {
        self.sum.as_ref().map_or(0, Histogram::len)
    }

    /// The mean of the ratios beyond a share `quantile` (0 to 1), or of the largest where that is less than one; 1
    /// without any.
    pub(super) fn tail(&self, quantile: f64) -> f64 {
        self.sum.as_ref().filter(|sum| !sum.is_empty()).map_or(1.0, |sum| tail_of(sum, quantile) / USUAL)
    }

    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let sum = self.sum.as_ref().map_or(0, |sum| sum.distinct_values() * size_of::<u32>());
        self.ring.heap_bytes() + sum
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn counted(ratio: f64) -> u64 {
    (ratio * USUAL).clamp(RATIO.range.0 as f64, RATIO.range.1 as f64).round() as u64
}

/// Counts and values are below 2^53, which a double holds exactly.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn tail_of(sum: &Histogram<u32>, quantile: f64) -> f64 {
    let beyond = ((1.0 - quantile) * sum.len() as f64).max(1.0);
    let mut below = sum.len() as f64 - beyond;
    let mut total = 0.0;
    for bucket in sum.iter_recorded() {
        let count = bucket.count_at_value() as f64;
        let counted = (count - below.max(0.0)).max(0.0);
        below -= count;
        total += counted * sum.median_equivalent(bucket.value_iterated_to()) as f64;
    }
    total / beyond
}

/// Subtraction fails only when a count of the sum has saturated, and then there is nothing right to keep.
fn forget(sum: &mut Option<Histogram<u32>>, left: &Histogram<u32>) {
    if let Some(sum) = sum
        && sum.subtract(left).is_err()
    {
        sum.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    #[test]
    fn ratios_are_told_apart_by_six_percent() {
        let now = Instant::now();
        for ratio in [0.25, 1.0, 3.0, 20.0, 100.0] {
            let mut window = RatioWindow::new(WINDOW, now);
            window.record(ratio, now);
            let read = window.tail(0.99);
            assert!((read / ratio - 1.0).abs() < 0.07, "{ratio}: {read}");
        }
    }

    #[test]
    fn ratios_out_of_range_are_clamped() {
        let now = Instant::now();
        let mut window = RatioWindow::new(WINDOW, now);
        [0.0, f64::NAN, -1.0, f64::INFINITY].into_iter().for_each(|ratio| window.record(ratio, now));
        assert_eq!(window.count(), 4);
        assert!((120.0..140.0).contains(&window.tail(1.0)), "{}", window.tail(1.0));
    }

    #[test]
    fn the_sum_is_that_of_the_slots() {
        let start = Instant::now();
        let mut rng = fastrand::Rng::with_seed(7);
        let mut window = RatioWindow::new(WINDOW, start);
        for step in 0..2000 {
            window.record(rng.f64() * 100.0, start + Duration::from_millis(step * 50));
        }
        assert_eq!(window.sum, window.ring.sum());
    }

    #[test]
    fn what_leaves_the_window_leaves_the_sum() {
        let start = Instant::now();
        let mut window = RatioWindow::new(WINDOW, start);
        window.record(50.0, start);
        window.record(1.0, start + Duration::from_secs(20));
        window.advance(start + Duration::from_secs(31));
        assert_eq!(window.count(), 1);
        assert!(window.tail(0.99) < 1.1);
    }
}
