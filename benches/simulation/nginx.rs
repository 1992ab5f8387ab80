//! nginx's `least_time header inflight`, `least_conn` and round robin, with the passive health that all three have.
//!
//! Source: nginx 1.31, `src/http/modules/ngx_http_upstream_least_time_module.c` (commit 4200bd2) and
//! `ngx_http_upstream_round_robin.c`. Averages are `0.05 x new + 0.95 x old`, in whole milliseconds. `max_fails=1
//! fail_timeout=10s` and `proxy_next_upstream error timeout` are the defaults: a refused or timed out request makes the
//! peer fail, a 500 or 503 counts as any answer. The peers are in a shared `zone`, so that all workers are as one.
//!
//! Departures: nothing is retried here, by anybody. Where nginx answers 502 because all peers have failed, the one
//! that was tried the longest ago is taken.

use std::time::Duration;

use super::balance::{Balance, Ending, Fleet, Request};

const MAX_FAILS: u32 = 1;
const FAIL_TIMEOUT_S: u64 = 10;
/// nginx counts from 1970, and a peer that was never checked was checked then.
const START_S: u64 = 1_000_000;
/// Times up to here are told apart, in steps.
const LONGEST_MS: u64 = 5000;
const STEP_MS: u64 = 20;

/// What peers are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    RoundRobin,
    LeastConn,
    LeastTime,
}

/// The peers of one `upstream` block.
pub struct Nginx {
    method: Method,
    peers: Vec<Peer>,
    weights: Vec<u32>,
}

#[derive(Debug, Default)]
struct Peer {
    weight: u64,
    effective_weight: u64,
    current_weight: i64,
    conns: u64,
    fails: u32,
    accessed_s: u64,
    checked_s: u64,
    header_ms: u64,
    inflight: Inflight,
}

/// Requests without a response head. All have one until they are answered.
#[derive(Debug, Default)]
struct Inflight {
    count: u64,
    /// The sum of their ages when `count` last changed.
    ages_ms: u64,
    changed_ms: u64,
    average_ms: u64,
}

impl Nginx {
    pub fn new(method: Method, fleet: &Fleet) -> Self {
        let peers = fleet.weights.iter().take(fleet.present).map(|&weight| Peer::new(weight)).collect();
        Self { method, peers, weights: fleet.weights.clone() }
    }
}

impl Balance for Nginx {
    fn pick(&mut self, _request: Request, now: Duration, _rng: &mut fastrand::Rng) -> usize {
        let (best, total) = self.choose(now);
        let peer = &mut self.peers[best];
        peer.current_weight -= total;
        peer.inflight.begin(milliseconds(now));
        if seconds(now) - peer.checked_s > FAIL_TIMEOUT_S {
            peer.checked_s = seconds(now);
        }
        peer.conns += 1;
        best
    }

    fn ended(
        &mut self,
        endpoint: usize,
        _request: Request,
        latency: Duration,
        ending: Ending,
        now: Duration,
    ) {
        let peer = &mut self.peers[endpoint];
        // As nginx measures: the difference of two clock readings in whole milliseconds.
        let took_ms = milliseconds(now) - milliseconds(now - latency);
        peer.inflight.end(milliseconds(now), took_ms);
        peer.conns -= 1;
        if ending.is_answer() {
            peer.header_ms = average(peer.header_ms, took_ms);
            peer.live();
        } else {
            peer.fail(seconds(now));
        }
    }

    fn joined(&mut self, endpoint: usize, _now: Duration) {
        self.peers.push(Peer::new(self.weights[endpoint]));
    }
}

impl Nginx {
    /// The peer with the least cost per weight, smooth weighted round robin among equals; and the weight of those.
    fn choose(&mut self, now: Duration) -> (usize, i64) {
        let method = self.method;
        let mut best: Option<(usize, u64)> = None;
        let mut many = false;
        for at in 0..self.peers.len() {
            let peer = &mut self.peers[at];
            if peer.is_failed(now) {
                continue;
            }
            peer.inflight.observe(milliseconds(now));
            let (cost, weight) = (peer.cost(method, now), peer.weight);
            match best.map(|(best, least)| (cost * self.peers[best].weight).cmp(&(least * weight))) {
                None | Some(std::cmp::Ordering::Less) => (best, many) = (Some((at, cost)), false),
                Some(std::cmp::Ordering::Equal) => many = true,
                Some(std::cmp::Ordering::Greater) => {}
            }
        }
        match best {
            Some((best, cost)) if many => self.turn(best, cost, now),
            Some((best, _)) => (best, 0),
            None => (self.longest_ago(), 0),
        }
    }

