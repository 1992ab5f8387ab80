//! What a request costs at each endpoint of a pool, from the latencies and errors seen there.
//!
//! Runs in the aggregator, ten times a second; workers only read the published factor. It compares an endpoint with
//! its pool and never with a fixed latency, so that a pool which is slow as a whole is still balanced.
//!
//! Three memories, since each alone is wrong somewhere: a window for the tail, which does not forget a rare stall
//! between two of them (L); a mean that lasts until it is contradicted, for pools with few requests (M); a peak of the
//! last seconds, for what changes suddenly (T). The constants are those with which the simulation
//! (`benches/simulation`) lost to no rival; change one, and run it.

mod errors;
mod mean;
mod peak;
mod probe;
mod ratio;
mod reading;
mod record;
mod usual;

use std::time::{Duration, Instant};

use self::probe::Probe;
use self::reading::{Common, Reading, narrow};
pub use self::record::EndpointRecord;
use self::usual::Usual;
use super::endpoint::Candidate;
use crate::config::{LeastResponse, Normalize};

/// The shortest latency that is told apart, in microseconds.
const FLOOR_US: u64 = 64;

/// Stands for every route where latencies are not told apart by route.
const ANY_ROUTE: u32 = u32::MAX;

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

/// What one answer, or the lack of one, says of an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The route of the request; the caller numbers them.
    pub route: u32,
    /// From the last byte of the request sent to the response head, or to the failure, where both were seen.
    pub latency: Option<Duration>,
    /// Good or bad.
    pub outcome: Outcome,
}

/// How a pool is scored: what the config says of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Quantile, window and samples.
    pub least_response: LeastResponse,
    /// Over how long a new endpoint comes to its full share.
    pub slow_start: Option<Duration>,
}

/// The cost of an endpoint relative to its pool, with the parts it is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// What a request costs here as a multiple of the usual: `max(L^2, M, T, 1) / E`, where what lies within a
    /// dead-band counts as 1.
    pub factor: f32,
    /// How long requests may wait for their response head on average before that counts as slow, in microseconds.
    pub patience_us: f32,
    /// L: the mean beyond the quantile over the pool's, drawn towards 1 where samples are few or old.
    pub tail: f32,
    /// L before it is drawn towards 1.
    pub raw_tail: f32,
    /// M: the mean that is remembered longest, over the pool's.
    pub mean: f32,
    /// T: the recent peak, over 2.5 times the pool's.
    pub fast: f32,
    /// E: the share of requests that did not fail to the power of 4, 0.0001 to 1.
    pub error: f32,
    /// How far slow start has come, 0.1 to 1.
    pub ramp: f32,
    /// Latencies in the window; none means cold.
    pub samples: u64,
    /// Whether it is worth a request that changes nothing, to see how it does now.
    pub probe: bool,
}

impl Score {
    /// Whether nothing is known of its latency.
    pub fn is_cold(&self) -> bool {
        self.samples == 0
    }
}

impl Default for Score {
    fn default() -> Self {
        Self {
            factor: 1.0,
            patience_us: f32::INFINITY,
            tail: 1.0,
            raw_tail: 1.0,
            mean: 1.0,
            fast: 1.0,
            error: 1.0,
            ramp: 1.0,
            samples: 0,
            probe: false,
        }
    }
}

/// What is known of one upstream. It survives a reload.
#[derive(Debug)]
pub struct Pool {
    settings: Settings,
    usual: Usual,
    endpoints: Vec<EndpointRecord>,
    /// Answers of any endpoint so far.
    answers: u64,
    probe: Probe,
}

impl Pool {
    /// A pool of which nothing is known.
    pub fn new(settings: Settings, endpoints: usize, now: Instant) -> Self {
        let record = || EndpointRecord::new(settings.least_response.window, now);
        Self {
            settings,
            usual: Usual::default(),
            answers: 0,
            probe: Probe::new(now),
            endpoints: std::iter::repeat_with(record).take(endpoints).collect(),
        }
    }

