//! What every worker knows of an endpoint while it picks: requests in flight and the published cost.
//!
//! The state outlives a reload, since the snapshots that name the endpoint share it. It never decides anything, and
//! its counters publish no other memory, so that every access is relaxed.

#[cfg(test)]
mod tests;
mod waiting;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::time::Instant;

pub use self::waiting::Ticks;
use self::waiting::{Entry, Waiting};
use super::availability::{Access, Standing};
use super::score::{Outcome, Score};

/// The penalty of the first failure in a row; each that follows doubles it.
const FIRST_PENALTY: u32 = 2;
/// No penalty is larger: an endpoint that comes back is tried again within seconds.
const MOST_PENALTY: u32 = 128;
/// No age of what waits counts for more: a hang shows in the requests in flight as well.
const MOST_AGE: f32 = 10.0;
/// No bound of requests in flight.
const ANY: u32 = u32::MAX;
/// So many requests that wait have half of the say.
const AGE_HALF_SAY: f32 = 2.0;

/// Something that keeps an endpoint from requests; the bit that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Obstacle {
    /// Its health check fails.
    Unhealthy = 1,
    /// Outlier detection has taken it out for a time.
    Ejected = 2,
    /// An operator has drained it.
    Drained = 4,
}

/// Live state of one (upstream, address), shared by every worker.
///
/// Padded to 128 bytes: x86 fetches cache lines in pairs, and two endpoints in one pair would slow each other's workers.
#[derive(Debug)]
#[repr(align(128))]
pub struct EndpointState {
    in_flight: AtomicU32,
    /// Requests in flight at most; [`ANY`] for no bound.
    most: AtomicU32,
    /// An `f32` as bits.
    factor: AtomicU32,
    /// An `f32` as bits.
    ramp: AtomicU32,
    /// One over the patience in microseconds; an `f32` as bits.
    haste: AtomicU32,
    cold: AtomicBool,
    wants_probe: AtomicBool,
    /// An [`Access`].
    access: AtomicU8,
    /// Bits of [`Obstacle`].
    obstacles: AtomicU8,
    failed: AtomicU32,
    overtaken: AtomicU32,
    penalty: AtomicU32,
    waiting: Waiting,
    epoch: Instant,
    /// L, M, T and E of the score that `factor` comes from; shown, never compared.
    parts: [AtomicU32; 4],
}

