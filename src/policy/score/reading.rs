//! One endpoint at one moment, compared with its pool.

use std::time::{Duration, Instant};

use super::record::EndpointRecord;
use super::{FLOOR_US, Score, Settings};
use crate::config::LeastResponse;

/// L and T below this count as 1: equal endpoints differ by chance, and must not be told apart.
const DEAD_BAND: f64 = 1.35;
/// M below this counts as 1. It rests on fewer samples than L.
const MEAN_DEAD_BAND: f64 = 1.5;
/// L counts squared: an endpoint whose tail is three times the usual is to be passed over even while each of the others
/// has some requests.
const STEEPNESS: i32 = 2;
/// The fast term speaks only above this many times the pool's: a peak is noisier than a quantile.
const FAST_MARGIN: f64 = 2.5;
/// The tail has half its say at `min_samples` over this.
const HALF_SAY: f64 = 2.0;
/// The long mean has half its say after so many samples: three slow answers are enough to be shy of an endpoint.
const MEAN_HALF_SAY: f64 = 3.0;
/// Without a sample its say falls by 63 % in this many seconds, or in so many answers of the pool, whichever is later.
const MEAN_FADE_SECONDS: f64 = 300.0;
const MEAN_FADE_ANSWERS: f64 = 3000.0;
/// Requests may wait so many times as long as a mean answer takes before their age counts.
const PATIENCE: f64 = 3.0;
/// An endpoint with less than this share of an even part of the samples does not say what is usual: the few that it has
/// are chance.
const LEAST_HEARD: f64 = 0.1;
/// No error rate makes a request dearer than `1 / 0.1^4` = 10,000 times.
const LEAST_SUCCESS: f64 = 0.1;
/// One failure in ten makes a request dearer by half: for a shopper it is worse than a slow answer.
const ERROR_STEEPNESS: i32 = 4;
/// Slow start begins with this share (Envoy's `min_weight_percent`).
const LEAST_RAMP: f64 = 0.1;

/// Latencies are multiples of what is usual on their route.
#[derive(Debug)]
pub(super) struct Reading {
    samples: u64,
    tail: f64,
    fast: f64,
    /// T's value without the decay of silence.
    peak: f64,
    mean: f64,
    /// Samples that the mean was ever made of.
    mean_samples: u32,
    /// How long ago the mean was last spoken to; at 1 its say has fallen by 63 %.
    staleness: f64,
    /// 1 at a sample, 0 when it may leave the window.
    freshness: f64,
    success: f64,
    ramp: f64,
}

impl EndpointRecord {
    pub(super) fn read(&mut self, settings: &Settings, answers: u64, now: Instant) -> Reading {
        self.advance(settings.slow_start, now);
        let idle = now.saturating_duration_since(self.last_sample).as_secs_f64();
        let missed = answers.saturating_sub(self.last_answer);
        let (mean, mean_samples) = self.mean.read();
        Reading {
            samples: self.ratio.count(),
            tail: self.ratio.tail(settings.least_response.quantile),
            fast: self.fast.read(now),
            peak: self.fast.latest(),
            mean,
            mean_samples,
            staleness: (idle / MEAN_FADE_SECONDS).min(missed as f64 / MEAN_FADE_ANSWERS),
            freshness: 1.0 - (idle / self.ratio.retention().as_secs_f64()).min(1.0),
            success: (1.0 - self.errors.rate(now)).clamp(LEAST_SUCCESS, 1.0),
            ramp: self.ramp(settings.slow_start, now),
        }
    }

    /// Slow start begins at the first success; until then it gets one request at a time, and has to. One that was out gets
    /// few under every strategy, until a success tells that it is worth more.
    pub(super) fn ramp(&self, slow_start: Option<Duration>, now: Instant) -> f64 {
        if self.on_trial {
            return LEAST_RAMP;
        }
        let Some(length) = slow_start else { return 1.0 };
        let Some(since) = self.warm_since else { return 1.0 };
        let warm = now.saturating_duration_since(since).as_secs_f64();
        (warm / length.as_secs_f64()).clamp(LEAST_RAMP, 1.0)
    }
}

