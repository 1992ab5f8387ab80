//! A mean that is remembered until new samples contradict it: the long half of a score.
//!
//! At a few requests a second a window holds too few samples for a quantile, and what is forgotten by the clock has to
//! be learned again at a shopper's expense. So the value stays, and only its weight fades: an endpoint that was slow
//! stays dear until it is tried, and the first sample after a long silence counts nearly alone.

use std::time::Instant;

/// A sample weighs a third after this time, or after so many answers of the pool, whichever is later: ten seconds of a
/// quiet shop are a dozen samples, whose mean is chance.
const FADE_SECONDS: f64 = 10.0;
const FADE_ANSWERS: f64 = 300.0;
/// No sample counts as more than so many times the usual: one that hung for ten seconds, where ten milliseconds are
/// usual, would be remembered for minutes.
const MOST_RATIO: f64 = 50.0;
/// No more samples than these are averaged.
const MOST: f64 = 64.0;

/// Mean of the latest samples.
#[derive(Debug, Default)]
pub(super) struct LongMean {
    value: f64,
    weight: f64,
    samples: u32,
    updated: Option<Instant>,
    /// Answers of the pool at that moment.
    answers: u64,
}

impl LongMean {
    /// Counts one value, `answers` of the pool after its start. An instant earlier than the last counts as the last.
    pub(super) fn record(&mut self, value: f64, answers: u64, now: Instant) {
        let idle = self.updated.map_or(0.0, |last| now.saturating_duration_since(last).as_secs_f64());
        let missed = answers.saturating_sub(self.answers) as f64;
        let kept = (-(idle / FADE_SECONDS).min(missed / FADE_ANSWERS)).exp();
        self.weight = (self.weight * kept).min(MOST - 1.0) + 1.0;
        self.value += (value.min(MOST_RATIO) - self.value) / self.weight;
        self.samples = self.samples.saturating_add(1);
        self.updated = self.updated.max(Some(now));
        self.answers = answers;
    }

    /// The mean, and of how many samples it was ever made; 0 before the first.
    pub(super) fn read(&self) -> (f64, u32) {
        (self.value, self.samples)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_mean_is_kept_through_silence_and_given_up_at_the_first_contradiction() {
        let start = Instant::now();
        let mut mean = LongMean::default();
        (0..100).for_each(|_| mean.record(10.0, 0, start));
        let later = start + Duration::from_secs(300);
        assert_eq!(mean.read(), (10.0, 100));
        mean.record(1.0, 10_000, later);
        assert!(mean.read().0 < 1.1, "{mean:?}");
        mean.record(3.0, 10_000, later);
        assert!((mean.read().0 - 2.0).abs() < 0.1, "{mean:?}");
    }

    #[test]
    fn ten_quiet_seconds_do_not_make_a_sample_old() {
        let start = Instant::now();
        let mut mean = LongMean::default();
        (0..50).for_each(|_| mean.record(1.0, 0, start));
        mean.record(4.0, 50, start + Duration::from_secs(20));
        assert!(mean.read().0 < 1.1, "{mean:?}");
    }

    #[test]
    fn a_hang_is_not_remembered_for_minutes() {
        let start = Instant::now();
        let mut mean = LongMean::default();
        (0..64).for_each(|_| mean.record(1.0, 0, start));
        (0..7).for_each(|_| mean.record(900.0, 64, start));
        assert!(mean.read().0 < 7.0, "{mean:?}");
        for probe in 1..=4 {
            mean.record(1.0, 64 + 2500 * probe, start + Duration::from_secs(16 * probe));
        }
        assert!(mean.read().0 < 1.5, "{mean:?}");
    }

    #[test]
    fn one_outlier_among_many_moves_it_little() {
        let start = Instant::now();
        let mut mean = LongMean::default();
        (0..100).for_each(|_| mean.record(1.0, 0, start));
        mean.record(30.0, 0, start);
        assert!(mean.read().0 < 1.5, "{mean:?}");
    }
}