impl EndpointState {
    /// An endpoint of which nothing is known: factor 1, cold, nothing in flight. No request begins before
    /// `epoch`, which all states of one upstream share.
    pub fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            waiting: Waiting::default(),
            wants_probe: AtomicBool::new(false),
            access: AtomicU8::new(Access::Open as u8),
            obstacles: AtomicU8::new(0),
            in_flight: AtomicU32::new(0),
            most: AtomicU32::new(ANY),
            factor: AtomicU32::new(1.0_f32.to_bits()),
            ramp: AtomicU32::new(1.0_f32.to_bits()),
            haste: AtomicU32::new(0.0_f32.to_bits()),
            cold: AtomicBool::new(true),
            failed: AtomicU32::new(0),
            overtaken: AtomicU32::new(0),
            penalty: AtomicU32::new(0),
            parts: [1.0_f32; 4].map(|part| AtomicU32::new(part.to_bits())),
        }
    }

    /// Counts a request from now until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight { state: Arc::clone(self), waits: None }
    }

    /// Counts a request if there is room for it: no two workers take the last place.
    pub fn try_begin(self: &Arc<Self>) -> Option<InFlight> {
        let most = self.most.load(Relaxed);
        if most == ANY {
            return Some(self.begin());
        }
        let more = |count: u32| (count < most).then(|| count + 1);
        self.in_flight.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(InFlight { state: Arc::clone(self), waits: None })
    }

    /// Has no more than so many requests in flight from now on; `None` for any number.
    pub fn bound(&self, most: Option<u32>) {
        self.most.store(most.unwrap_or(ANY), Relaxed);
    }

    /// How many requests it may have in flight; `None` for any number.
    pub fn most(&self) -> Option<u32> {
        Some(self.most.load(Relaxed)).filter(|most| *most != ANY)
    }

    /// Whether it has fewer requests in flight than it may.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.in_flight.load(Relaxed) < self.most.load(Relaxed)
    }

    /// Requests sent and not yet finished, over all workers.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// How many times the usual cost a request has here; 1 for an endpoint like its siblings.
    #[inline]
    pub fn factor(&self) -> f32 {
        f32::from_bits(self.factor.load(Relaxed))
    }

    /// The share of picks that may consider it: under 1 in its slow start.
    #[inline]
    pub fn ramp(&self) -> f32 {
        f32::from_bits(self.ramp.load(Relaxed))
    }

    /// Whether it may have a request that may have no less than this.
    #[inline]
    pub fn gives(&self, least: Access) -> bool {
        self.access.load(Relaxed) >= least as u8
    }

    /// The most that it gives.
    pub fn access(&self) -> Access {
        let all = [Access::Open, Access::Spare, Access::Draining];
        all.into_iter().find(|least| self.gives(*least)).unwrap_or(Access::Closed)
    }

    /// What the pool has decided for it.
    pub fn allow(&self, access: Access) {
        self.access.store(access as u8, Relaxed);
    }

    /// What is known against it.
    pub fn standing(&self) -> Standing {
        let bits = self.obstacles.load(Relaxed);
        let has = |obstacle: Obstacle| bits & obstacle as u8 != 0;
        Standing {
            unhealthy: has(Obstacle::Unhealthy),
            ejected: has(Obstacle::Ejected),
            drained: has(Obstacle::Drained),
        }
    }

    /// Puts an obstacle in its way, or takes it out. Whether that is a change. Nothing follows from it until the pool has
    /// decided anew.
    pub fn obstruct(&self, obstacle: Obstacle, is: bool) -> bool {
        let bit = obstacle as u8;
        let before =
            if is { self.obstacles.fetch_or(bit, Relaxed) } else { self.obstacles.fetch_and(!bit, Relaxed) };
        (before & bit != 0) != is
    }

    /// Whether its latency window is empty, so that `least_response` sends it one request at a time.
    #[inline]
    pub fn is_cold(&self) -> bool {
        self.cold.load(Relaxed)
    }

    /// What its moments are counted from.
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    /// A: the mean age of the requests that were sent whole and wait for their response head, over how long they may;
    /// at least 1 and at most 10. `now` is since this state's epoch.
    ///
    /// One old request says little, since it may be a long poll; three say a hang.
    #[inline]
    pub fn age(&self, now: Ticks) -> f32 {
        let (count, sum_us) = self.waiting.read(now);
        let sum = sum_us * f32::from_bits(self.haste.load(Relaxed));
        // The usual case, without a division.
        if sum <= count { 1.0 } else { age_beyond(sum / count, count) }
    }

    /// Whether a probe that was asked for has not been sent yet.
    pub fn wants_probe(&self) -> bool {
        self.wants_probe.load(Relaxed)
    }

    /// Whether so little has been heard of it lately that a read may be sent there to see how it does. Asking takes
    /// the wish away, so that one request goes and not many.
    #[inline]
    pub fn take_probe(&self) -> bool {
        self.wants_probe() && self.penalty() == 0 && self.wants_probe.swap(false, Relaxed)
    }

    /// Takes note of how a request ended, at once: a refused connection frees its endpoint so quickly that it looks
    /// idle, and draws everything, long before any figure tells.
    pub fn observe(&self, outcome: Outcome) {
        match outcome {
            Outcome::Failure => self.punish(),
            Outcome::Success if self.failed.load(Relaxed) > 0 => self.forgive(),
            Outcome::Success | Outcome::SoftFailure | Outcome::Neutral => {}
        }
        if outcome != Outcome::Neutral && self.overtaken.load(Relaxed) > 0 {
            self.overtaken.store(0, Relaxed);
        }
    }

    /// A request was given up here because a copy of it was answered elsewhere. No latency and no failure; but an
    /// endpoint that stalls has ever less in flight for it, looks idle, and draws the next. Once is chance, as it is for one
    /// request in twenty; from the second time on without an answer between, it costs as much as a failure.
    pub fn overtaken(&self) {
        let before = self.overtaken.load(Relaxed);
        self.overtaken.store(before.saturating_add(1), Relaxed);
        if before > 0 {
            self.punish();
        }
    }

    /// Whether it has just failed for the 5th, 10th, 15th or 20th time without a success between: somebody should hear
    /// of it before the next tick. Later it is no news.
    pub fn is_alarming(&self) -> bool {
        matches!(self.failed.load(Relaxed), 5 | 10 | 15 | 20)
    }

    /// What it costs more for failing without a success between, 0 to 128.
    #[inline]
    pub fn penalty(&self) -> u32 {
        self.penalty.load(Relaxed)
    }

    /// Lets a penalty fade, ten times a second. That of one failure is gone after a fifth of a second, the largest
    /// after three: a dead endpoint is tried again, but less and less often.
    pub fn fade(&self) {
        let penalty = self.penalty();
        if penalty > 0 {
            self.penalty.store(penalty * 7 / 8, Relaxed);
        }
    }

    /// Two workers at once may count two failures as one.
    fn punish(&self) {
        let failed = self.failed.load(Relaxed);
        self.failed.store(failed.saturating_add(1), Relaxed);
        self.penalty
            .store(FIRST_PENALTY.checked_shl(failed).unwrap_or(MOST_PENALTY).min(MOST_PENALTY), Relaxed);
    }

    fn forgive(&self) {
        self.failed.store(0, Relaxed);
        self.penalty.store(0, Relaxed);
    }

    /// L, M, T and E of the published score (see [`Score`]), for those who want to know what the factor is made of.
    pub fn parts(&self) -> [f32; 4] {
        self.parts.each_ref().map(|part| f32::from_bits(part.load(Relaxed)))
    }

    /// It gets requests again: the share of picks that may consider it, until the next score.
    pub fn begin_slowly(&self, ramp: f32) {
        self.ramp.store(ramp.to_bits(), Relaxed);
    }

    /// Makes the aggregator's latest score the one that workers pick by.
    pub fn publish(&self, score: Score) {
        self.factor.store(score.factor.to_bits(), Relaxed);
        self.ramp.store(score.ramp.to_bits(), Relaxed);
        self.haste.store(score.patience_us.recip().to_bits(), Relaxed);
        self.cold.store(score.is_cold(), Relaxed);
        self.wants_probe.store(score.probe, Relaxed);
        let parts = self.parts.iter().zip([score.tail, score.mean, score.fast, score.error]);
        parts.for_each(|(part, value)| part.store(value.to_bits(), Relaxed));
    }
}

