//! What a request costs at each endpoint of a pool, from the latencies and errors seen there.
//!
//! Runs in the aggregator, ten times a second; workers only read the published factor. It compares an endpoint with
//! its pool and never with a fixed latency, so that a pool which is slow as a whole is still balanced.

mod errors;
mod peak;

use std::time::{Duration, Instant};

use self::errors::ErrorRate;
use self::peak::PeakEwma;
use super::latency::LatencyWindow;
use crate::config::LeastResponse;

/// A ratio to the pool below this counts as 1: equal endpoints differ by chance, and must not be told apart.
const DEAD_BAND: f64 = 1.25;
/// The fast term speaks only above this many times the pool's: a peak is noisier than a quantile.
const FAST_MARGIN: f64 = 2.5;
/// The quantile has half its say at `min_samples` over this, and ten elevenths of it at `min_samples`.
const HALF_SAY: f64 = 10.0;
/// No error rate makes a request dearer than `1 / 0.05^2` = 400 times.
const LEAST_SUCCESS: f64 = 0.05;
/// The shortest latency that is told apart, in microseconds.
const FLOOR_US: f64 = 64.0;

/// What the aggregator keeps of one endpoint. It survives a reload.
#[derive(Debug)]
pub struct EndpointRecord {
    latency: LatencyWindow,
    fast: PeakEwma,
    errors: ErrorRate,
    last_sample: Instant,
}

/// How a request ended, as far as the endpoint answers for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A response, save those below.
    Success,
    /// 500: an application's error as often as an endpoint's. Counts half.
    SoftFailure,
    /// Connect failure, reset, timeout, 429, 502, 503, 504. Counts 1.
    Failure,
    /// The client went away. Says nothing of the endpoint.
    Neutral,
}

impl EndpointRecord {
    /// An endpoint of which nothing is known.
    pub fn new(settings: &LeastResponse, now: Instant) -> Self {
        Self {
            latency: LatencyWindow::new(settings.window, now),
            fast: PeakEwma::default(),
            errors: ErrorRate::new(now),
            last_sample: now,
        }
    }

    /// Takes up new settings; samples stay.
    pub fn retune(&mut self, settings: &LeastResponse, now: Instant) {
        self.latency.resize(settings.window, now);
    }

    /// Counts one finished request. `latency`: from its last byte sent to the response head, or to the failure.
    pub fn record(&mut self, latency: Option<Duration>, outcome: Outcome, now: Instant) {
        if outcome == Outcome::Neutral {
            return;
        }
        self.errors.record(outcome, now);
        let micros = latency.map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        if let Some(micros) = micros.filter(|&micros| self.tells(micros, outcome, now)) {
            self.latency.record(micros, now);
            self.fast.record(micros as f64, now);
            self.last_sample = self.last_sample.max(now);
        }
    }

    /// The latencies in the window.
    pub fn latency(&self) -> &LatencyWindow {
        &self.latency
    }

    /// A failure may make an endpoint look slower (a timeout does) but never faster, and is no proof that a cold one
    /// works.
    fn tells(&self, micros: u64, outcome: Outcome, now: Instant) -> bool {
        let usual = || self.fast.read(now).max(FLOOR_US);
        outcome == Outcome::Success || (self.latency.count() > 0 && micros as f64 >= usual())
    }

    fn read(&mut self, quantile: f64, now: Instant) -> Reading {
        self.latency.advance(now);
        let idle = now.saturating_duration_since(self.last_sample).as_secs_f64();
        Reading {
            samples: self.latency.count(),
            quantile_us: self.latency.quantile_us(quantile).map_or(FLOOR_US, |us| us as f64),
            fast_us: self.fast.read(now).max(FLOOR_US),
            freshness: 1.0 - (idle / self.latency.retention().as_secs_f64()).min(1.0),
            success: (1.0 - self.errors.rate(now)).clamp(LEAST_SUCCESS, 1.0),
        }
    }
}

/// The cost of an endpoint relative to its pool, with the parts it is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// What a request costs here as a multiple of the usual: `max(ratio, fast, 1) / error`, 1 within the dead-band.
    pub factor: f32,
    /// L: the quantile over the pool's, drawn towards 1 where samples are few or old.
    pub ratio: f32,
    /// T: the recent peak over 2.5 times the pool's.
    pub fast: f32,
    /// E: the squared share of requests that did not fail, 0.0025 to 1.
    pub error: f32,
    /// Latencies in the window; none means cold.
    pub samples: u64,
}

impl Score {
    /// Whether nothing is known of its latency.
    pub fn is_cold(&self) -> bool {
        self.samples == 0
    }
}

impl Default for Score {
    fn default() -> Self {
        Self { factor: 1.0, ratio: 1.0, fast: 1.0, error: 1.0, samples: 0 }
    }
}

/// Scores every endpoint of one pool against the pool, in the order of `records`.
pub fn score_pool(settings: &LeastResponse, records: &mut [&mut EndpointRecord], now: Instant) -> Vec<Score> {
    let readings: Vec<_> = records.iter_mut().map(|record| record.read(settings.quantile, now)).collect();
    let pool = Pool::of(&readings);
    readings.iter().map(|reading| reading.score(&pool, settings)).collect()
}

/// One endpoint at one moment; latencies in microseconds, at least `FLOOR_US`.
#[derive(Debug)]
struct Reading {
    samples: u64,
    quantile_us: f64,
    fast_us: f64,
    /// 1 at a sample, 0 when it may leave the window.
    freshness: f64,
    success: f64,
}

impl Reading {
    fn score(&self, pool: &Pool, settings: &LeastResponse) -> Score {
        let (ratio, fast) = if self.samples == 0 { (1.0, 1.0) } else { self.slowness(pool, settings) };
        let slowness = if ratio.max(fast) < DEAD_BAND { 1.0 } else { ratio.max(fast) };
        let error = self.success.powi(2);
        Score {
            factor: narrow(slowness / error),
            ratio: narrow(ratio),
            fast: narrow(fast),
            error: narrow(error),
            samples: self.samples,
        }
    }

    /// L and T. Freshness lets a slow endpoint that is no longer tried slide back to the pool's cost instead of being
    /// forgotten at once when its last slot expires; the first request it then gets restores what the window knows.
    fn slowness(&self, pool: &Pool, settings: &LeastResponse) -> (f64, f64) {
        let samples = self.samples as f64;
        let say = samples / (samples + settings.min_samples as f64 / HALF_SAY);
        let ratio = (self.quantile_us / pool.quantile_us).powf(say * self.freshness);
        (ratio, self.fast_us / (FAST_MARGIN * pool.fast_us))
    }
}

/// What is usual in a pool: the median over its endpoints. The quantile of the merged samples would be the worst
/// endpoint's own.
struct Pool {
    quantile_us: f64,
    fast_us: f64,
}

impl Pool {
    fn of(readings: &[Reading]) -> Self {
        let known = || readings.iter().filter(|reading| reading.samples > 0);
        Self {
            quantile_us: median(known().map(|reading| reading.quantile_us)),
            fast_us: median(known().map(|reading| reading.fast_us)),
        }
    }
}

/// The lower median: with half of the endpoints bad, the good ones are still what is usual.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(FLOOR_US)
}

/// Latencies and rates are bounded, so that every part of a score lies well within an `f32`.
#[expect(clippy::cast_possible_truncation, reason = "rounds; nothing here is near f32's range")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests;
