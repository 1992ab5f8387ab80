//! What every worker knows of an endpoint while it picks: requests in flight and the published cost.
//!
//! The state outlives a reload, since the snapshots that name the endpoint share it. It never decides anything, and
//! its counters publish no other memory, so that every access is relaxed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use super::score::{Outcome, Score};

/// What one failure adds to a streak.
const STEP: u32 = 2;
/// No streak is longer: an endpoint that comes back is tried again soon.
const LONGEST: u32 = 32;

/// Live state of one (upstream, address), shared by every worker.
///
/// Padded to 128 bytes: x86 fetches cache lines in pairs, and two endpoints in one pair would slow each other's workers.
#[derive(Debug)]
#[repr(align(128))]
pub struct EndpointState {
    in_flight: AtomicU32,
    /// An `f32` as bits.
    factor: AtomicU32,
    cold: AtomicBool,
    streak: AtomicU32,
    /// L, T and E of the score that `factor` comes from; shown, never compared.
    parts: [AtomicU32; 3],
}

impl EndpointState {
    /// An endpoint of which nothing is known: factor 1, cold, nothing in flight.
    pub fn new() -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            factor: AtomicU32::new(1.0_f32.to_bits()),
            cold: AtomicBool::new(true),
            streak: AtomicU32::new(0),
            parts: [1.0_f32; 3].map(|part| AtomicU32::new(part.to_bits())),
        }
    }

    /// Counts a request from now until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight { state: Arc::clone(self) }
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

    /// Whether its latency window is empty, so that `least_response` sends it one request at a time.
    #[inline]
    pub fn is_cold(&self) -> bool {
        self.cold.load(Relaxed)
    }

    /// Takes note of how a request ended, at once: a refused connection frees its endpoint so quickly that it looks
    /// idle, and draws everything, long before any figure tells.
    pub fn observe(&self, outcome: Outcome) {
        match outcome {
            Outcome::Failure => self.streak.store((self.streak() + STEP).min(LONGEST), Relaxed),
            Outcome::Success if self.streak() > 0 => self.streak.store(0, Relaxed),
            Outcome::Success | Outcome::SoftFailure | Outcome::Neutral => {}
        }
    }

    /// How far the endpoint is into failing without a success between, 0 to 32.
    #[inline]
    pub fn streak(&self) -> u32 {
        self.streak.load(Relaxed)
    }

    /// Lets a streak fade, ten times a second, so that a dead endpoint is tried again after 1 to 2 seconds.
    pub fn fade(&self) {
        let streak = self.streak();
        if streak > 0 {
            self.streak.store(streak * 7 / 8, Relaxed);
        }
    }

    /// L, T and E of the published score (see [`Score`]), for those who want to know what the factor is made of.
    pub fn parts(&self) -> [f32; 3] {
        self.parts.each_ref().map(|part| f32::from_bits(part.load(Relaxed)))
    }

    /// Makes the aggregator's latest score the one that workers pick by.
    pub fn publish(&self, score: Score) {
        self.factor.store(score.factor.to_bits(), Relaxed);
        self.cold.store(score.is_cold(), Relaxed);
        let parts = self.parts.iter().zip([score.ratio, score.fast, score.error]);
        parts.for_each(|(part, value)| part.store(value.to_bits(), Relaxed));
    }
}

impl Default for EndpointState {
    fn default() -> Self {
        Self::new()
    }
}

/// One request in flight. A request that is cancelled drops it like one that ends, so that none is counted for ever.
#[derive(Debug)]
#[must_use = "the request counts only while this lives"]
pub struct InFlight {
    state: Arc<EndpointState>,
}

impl InFlight {
    /// The endpoint that has it.
    pub fn endpoint(&self) -> &EndpointState {
        &self.state
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
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
    /// What all workers share of it.
    pub state: Arc<EndpointState>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_while_its_guard_lives() {
        let state = Arc::new(EndpointState::new());
        let first = state.begin();
        let second = state.begin();
        assert_eq!(state.in_flight(), 2);
        drop(first);
        assert_eq!(state.in_flight(), 1);
        drop(second);
        assert_eq!(state.in_flight(), 0);
    }

    #[test]
    fn a_streak_of_failures_ends_with_a_success_and_fades_within_two_seconds() {
        let state = EndpointState::new();
        (0..100).for_each(|_| state.observe(Outcome::Failure));
        assert_eq!(state.streak(), LONGEST);
        (0..20).for_each(|_| state.fade());
        assert_eq!(state.streak(), 0);
        state.observe(Outcome::Failure);
        state.observe(Outcome::Neutral);
        assert_eq!(state.streak(), STEP);
        state.observe(Outcome::Success);
        assert_eq!(state.streak(), 0);
    }

    #[test]
    fn two_endpoints_never_share_a_pair_of_cache_lines() {
        assert_eq!(size_of::<EndpointState>(), 128);
        assert_eq!(align_of::<EndpointState>(), 128);
    }

    #[test]
    fn a_published_score_is_what_workers_read() {
        let state = EndpointState::new();
        assert_eq!(state.factor(), 1.0);
        assert!(state.is_cold());
        assert_eq!(state.parts(), [1.0, 1.0, 1.0]);
        state.publish(Score { factor: 2.5, samples: 3, ratio: 2.5, fast: 0.5, ..Score::default() });
        assert_eq!((state.factor(), state.parts()), (2.5, [2.5, 0.5, 1.0]));
        assert!(!state.is_cold());
    }
}