    fn turn(&mut self, first: usize, cost: u64, now: Duration) -> (usize, i64) {
        let (mut best, mut total) = (first, 0);
        for at in first..self.peers.len() {
            let peer = &self.peers[at];
            let equal = peer.cost(self.method, now) * self.peers[best].weight == cost * peer.weight;
            if equal && !peer.is_failed(now) {
                total += self.peers[at].take_turn();
                if self.peers[at].current_weight > self.peers[best].current_weight {
                    best = at;
                }
            }
        }
        (best, total)
    }

    fn longest_ago(&self) -> usize {
        let checked = |at: &usize| self.peers[*at].checked_s;
        (0..self.peers.len()).min_by_key(checked).expect("an upstream has peers")
    }
}

impl Peer {
    fn new(weight: u32) -> Self {
        let weight = u64::from(weight);
        Self { weight, effective_weight: weight, ..Self::default() }
    }

    fn is_failed(&self, now: Duration) -> bool {
        self.fails >= MAX_FAILS && seconds(now) - self.checked_s <= FAIL_TIMEOUT_S
    }

    fn cost(&self, method: Method, now: Duration) -> u64 {
        match method {
            Method::RoundRobin => 0,
            Method::LeastConn => self.conns,
            Method::LeastTime => self.estimate(now) * (1 + self.conns),
        }
    }

    /// Milliseconds that a request is expected to take, in steps of 20.
    fn estimate(&self, now: Duration) -> u64 {
        let idle_s = seconds(now) - self.checked_s;
        let halvings = if idle_s > FAIL_TIMEOUT_S { idle_s / (FAIL_TIMEOUT_S + 1) } else { 0 };
        let halved = if halvings < 64 { self.header_ms >> halvings } else { 0 };
        let time = if self.inflight.count > 0 { halved.max(self.inflight.average_ms) } else { halved };
        if time > LONGEST_MS { LONGEST_MS } else { time + STEP_MS - time % STEP_MS }
    }

    /// Answers the weight with which it took part.
    fn take_turn(&mut self) -> i64 {
        let weight = i64::try_from(self.effective_weight).expect("a weight is small");
        self.current_weight += weight;
        self.effective_weight = (self.effective_weight + 1).min(self.weight);
        weight
    }

    fn fail(&mut self, now_s: u64) {
        self.fails += 1;
        (self.accessed_s, self.checked_s) = (now_s, now_s);
        self.effective_weight = self.effective_weight.saturating_sub(self.weight / u64::from(MAX_FAILS));
    }

    fn live(&mut self) {
        if self.accessed_s < self.checked_s {
            self.fails = 0;
        }
    }
}

impl Inflight {
    fn observe(&mut self, now_ms: u64) {
        if let Some(mean_ms) = self.ages_ms.checked_div(self.count) {
            self.average_ms = average(self.average_ms, mean_ms + (now_ms - self.changed_ms));
        }
    }

    fn begin(&mut self, now_ms: u64) {
        self.ages_ms += (now_ms - self.changed_ms) * self.count;
        self.changed_ms = now_ms;
        self.count += 1;
    }

    fn end(&mut self, now_ms: u64, took_ms: u64) {
        if self.count == 1 {
            self.ages_ms = 0;
        } else {
            self.ages_ms = self.ages_ms + (now_ms - self.changed_ms) * self.count - took_ms;
            self.changed_ms = now_ms;
        }
        self.count -= 1;
    }
}

/// `ngx_http_upstream_response_time_avg`, rounded as there.
fn average(old_ms: u64, new_ms: u64) -> u64 {
    if old_ms == 0 { new_ms } else { (5 * new_ms + 95 * old_ms + 50) / 100 }
}

fn seconds(now: Duration) -> u64 {
    START_S + now.as_secs()
}

fn milliseconds(now: Duration) -> u64 {
    now.as_secs() * 1000 + u64::from(now.subsec_millis())
}