impl Reading {
    pub(super) fn score(&self, common: &Common, settings: &LeastResponse) -> Score {
        let (tail, mean, fast) = (self.tail(common, settings), self.mean(common), self.fast(common));
        let slowness = beyond(DEAD_BAND, tail).powi(STEEPNESS);
        let slowness = slowness.max(beyond(MEAN_DEAD_BAND, mean)).max(beyond(DEAD_BAND, fast));
        let error = self.success.powi(ERROR_STEEPNESS);
        Score {
            factor: narrow(beyond(DEAD_BAND, slowness / error)),
            patience_us: common.patience_us.map_or(f32::INFINITY, narrow),
            tail: narrow(tail),
            raw_tail: narrow(if self.samples == 0 { 1.0 } else { self.tail / common.tail }),
            mean: narrow(mean),
            fast: narrow(fast),
            error: narrow(error),
            ramp: narrow(self.ramp),
            samples: self.samples,
            probe: false,
        }
    }

    /// What an answer takes here, whatever that rests on: a probe that is slow is slow for somebody.
    pub(super) fn dearness(&self, common: &Common) -> f32 {
        narrow(self.mean / common.mean)
    }

    /// L. Freshness lets it slide back to the pool's where an endpoint is no longer tried, instead of being forgotten
    /// at once when its last slot expires; the first request it then gets restores what the window knows.
    fn tail(&self, common: &Common, settings: &LeastResponse) -> f64 {
        let half_say = settings.min_samples as f64 / HALF_SAY;
        let say = share(self.samples as f64, half_say) * self.freshness;
        if self.samples == 0 { 1.0 } else { (self.tail / common.tail).powf(say) }
    }

    /// M. It outlives the window, but not for ever: where requests change something, none is sent as a probe.
    fn mean(&self, common: &Common) -> f64 {
        let say = share(f64::from(self.mean_samples), MEAN_HALF_SAY) * (-self.staleness).exp();
        if self.mean_samples == 0 { 1.0 } else { (self.mean / common.mean).powf(say) }
    }

    /// T.
    fn fast(&self, common: &Common) -> f64 {
        if self.samples == 0 { 1.0 } else { self.fast / (FAST_MARGIN * common.fast) }
    }
}

/// 0 for nothing, a half at `half`, 1 for infinitely many.
fn share(samples: f64, half: f64) -> f64 {
    samples / (samples + half)
}

/// What lies within the band counts as 1.
fn beyond(band: f64, value: f64) -> f64 {
    if value < band { 1.0 } else { value }
}

/// What is common in a pool: the median over its endpoints. The tail of the merged samples would be the worst
/// endpoint's own.
#[derive(Debug)]
pub(super) struct Common {
    tail: f64,
    mean: f64,
    fast: f64,
    /// How long a request may usually wait, in microseconds; `None` while nothing is known.
    patience_us: Option<f64>,
}

impl Common {
    /// `typical_us`: what is usual for a request of any route.
    pub(super) fn of(readings: &[Reading], typical_us: Option<f64>) -> Self {
        let samples: u64 = readings.iter().map(|reading| reading.samples).sum();
        let enough = samples as f64 / readings.len().max(1) as f64 * LEAST_HEARD;
        let heard = || readings.iter().filter(|reading| reading.samples as f64 > enough);
        let mean = median(heard().map(|reading| reading.mean));
        Self {
            tail: median(heard().map(|reading| reading.tail)),
            mean,
            // Not decayed: where others are silent, theirs would fall, and the one that answers look slow beside them.
            fast: median(heard().map(|reading| reading.peak)),
            patience_us: typical_us.map(|typical| (typical * mean * PATIENCE).max(FLOOR_US as f64)),
        }
    }
}

/// The lower median: with half of the endpoints bad, the good ones are still what is usual.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(1.0)
}

/// Latencies and rates are bounded, so that every part of a score lies well within an `f32`.
#[expect(clippy::cast_possible_truncation, reason = "rounds; nothing here is near f32's range")]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}
