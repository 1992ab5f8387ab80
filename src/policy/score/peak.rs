//! A latency that jumps up at once and comes down slowly: the fast half of a score.
//!
//! After Finagle's Peak EWMA, with one difference: there the value decays at one rate, here samples pull it down within
//! seconds while silence alone takes longer, so that an endpoint which gets little traffic is not forgiven by the clock.

use std::time::Instant;

/// A lower sample replaces 63 % of the value when it comes this many seconds after the last.
const SETTLE_SECONDS: f64 = 1.5;
/// Without samples the value falls by 63 % in this many seconds.
const FORGET_SECONDS: f64 = 10.0;

/// No sample counts as more than so many times the usual.
const MOST_RATIO: f64 = 100.0;

/// Peak-sensitive moving average of multiples of the usual; 0 before the first sample.
#[derive(Debug, Default)]
pub(super) struct PeakEwma {
    value: f64,
    updated: Option<Instant>,
}

impl PeakEwma {
    /// Counts one latency. An instant earlier than the last counts as the last.
    pub(super) fn record(&mut self, latency: f64, now: Instant) {
        let kept = (-self.idle_seconds(now) / SETTLE_SECONDS).exp();
        let latency = latency.min(MOST_RATIO);
        let settled = self.value * kept + latency * (1.0 - kept);
        self.value = settled.max(latency);
        self.updated = self.updated.max(Some(now));
    }

    /// The value as its last sample left it.
    pub(super) fn latest(&self) -> f64 {
        self.value
    }

    /// The value at `now`.
    pub(super) fn read(&self, now: Instant) -> f64 {
        self.value * (-self.idle_seconds(now) / FORGET_SECONDS).exp()
    }

    fn idle_seconds(&self, now: Instant) -> f64 {
        self.updated.map_or(0.0, |updated| now.saturating_duration_since(updated).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_settles_within_seconds() {
        let start = Instant::now();
        let mut peak = PeakEwma::default();
        peak.record(1.0, start);
        peak.record(15.0, start);
        assert_eq!(peak.read(start), 15.0);
        for step in 1..=100 {
            peak.record(1.0, start + Duration::from_millis(100 * step));
        }
        assert!(peak.read(start + Duration::from_secs(10)) < 1.1);
    }

    #[test]
    fn silence_forgives_more_slowly_than_good_samples() {
        let start = Instant::now();
        let mut peak = PeakEwma::default();
        peak.record(10.0, start);
        let later = start + Duration::from_secs(5);
        assert!(peak.read(later) > 6.0);
        peak.record(1.0, later);
        assert!(peak.read(later) < 1.5);
    }
}
