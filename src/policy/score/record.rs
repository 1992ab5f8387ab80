//! What is kept of one endpoint, and how it reads at one moment.

use std::time::{Duration, Instant};

use super::errors::ErrorRate;
use super::mean::LongMean;
use super::peak::PeakEwma;
use super::ratio::RatioWindow;
use crate::policy::latency::LatencyWindow;

/// A share of requests.
const FAILING: f64 = 0.1;

/// Latencies and errors of one endpoint. It survives a reload.
#[derive(Debug)]
pub struct EndpointRecord {
    latency: LatencyWindow,
    pub(super) ratio: RatioWindow,
    pub(super) fast: PeakEwma,
    pub(super) mean: LongMean,
    pub(super) errors: ErrorRate,
    pub(super) last_sample: Instant,
    /// Answers of the pool at that moment.
    pub(super) last_answer: u64,
    /// How many answers the pool had had when it was last heard of or sent a probe, and when that was.
    pub(super) last_try: (u64, Instant),
    /// What a probe costs the request that is sent as one, as a multiple of the usual.
    pub(super) dearness: f32,
    /// Since when it answers, or is back; `None` before its first success and after its window has emptied.
    pub(super) warm_since: Option<Instant>,
    /// Whether it was out, and has not had a success since.
    pub(super) on_trial: bool,
}

impl EndpointRecord {
    /// An endpoint of which nothing is known.
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        Self {
            latency: LatencyWindow::new(window, now),
            ratio: RatioWindow::new(window, now),
            fast: PeakEwma::default(),
            mean: LongMean::default(),
            errors: ErrorRate::new(now),
            last_sample: now,
            last_answer: 0,
            last_try: (0, now),
            dearness: 1.0,
            warm_since: None,
            on_trial: false,
        }
    }

    /// The latencies in the window.
    pub fn latency(&self) -> &LatencyWindow {
        &self.latency
    }

    /// Forgets what has left the window at `now`. With it goes that the endpoint is known to answer, if it has been
    /// silent for longer than a slow start takes.
    pub(super) fn advance(&mut self, slow_start: Option<Duration>, now: Instant) {
        self.latency.advance(now);
        self.ratio.advance(now);
        let heard = self.warm_since.map_or(self.last_sample, |since| since.max(self.last_sample));
        let silent = now.saturating_duration_since(heard);
        if self.ratio.count() == 0 && silent >= slow_start.unwrap_or_default() {
            self.warm_since = None;
        }
    }

    /// A failure may make an endpoint look slower but never faster, and is no proof that a cold one works. What it
    /// says of errors is counted elsewhere.
    pub(super) fn record_failure(&mut self, ratio: f64, now: Instant) {
        if self.ratio.count() > 0 && ratio >= self.fast.read(now) {
            self.fast.record(ratio, now);
        }
    }

    /// Whether it has failed so much lately that a probe would most likely fail too.
    pub(super) fn is_failing(&self, now: Instant) -> bool {
        self.errors.rate(now) > FAILING
    }

    /// Begins anew with what is set against the usual, which is no longer the same.
    pub(super) fn forget_ratios(&mut self, window: Duration, now: Instant) {
        self.ratio = RatioWindow::new(window, now);
        (self.fast, self.mean) = (PeakEwma::default(), LongMean::default());
    }

    /// It has been out. What is known of it is from before.
    pub(super) fn begin_anew(&mut self, window: Duration, now: Instant) {
        self.forget_ratios(window, now);
        self.errors = ErrorRate::new(now);
        (self.warm_since, self.on_trial) = (None, true);
    }

    pub(super) fn resize(&mut self, window: Duration, now: Instant) {
        self.latency.resize(window, now);
        self.ratio.resize(window, now);
    }

    /// Counts a latency, and the same as a multiple of what is usual for its route.
    pub(super) fn record(&mut self, latency_us: u64, ratio: f64, of_pool: u64, now: Instant) {
        self.latency.record(latency_us, now);
        self.ratio.record(ratio, now);
        self.fast.record(ratio, now);
        self.mean.record(ratio, of_pool, now);
        self.last_sample = self.last_sample.max(now);
        self.last_answer = of_pool;
        self.last_try = (of_pool, now);
        self.warm_since.get_or_insert(now);
        self.on_trial = false;
    }
}
