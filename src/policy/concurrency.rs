//! How many requests an upstream can have in flight before they wait for each other there, learned from their latency.
//!
//! Below the knee another request in flight is more throughput at the same latency; above it, only more latency. So the
//! limit is multiplied by how far the latency lies over that of an upstream without a queue, plus some headroom to find
//! out whether there is more (the gradient of Envoy's adaptive concurrency filter and of Netflix's concurrency-limits,
//! whose headroom is the root of the limit too). The latency without a queue is the lowest lately; when it has not been
//! seen for some time, the limit is lowered for a moment to measure it again, as Envoy does (to the least at the start), by a half only, as the
//! limit lies near the knee already (BBR, ACM Queue 14(5), 2016, finds its minimal round trip in this way). It begins at
//! its least and doubles until the latency rises for the first time, as TCP does.

use std::time::{Duration, Instant};

use crate::config::AdaptiveConcurrency;

/// Fewer answers than these say nothing.
const ENOUGH: usize = 10;
/// Latencies of one tick that are looked at; those that follow are not.
const MOST_SAMPLES: usize = 2048;
/// No single step makes it smaller than by this.
const LEAST_GRADIENT: f64 = 0.5;
/// The part of a step that is taken.
const SMOOTHING: f64 = 0.4;
/// The lowest latency has been seen if one was this near to it.
const NEAR: f64 = 1.1;
/// The lowest latency follows one that is near by this part.
const FOLLOWS: f64 = 0.05;
/// It is measured again after this time without having been seen.
const STALE_AFTER: Duration = Duration::from_secs(30);
/// What is in flight when the limit is lowered is not of the measurement. Waited for no longer than this.
const LONGEST_SETTLING: Duration = Duration::from_secs(5);

/// The limit of one upstream as it moves.
#[derive(Debug)]
pub struct Gradient {
    settings: AdaptiveConcurrency,
    limit: f64,
    /// Microseconds.
    samples: Vec<u32>,
    least: Option<Least>,
    /// While the limit is lowered to measure: until when answers are of before.
    settles: Option<Instant>,
    start: Start,
}

/// Whether the knee has been met once.
#[derive(Debug, Clone, Copy)]
enum Start {
    /// No: the limit doubles, when answers tell of its last change.
    Doubles(Option<Instant>),
    /// Yes.
    Over,
}

/// The latency without a queue.
#[derive(Debug, Clone, Copy)]
struct Least {
    us: f64,
    seen: Instant,
}

impl Gradient {
    /// Nothing is known.
    pub fn new(settings: AdaptiveConcurrency) -> Self {
        let start = Start::Doubles(None);
        Self { settings, limit: settings.min.into(), samples: Vec::new(), least: None, settles: None, start }
    }

    /// What it was made from.
    pub fn settings(&self) -> AdaptiveConcurrency {
        self.settings
    }

    /// A request was answered after this time.
    pub fn learn(&mut self, latency: Duration) {
        if self.samples.len() < MOST_SAMPLES {
            self.samples.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        }
    }

    /// The limit from now on, with so many requests in flight now. To be asked ten times a second.
    pub fn tick(&mut self, in_flight: u32, now: Instant) -> u32 {
        if self.settles.is_some_and(|until| now < until) {
            self.samples.clear();
        } else if let Some(median_us) = self.median() {
            self.follow(median_us, in_flight, now);
        }
        self.current()
    }

    /// The median of what was learned, if it is enough. A mean would be that of the slowest route.
    fn median(&mut self) -> Option<f64> {
        if self.samples.len() < ENOUGH {
            return None;
        }
        let middle = self.samples.len() / 2;
        let (_, median, _) = self.samples.select_nth_unstable(middle);
        let median = f64::from((*median).max(1));
        self.samples.clear();
        Some(median)
    }

    fn follow(&mut self, median_us: f64, in_flight: u32, now: Instant) {
        if self.settles.take().is_some() {
            self.least = Some(Least { us: median_us, seen: now });
            return;
        }
        let least = self.least.get_or_insert(Least { us: median_us, seen: now });
        least.see(median_us, now);
        if now.saturating_duration_since(least.seen) >= STALE_AFTER {
            self.settles = Some(now + settling(median_us));
            return;
        }
        let gradient = least.us * (1.0 + f64::from(self.settings.tolerance_percent) / 100.0) / median_us;
        match self.start {
            Start::Doubles(_) if gradient < 1.0 => self.start = Start::Over,
            Start::Doubles(due) => return self.double(due, median_us, in_flight, now),
            Start::Over => {}
        }
        self.step(gradient.clamp(LEAST_GRADIENT, 1.0), in_flight);
    }

    /// Answers tell of a change after they took their time twice: once for what was in flight, once for themselves.
    fn double(&mut self, due: Option<Instant>, median_us: f64, in_flight: u32, now: Instant) {
        if due.is_none_or(|due| now >= due) && self.is_in_use(in_flight) {
            self.limit = (self.limit * 2.0).min(self.settings.max.into());
            self.start = Start::Doubles(Some(now + settling(median_us)));
        }
    }

    /// A limit that is not in use says nothing of what lies above it.
    fn is_in_use(&self, in_flight: u32) -> bool {
        f64::from(in_flight) >= self.limit / 2.0
    }

    fn step(&mut self, gradient: f64, in_flight: u32) {
        let wanted = self.limit * gradient + self.limit.sqrt();
        if wanted > self.limit && !self.is_in_use(in_flight) {
            return;
        }
        let next = self.limit + (wanted - self.limit) * SMOOTHING;
        self.limit = next.clamp(self.settings.min.into(), self.settings.max.into());
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between two values of a u32"
    )]
    fn current(&self) -> u32 {
        let limit = if self.settles.is_some() { self.limit / 2.0 } else { self.limit };
        (limit as u32).max(self.settings.min)
    }
}

fn settling(median_us: f64) -> Duration {
    Duration::from_secs_f64(median_us * 2.0 / 1e6).min(LONGEST_SETTLING)
}

impl Least {
    fn see(&mut self, us: f64, now: Instant) {
        if us <= self.us {
            *self = Self { us, seen: now };
        } else if us <= self.us * NEAR {
            *self = Self { us: self.us + (us - self.us) * FOLLOWS, seen: now };
        }
    }
}

#[cfg(test)]
mod tests;