fn age_beyond(mean: f32, count: f32) -> f32 {
    1.0 + (mean.min(MOST_AGE) - 1.0) * count / (count + AGE_HALF_SAY)
}

/// One request in flight. A request that is cancelled drops it like one that ends, so that none is counted for ever.
#[derive(Debug)]
#[must_use = "the request counts only while this lives"]
pub struct InFlight {
    state: Arc<EndpointState>,
    waits: Option<Entry>,
}

impl InFlight {
    /// The endpoint that has it.
    pub fn endpoint(&self) -> &EndpointState {
        &self.state
    }

    /// The whole request has been sent at `now`: from here on it waits for its response head. Only the first call
    /// counts.
    pub fn wait(&mut self, now: Instant) {
        let now = Ticks::between(self.state.epoch, now);
        self.waits.get_or_insert_with(|| self.state.waiting.begin(now));
    }

    /// The response head has arrived.
    pub fn answered(&mut self) {
        if let Some(entry) = self.waits.take() {
            self.state.waiting.end(entry);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.answered();
        self.state.in_flight.fetch_sub(1, Relaxed);
    }
}

/// One endpoint as a balancer sees it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where it listens; consistent hashing places it by this.
    pub address: SocketAddr,
    /// Share of the traffic relative to its siblings; 0 gets none.
    pub weight: u32,
    /// Whether it waits until no other is fit.
    pub backup: bool,
    /// What all workers share of it.
    pub state: Arc<EndpointState>,
}
