//! Candidates for the tests of strategies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::Hint;
use crate::config::{HashKey, Strategy};
use crate::policy::endpoint::{Candidate, EndpointState, InFlight};
use crate::policy::score::Score;

pub(super) const STRATEGIES: [Strategy; 7] = [
    Strategy::RoundRobin,
    Strategy::Weighted,
    Strategy::Random,
    Strategy::LeastConnections,
    Strategy::P2c,
    Strategy::LeastResponse,
    Strategy::ConsistentHash(HashKey::Path),
];

/// A request of which nothing is known but that it comes now.
pub(super) fn hint() -> Hint {
    Hint { now: Instant::now(), key: None, safe: false }
}

/// Idle, cold candidates with these weights.
pub(super) fn candidates(weights: &[u32]) -> Vec<Candidate> {
    let epoch = Instant::now();
    (7000..)
        .zip(weights)
        .map(|(port, &weight)| Candidate {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            weight,
            backup: false,
            state: Arc::new(EndpointState::new(epoch)),
        })
        .collect()
}

/// Puts requests in flight; they end when the guards are dropped.
pub(super) fn load(candidates: &[Candidate], in_flight: &[u32]) -> Vec<InFlight> {
    let begin = |(candidate, &count): (&Candidate, &u32)| {
        std::iter::repeat_with(|| candidate.state.begin()).take(count as usize).collect::<Vec<_>>()
    };
    candidates.iter().zip(in_flight).flat_map(begin).collect()
}

/// Publishes the score of an endpoint like its siblings.
pub(super) fn warm(candidates: &[Candidate]) {
    candidates.iter().for_each(|candidate| candidate.state.publish(Score { samples: 1, ..Score::default() }));
}