    /// The pool after a reload: each endpoint is one of before, by its index, or a new one. Samples stay.
    pub fn renew(self, settings: Settings, endpoints: &[Option<usize>], now: Instant) -> Self {
        let window = settings.least_response.window;
        let other_scale = settings.least_response.normalize != self.settings.least_response.normalize;
        let mut known: Vec<Option<EndpointRecord>> = self.endpoints.into_iter().map(Some).collect();
        let mut renew = |before: &Option<usize>| match before.and_then(|index| known.get_mut(index)?.take()) {
            Some(mut record) => {
                record.resize(window, now);
                if other_scale {
                    record.forget_ratios(window, now);
                }
                record
            }
            None => EndpointRecord::new(window, now),
        };
        let endpoints = endpoints.iter().map(&mut renew).collect();
        let probe = Probe::new(now);
        Self { endpoints, settings, probe, usual: self.usual, answers: self.answers }
    }

    /// Forgets what is usual on routes that are not wanted.
    pub fn retain_routes(&mut self, wanted: impl Fn(u32) -> bool) {
        self.usual.retain(|route| route == ANY_ROUTE || wanted(route));
    }

    /// What is known of one endpoint.
    pub fn endpoint(&self, index: usize) -> &EndpointRecord {
        &self.endpoints[index]
    }

    /// An endpoint that was out returns as one of which nothing is known, save what people are shown.
    pub fn give_another_chance(&mut self, endpoint: usize, now: Instant) {
        self.endpoints[endpoint].begin_anew(self.settings.least_response.window, now);
    }

    /// Counts one finished request of one endpoint.
    pub fn learn(&mut self, endpoint: usize, sample: &Sample, now: Instant) {
        if sample.outcome == Outcome::Neutral {
            return;
        }
        self.answers += 1;
        self.endpoints[endpoint].errors.record(sample.outcome, now);
        let Some(latency) = sample.latency else { return };
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(FLOOR_US);
        match (sample.outcome, self.ratio(sample, micros)) {
            (Outcome::Success, ratio) => self.endpoints[endpoint].record(micros, ratio, self.answers, now),
            (_, ratio) => self.endpoints[endpoint].record_failure(ratio, now),
        }
    }

    /// An endpoint gets requests again after a time without: its slow start begins at once, and not at its first success,
    /// or it would be given everything until then. How far it has come, which the workers are to know before they may pick
    /// it.
    pub fn returns(&mut self, endpoint: usize, now: Instant) -> f32 {
        let record = &mut self.endpoints[endpoint];
        record.warm_since = Some(now);
        narrow(record.ramp(self.settings.slow_start, now))
    }

    /// Scores every endpoint and tells the workers, who read it in the states of `candidates`.
    pub fn publish(&mut self, candidates: &[Candidate], now: Instant) -> Vec<Score> {
        let mut scores = self.scores(now);
        if let Some(index) = self.probe.next(&mut self.endpoints, candidates, self.answers, now) {
            scores[index].probe = true;
        }
        for (candidate, score) in candidates.iter().zip(&scores) {
            candidate.state.publish(*score);
            candidate.state.fade();
        }
        scores
    }

    fn scores(&mut self, now: Instant) -> Vec<Score> {
        let (settings, answers) = (self.settings, self.answers);
        let endpoints = self.endpoints.iter_mut();
        let readings: Vec<Reading> =
            endpoints.map(|endpoint| endpoint.read(&settings, answers, now)).collect();
        let common = Common::of(&readings, self.usual.typical_us());
        for (endpoint, reading) in self.endpoints.iter_mut().zip(&readings) {
            endpoint.dearness = reading.dearness(&common);
        }
        readings.iter().map(|reading| reading.score(&common, &settings.least_response)).collect()
    }

    /// The latency as a multiple of what is usual. Only successes teach what is usual.
    fn ratio(&mut self, sample: &Sample, micros: u64) -> f64 {
        let route = match self.settings.least_response.normalize {
            Normalize::Route => sample.route,
            Normalize::Off => ANY_ROUTE,
        };
        let micros = micros as f64;
        let usual = match sample.outcome {
            Outcome::Success => self.usual.learn(route, micros),
            _ => self.usual.of(route).unwrap_or(micros),
        };
        micros / usual
    }
}

#[cfg(test)]
mod tests;
