//! The latencies of one endpoint over the last seconds, as people want to see them.
//!
//! Balancers compare endpoints by another window, in which a heavy route does not tell against the endpoint that
//! happens to get it (`policy::score`).

use std::time::{Duration, Instant};

use super::slots::{Ring, Scale};

/// Microseconds. 64 us would be the histogram's own choice of a resolution for a range that starts there, and would
/// put two endpoints at 190 and 193 us a third apart; 8 is the finest power of two but one that fits 64 KiB.
const LATENCY: Scale = Scale { range: (64, 60_000_000), resolution: 8, digits: 2 };

/// Latencies of one endpoint over a sliding window of six slots.
#[derive(Debug)]
pub struct LatencyWindow {
    ring: Ring,
}

impl LatencyWindow {
    /// An empty window. A sample counts for at most `window` and at least five sixths of it.
    pub fn new(window: Duration, now: Instant) -> Self {
        Self { ring: Ring::new(LATENCY, window, now) }
    }

    /// Counts one latency in microseconds, clamped to 64 us..60 s.
    pub fn record(&mut self, latency_us: u64, now: Instant) {
        self.advance(now);
        self.ring.record(latency_us);
    }

    /// Forgets the slots that have left the window at `now`.
    pub fn advance(&mut self, now: Instant) {
        self.ring.advance(now, |_| {});
    }

    /// Changes the length. What is in the window stays, and counts for one more window from `now`.
    pub fn resize(&mut self, window: Duration, now: Instant) {
        self.advance(now);
        self.ring.resize(window, now);
    }

    /// Samples in the window.
    pub fn count(&self) -> u64 {
        self.ring.count()
    }

    /// The latencies in microseconds that shares `quantiles` (0 to 1) of the samples do not exceed; `None` without
    /// samples. Adds six histograms up: for people, not for every tick.
    pub fn quantiles_us<const N: usize>(&self, quantiles: [f64; N]) -> Option<[u64; N]> {
        let sum = self.ring.sum().filter(|sum| !sum.is_empty())?;
        let (least, most) = LATENCY.range;
        Some(quantiles.map(|quantile| sum.value_at_quantile(quantile).clamp(least, most)))
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.ring.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    fn filled(now: Instant, latencies_us: impl IntoIterator<Item = u64>) -> LatencyWindow {
        let mut window = LatencyWindow::new(WINDOW, now);
        latencies_us.into_iter().for_each(|us| window.record(us, now));
        window
    }

    fn quantile_us(window: &LatencyWindow, quantile: f64) -> u64 {
        window.quantiles_us([quantile]).map_or(0, |[us]| us)
    }

    #[test]
    fn quantiles_are_within_a_percent_or_eight_microseconds() {
        let window = filled(Instant::now(), (1..=10_000).map(|i| i * 100));
        for q in [0.5, 0.9, 0.99, 0.999] {
            let (got, want) = (quantile_us(&window, q) as f64, q * 1_000_000.0);
            assert!((got - want).abs() <= want * 0.01, "{q}: {got} for {want}");
        }
        assert!(quantile_us(&filled(Instant::now(), [100]), 0.5).abs_diff(100) <= 8);
    }

    #[test]
    fn an_empty_window_has_no_quantile_and_no_memory() {
        let window = LatencyWindow::new(WINDOW, Instant::now());
        assert_eq!((window.count(), window.quantiles_us([0.99])), (0, None));
        assert_eq!(window.heap_bytes(), 0);
    }

    #[test]
    fn latencies_out_of_range_are_clamped() {
        let window = filled(Instant::now(), [0, u64::MAX]);
        let low = quantile_us(&window, 0.1);
        assert!((64..=72).contains(&low), "{low}");
        assert_eq!(quantile_us(&window, 1.0), 60_000_000);
    }

    #[test]
    fn samples_leave_with_their_slot() {
        let start = Instant::now();
        let mut window = LatencyWindow::new(WINDOW, start);
        for second in 0..30 {
            window.record(1000 * (second + 1), start + Duration::from_secs(second));
        }
        assert_eq!(window.count(), 30);
        for (second, left) in [(30, 25), (44, 15), (59, 0), (600, 0)] {
            window.advance(start + Duration::from_secs(second));
            assert_eq!(window.count(), left, "at {second} s");
        }
        assert_eq!(window.quantiles_us([0.5]), None);
    }

    #[test]
    fn an_instant_earlier_than_seen_counts_as_now() {
        let start = Instant::now();
        let mut window = LatencyWindow::new(WINDOW, start);
        window.record(1000, start + Duration::from_secs(20));
        window.record(1000, start);
        window.advance(start);
        assert_eq!(window.count(), 2);
    }

    #[test]
    fn a_new_length_keeps_the_samples_for_one_more_window() {
        let start = Instant::now();
        let mut window = filled(start, [1000, 2000, 3000]);
        window.resize(Duration::from_secs(60), start + Duration::from_secs(10));
        assert_eq!(window.count(), 3);
        window.advance(start + Duration::from_secs(69));
        assert_eq!(window.count(), 3);
        window.advance(start + Duration::from_secs(70));
        assert_eq!(window.count(), 0);
    }
}
