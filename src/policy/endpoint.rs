//! What every worker knows of an endpoint while it picks: requests in flight and the published cost.
//!
//! The state outlives a reload, since the snapshots that name the endpoint share it. It never decides anything, and
//! its counters publish no other memory, so that every access is relaxed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use super::score::Score;

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
}

impl EndpointState {
    /// An endpoint of which nothing is known: factor 1, cold, nothing in flight.
    pub fn new() -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            factor: AtomicU32::new(1.0_f32.to_bits()),
            cold: AtomicBool::new(true),
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

    /// Makes the aggregator's latest score the one that workers pick by.
    pub fn publish(&self, score: Score) {
        self.factor.store(score.factor.to_bits(), Relaxed);
        self.cold.store(score.is_cold(), Relaxed);
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
    fn two_endpoints_never_share_a_pair_of_cache_lines() {
        assert_eq!(size_of::<EndpointState>(), 128);
        assert_eq!(align_of::<EndpointState>(), 128);
    }

    #[test]
    fn a_published_score_is_what_workers_read() {
        let state = EndpointState::new();
        assert_eq!(state.factor(), 1.0);
        assert!(state.is_cold());
        state.publish(Score { factor: 2.5, samples: 3, ..Score::default() });
        assert_eq!(state.factor(), 2.5);
        assert!(!state.is_cold());
    }
}
