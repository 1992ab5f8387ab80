//! What most reads of a route take to be answered, as clients would see it if nothing were hedged.
//!
//! Each first copy is a sample, from when it is sent to its response head. One that is overtaken never tells how long it
//! would have taken; it counts with the time it had waited by then, which is never less than the delay. So the share of
//! samples beyond the delay is exactly the share of first copies beyond it, and a quantile that the delay comes from does
//! not move for what happens after it: what is cut short stays on its side. (With only the winners' times, or without the
//! overtaken, the slow twentieth would vanish from the record, p95 of the rest would be shorter, more would be hedged,
//! and so on down.) Where all of a route turns slower, the cut samples let the delay follow slower than it might; the
//! allowance holds meanwhile.

use std::time::{Duration, Instant};

use crate::config::Percentile;
use crate::policy::latency::LatencyWindow;

/// How long a sample counts. A shop with two reads a second has enough of them.
const WINDOW: Duration = Duration::from_secs(60);

/// No quantile is taken of fewer samples.
const LEAST: f64 = 100.0;

/// Nor with fewer beyond it.
const LEAST_BEYOND: f64 = 5.0;

/// How often a known delay is worked out anew: it adds six histograms up.
const PERIOD: Duration = Duration::from_secs(1);

/// The recent first copies of one route.
#[derive(Debug)]
pub struct UsualDelay {
    window: LatencyWindow,
    quantile: Percentile,
    known_us: Option<u64>,
    read: Option<Instant>,
}

impl UsualDelay {
    /// Of which nothing is known.
    pub fn new(quantile: Percentile, now: Instant) -> Self {
        Self { window: LatencyWindow::new(WINDOW, now), quantile, known_us: None, read: None }
    }

    /// Counts how long a first copy took, or had waited when it was given up.
    pub fn record(&mut self, took: Duration, now: Instant) {
        self.window.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), now);
    }

    /// After a reload: the quantile may be another.
    pub fn ask_for(&mut self, quantile: Percentile) {
        if quantile != self.quantile {
            (self.quantile, self.read) = (quantile, None);
        }
    }

    /// In microseconds; `None` while there are too few samples.
    pub fn read(&mut self, now: Instant) -> Option<u64> {
        let is_due = |read: Instant| now.saturating_duration_since(read) >= PERIOD;
        if self.known_us.is_none() || self.read.is_none_or(is_due) {
            self.window.advance(now);
            self.known_us = self.quantile_us();
            self.read = Some(now);
        }
        self.known_us
    }

    fn quantile_us(&self) -> Option<u64> {
        let share = self.quantile.share();
        let count = self.window.count() as f64;
        if count < LEAST || count * (1.0 - share) < LEAST_BEYOND - 1e-6 {
            return None;
        }
        self.window.quantiles_us([share]).map(|[us]| us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(quantile: u16, samples_ms: impl Iterator<Item = u64>) -> (UsualDelay, Instant) {
        let now = Instant::now();
        let mut delay = UsualDelay::new(Percentile::new(quantile).expect("a percentile"), now);
        samples_ms.for_each(|ms| delay.record(Duration::from_millis(ms), now));
        (delay, now)
    }

    #[test]
    fn a_quantile_needs_a_hundred_samples_and_five_beyond_it() {
        let known = |quantile, count| {
            let (mut delay, now) = fed(quantile, 1..=count);
            delay.read(now).is_some()
        };
        assert!(!known(500, 99) && known(500, 100));
        assert!(!known(950, 99) && known(950, 100));
        assert!(!known(990, 499) && known(990, 500));
        assert!(!known(999, 4999) && known(999, 5000));
    }

    #[test]
    fn a_known_delay_is_read_anew_once_a_second_and_forgotten_with_its_samples() {
        let (mut delay, start) = fed(900, 1..=100);
        let after = |ms| start + Duration::from_millis(ms);
        let near = |got: Option<u64>, want: u64| got.is_some_and(|got| got.abs_diff(want) <= want / 50);
        assert!(near(delay.read(start), 90_000));
        (0..900).for_each(|_| delay.record(Duration::from_millis(200), start));
        assert!(near(delay.read(after(999)), 90_000));
        assert!(near(delay.read(after(1000)), 200_000));
        assert_eq!(delay.read(after(61_000)), None);
    }

    #[test]
    fn another_quantile_is_read_at_once() {
        let (mut delay, now) = fed(500, 1..=100);
        let median = delay.read(now);
        delay.ask_for(Percentile::P95);
        assert!(delay.read(now) > median);
    }

    /// Reads take 1 to 100 ms; whatever reaches the delay is hedged, and its copy wins after 1 to 5 ms.
    fn hedged_for_minutes(
        mut counts: impl FnMut(&mut UsualDelay, Duration, Duration, Instant),
    ) -> Option<u64> {
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut delay, mut now) = fed(950, 1..=100);
        for _ in 0..60_000 {
            now += Duration::from_millis(5);
            let due = Duration::from_micros(delay.read(now).unwrap_or(u64::MAX));
            let took = Duration::from_millis(rng.u64(1..=100));
            let overtaken = due.saturating_add(Duration::from_millis(rng.u64(1..=5)));
            counts(&mut delay, took, overtaken, now);
        }
        delay.read(now)
    }

    #[test]
    fn hedging_does_not_make_the_delay_shorter() {
        let held = hedged_for_minutes(|delay, took, overtaken, now| delay.record(took.min(overtaken), now));
        assert!(held.is_some_and(|us| (93_000..98_000).contains(&us)), "{held:?}");
        let drifting = hedged_for_minutes(|delay, took, overtaken, now| {
            if took < overtaken {
                delay.record(took, now);
            }
        });
        assert!(drifting.is_none_or(|us| us < 88_000), "or this test shows nothing: {drifting:?}");
    }
}
