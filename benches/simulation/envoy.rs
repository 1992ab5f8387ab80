//! Envoy's least request load balancer.
//!
//! Source: Envoy v1.37, `source/extensions/load_balancing_policies/least_request/least_request_lb.cc`, with the
//! defaults `choice_count` 2 and `active_request_bias` 1.0. Hosts of equal weight: two draws with replacement, the first
//! drawn wins a tie. Of different weights: earliest deadline first, with `weight / (active + 1)` for a weight. Outlier
//! detection and slow start are apart, and off by default.

use std::time::Duration;

use super::balance::{Balance, Ending, Fleet, Request};

const CHOICES: usize = 2;

/// The hosts of one cluster.
pub struct LeastRequest {
    weights: Vec<u32>,
    active: Vec<u32>,
    /// When each host's turn is, in the scheduler's own time.
    deadlines: Vec<f64>,
    time: f64,
}

impl LeastRequest {
    pub fn new(fleet: &Fleet) -> Self {
        let present = fleet.present;
        let deadlines = fleet.weights.iter().take(present).map(|&weight| 1.0 / f64::from(weight)).collect();
        Self { weights: fleet.weights.clone(), active: vec![0; present], deadlines, time: 0.0 }
    }
}

impl Balance for LeastRequest {
    fn pick(&mut self, _request: Request, _now: Duration, rng: &mut fastrand::Rng) -> usize {
        let hosts = &self.weights[..self.active.len()];
        let equal = hosts.iter().all(|weight| *weight == hosts[0]);
        let picked = if equal { self.choose(rng) } else { self.turn() };
        self.active[picked] += 1;
        picked
    }

    fn ended(
        &mut self,
        endpoint: usize,
        _request: Request,
        _latency: Duration,
        _ending: Ending,
        _now: Duration,
    ) {
        self.active[endpoint] -= 1;
    }

    fn joined(&mut self, endpoint: usize, _now: Duration) {
        self.active.push(0);
        self.deadlines.push(self.time + 1.0 / f64::from(self.weights[endpoint]));
    }
}

impl LeastRequest {
    fn choose(&self, rng: &mut fastrand::Rng) -> usize {
        let mut draws = std::iter::repeat_with(|| rng.usize(0..self.active.len())).take(CHOICES);
        let first = draws.next().expect("at least one choice");
        draws.fold(first, |best, drawn| if self.active[drawn] < self.active[best] { drawn } else { best })
    }

    fn turn(&mut self) -> usize {
        let deadline = |at: &usize| self.deadlines[*at];
        let earliest = (0..self.deadlines.len()).min_by(|a, b| deadline(a).total_cmp(&deadline(b)));
        let picked = earliest.expect("a cluster has hosts");
        self.time = self.deadlines[picked];
        let weight = f64::from(self.weights[picked]) / f64::from(self.active[picked] + 1);
        self.deadlines[picked] = self.time + 1.0 / weight;
        picked
    }
}
