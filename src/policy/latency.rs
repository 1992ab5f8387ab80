//! The latencies of one endpoint over the last seconds, as a histogram that forgets slot by slot.
//!
//! A decaying mean forgets a stall between two stalls; a window remembers it for its whole length, which is what makes
//! a tail visible. It never reads a clock, and it holds no memory until the first sample.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::slots::SlotClock;

/// Latencies outside are counted as the nearest of these, in microseconds.
const RANGE_US: (u64, u64) = (64, 60_000_000);
/// Width of the finest bucket in microseconds. 64 would be the histogram's own choice for a range that starts there,
/// and would put two endpoints at 190 and 193 us a third apart; 8 is the finest power of two but one that fits 64 KiB.
const RESOLUTION_US: u64 = 8;
/// Two significant digits tell 1 % apart, a twentieth of the dead-band of a score.
const SIGNIFICANT_DIGITS: u8 = 2;
/// The window loses a sixth of its samples at a time.
const SLOTS: u32 = 6;

/// Latencies of one endpoint over a sliding window of six slots.
#[derive(Debug)]
pub struct LatencyWindow {
    window: Duration,
    clock: SlotClock,
    counts: Option<Box<Counts>>,
}

impl LatencyWindow {
    /// An empty window. A sample counts for at most `window` and at least five sixths of it.
    pub fn new(window: Duration, now: Instant) -> Self {
        Self { window, clock: clock(window, now), counts: None }
    }

    /// Counts one latency in microseconds, clamped to 64 us..60 s.
    pub fn record(&mut self, latency_us: u64, now: Instant) {
        self.advance(now);
        self.counts.get_or_insert_with(Box::default).record(latency_us.clamp(RANGE_US.0, RANGE_US.1));
    }

    /// Forgets the slots that have left the window at `now`.
    pub fn advance(&mut self, now: Instant) {
        let begun = self.clock.advance(now);
        if let Some(counts) = &mut self.counts {
            (0..begun.min(u64::from(SLOTS))).for_each(|_| counts.rotate());
        }
    }

    /// Changes the length. What is in the window stays, and counts for one more window from `now`.
    pub fn resize(&mut self, window: Duration, now: Instant) {
        if window == self.window {
            return;
        }
        self.advance(now);
        self.window = window;
        self.clock = clock(window, now);
        if let Some(counts) = &mut self.counts {
            counts.gather();
        }
    }

    /// How long a sample counts at the least.
    pub fn retention(&self) -> Duration {
        self.window * (SLOTS - 1) / SLOTS
    }

    /// Samples in the window.
    pub fn count(&self) -> u64 {
        self.counts.as_ref().map_or(0, |counts| counts.merged.len())
    }

    /// The latency in microseconds that a share `q` (0 to 1) of the samples does not exceed; `None` without samples.
    pub fn quantile_us(&self, q: f64) -> Option<u64> {
        let merged = &self.counts.as_ref()?.merged;
        (!merged.is_empty()).then(|| merged.value_at_quantile(q).clamp(RANGE_US.0, RANGE_US.1))
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.counts.as_ref().map_or(0, |counts| {
            let histograms = counts.slots.iter().chain([&counts.merged]);
            size_of::<Counts>() + histograms.map(|h| h.distinct_values() * size_of::<u32>()).sum::<usize>()
        })
    }
}

fn clock(window: Duration, now: Instant) -> SlotClock {
    SlotClock::new(window / SLOTS, now)
}

/// The slots and their sum, which is kept rather than computed: a sum of six per endpoint and 100 ms would cost more
/// than all the samples.
#[derive(Debug)]
struct Counts {
    slots: [Histogram<u32>; SLOTS as usize],
    current: usize,
    merged: Histogram<u32>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { slots: std::array::from_fn(|_| histogram()), current: 0, merged: histogram() }
    }
}

impl Counts {
    fn record(&mut self, latency_us: u64) {
        self.slots[self.current].saturating_record(latency_us);
        self.merged.saturating_record(latency_us);
    }

    /// Forgets the oldest slot and makes it the current one.
    fn rotate(&mut self) {
        self.current = (self.current + 1) % self.slots.len();
        let oldest = &mut self.slots[self.current];
        if oldest.is_empty() {
            return;
        }
        // Fails only when a count of the sum has saturated, and then there is nothing right to keep.
        if self.merged.subtract(&*oldest).is_err() {
            self.merged.reset();
        }
        oldest.reset();
    }

    /// Puts every sample into the current slot.
    fn gather(&mut self) {
        self.slots.iter_mut().for_each(Histogram::reset);
        self.slots[self.current] = self.merged.clone();
    }
}

fn histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(RESOLUTION_US, RANGE_US.1, SIGNIFICANT_DIGITS)
        .expect("the bounds are constants that hdrhistogram accepts")
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

    #[test]
    fn quantiles_are_within_a_percent_or_eight_microseconds() {
        let window = filled(Instant::now(), (1..=10_000).map(|i| i * 100));
        for q in [0.5, 0.9, 0.99, 0.999] {
            let (got, want) = (window.quantile_us(q).unwrap_or(0) as f64, q * 1_000_000.0);
            assert!((got - want).abs() <= want * 0.01, "{q}: {got} for {want}");
        }
        assert!(filled(Instant::now(), [100]).quantile_us(0.5).unwrap_or(0).abs_diff(100) <= 8);
    }

    #[test]
    fn an_empty_window_has_no_quantile_and_no_memory() {
        let window = LatencyWindow::new(WINDOW, Instant::now());
        assert_eq!((window.count(), window.quantile_us(0.99)), (0, None));
        assert_eq!(window.heap_bytes(), 0);
    }

    #[test]
    fn latencies_out_of_range_are_clamped() {
        let window = filled(Instant::now(), [0, u64::MAX]);
        let low = window.quantile_us(0.1).unwrap_or(0);
        assert!((64..=72).contains(&low), "{low}");
        assert_eq!(window.quantile_us(1.0), Some(60_000_000));
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
        assert_eq!(window.quantile_us(0.5), None);
    }

    #[test]
    fn the_merged_histogram_equals_the_sum_of_its_slots() {
        let start = Instant::now();
        let mut rng = fastrand::Rng::with_seed(7);
        let mut window = LatencyWindow::new(WINDOW, start);
        for step in 0..2000 {
            window.record(rng.u64(1..100_000_000), start + Duration::from_millis(step * 50));
        }
        let counts = window.counts.expect("it has samples");
        let mut sum = histogram();
        counts.slots.iter().for_each(|slot| sum.add(slot).expect("same bounds"));
        assert_eq!(sum, counts.merged);
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
