//! Peak EWMA over two random choices, in two editions.
//!
//! Sources: Finagle, `finagle-core/.../loadbalancer/PeakEwma.scala` (commit 1e8497e) with `p2c/P2CPick.scala` (1f1986d);
//! tower, `tower/src/load/peak_ewma.rs` (0032923), with the decay of 10 s and the default of 30 ms that linkerd2-proxy
//! gives it. They differ in what is assumed of an endpoint without a sample: Finagle takes it for free until it has one
//! request, then for unusable until the first answer; tower takes it for one of 30 ms, and the guess decays. A request
//! that fails counts with its latency in both. Neither knows weights.
//!
//! Left out: Finagle's failure accrual and linkerd's circuit breaking, which are not the balancer's.

use std::time::Duration;

use super::balance::{Balance, Ending, Fleet, Request};

/// Finagle's default for `Balancers.p2cPeakEwma`, and linkerd's.
const DECAY: Duration = Duration::from_secs(10);
/// linkerd2-proxy's `DEFAULT_RTT`.
const TOWER_DEFAULT_MS: f64 = 30.0;
/// Finagle's `Penalty`: above any load.
const PENALTY: f64 = (i64::MAX >> 16) as f64;

/// P2C over nodes that measure themselves.
pub struct PeakEwma {
    nodes: Vec<Node>,
    /// What a new node starts with; 0 is Finagle's way.
    initial_ms: f64,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    cost_ms: f64,
    stamp: Duration,
    pending: u32,
}

impl PeakEwma {
    pub fn finagle(fleet: &Fleet) -> Self {
        Self::new(fleet, 0.0)
    }

    pub fn tower(fleet: &Fleet) -> Self {
        Self::new(fleet, TOWER_DEFAULT_MS)
    }

    fn new(fleet: &Fleet, initial_ms: f64) -> Self {
        Self { nodes: vec![Node::new(initial_ms, Duration::ZERO); fleet.present], initial_ms }
    }
}

impl Balance for PeakEwma {
    fn pick(&mut self, _request: Request, now: Duration, rng: &mut fastrand::Rng) -> usize {
        let picked = self.choose(now, rng);
        self.nodes[picked].pending += 1;
        picked
    }

    fn ended(
        &mut self,
        endpoint: usize,
        _request: Request,
        latency: Duration,
        _ending: Ending,
        now: Duration,
    ) {
        let node = &mut self.nodes[endpoint];
        node.pending -= 1;
        node.observe(latency.as_secs_f64() * 1000.0, now);
    }

    fn joined(&mut self, _endpoint: usize, now: Duration) {
        self.nodes.push(Node::new(self.initial_ms, now));
    }
}

impl PeakEwma {
    /// Two distinct nodes, and the one with less load of them.
    fn choose(&mut self, now: Duration, rng: &mut fastrand::Rng) -> usize {
        let count = self.nodes.len();
        if count == 1 {
            return 0;
        }
        let first = rng.usize(0..count);
        let drawn = rng.usize(0..count - 1);
        let second = drawn + usize::from(drawn >= first);
        if self.nodes[first].load(now) < self.nodes[second].load(now) { first } else { second }
    }
}

impl Node {
    fn new(cost_ms: f64, stamp: Duration) -> Self {
        Self { cost_ms, stamp, pending: 0 }
    }

    /// The estimate jumps up to a peak, and is drawn to anything lower the more, the longer the last time ago.
    fn observe(&mut self, rtt_ms: f64, now: Duration) {
        let elapsed = now.saturating_sub(self.stamp).as_secs_f64();
        let kept = (-elapsed / DECAY.as_secs_f64()).exp();
        let drawn = self.cost_ms * kept + rtt_ms * (1.0 - kept);
        self.cost_ms = if rtt_ms > self.cost_ms { rtt_ms } else { drawn };
        self.stamp = now;
    }

    fn load(&mut self, now: Duration) -> f64 {
        self.observe(0.0, now);
        let pending = f64::from(self.pending);
        if self.cost_ms == 0.0 && self.pending != 0 {
            PENALTY + pending
        } else {
            self.cost_ms * (pending + 1.0)
        }
    }
}
