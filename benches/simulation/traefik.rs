//! Traefik's `leasttime`.
//!
//! Source: Traefik v3, `pkg/server/service/loadbalancer/leasttime/leasttime.go` (commit 1343cf7): the mean of the last
//! 100 times to the first byte, in whole milliseconds, times one more than the requests in flight, by weight; earliest
//! deadline first among equals. A request that is not answered leaves no time. Health checks are apart, and off by
//! default.

use std::time::Duration;

use super::balance::{Balance, Ending, Fleet, Request};

const SAMPLES: usize = 100;

/// The servers of one service.
pub struct LeastTime {
    servers: Vec<Server>,
    weights: Vec<u32>,
    deadline: f64,
}

#[derive(Debug)]
struct Server {
    weight: f64,
    deadline: f64,
    inflight: u32,
    times_ms: Vec<f64>,
    /// Of whole milliseconds, and so exact.
    sum_ms: f64,
    oldest: usize,
}

impl LeastTime {
    pub fn new(fleet: &Fleet) -> Self {
        let mut all = Self { servers: Vec::new(), weights: fleet.weights.clone(), deadline: 0.0 };
        (0..fleet.present).for_each(|endpoint| all.add(endpoint));
        all
    }

    fn add(&mut self, endpoint: usize) {
        let weight = f64::from(self.weights[endpoint]);
        self.deadline += 1.0 / weight;
        self.servers.push(Server {
            weight,
            deadline: self.deadline,
            inflight: 0,
            times_ms: Vec::new(),
            sum_ms: 0.0,
            oldest: 0,
        });
    }
}

impl Balance for LeastTime {
    fn pick(&mut self, _request: Request, _now: Duration, _rng: &mut fastrand::Rng) -> usize {
        let picked = self.choose();
        self.servers[picked].inflight += 1;
        picked
    }

    fn ended(
        &mut self,
        endpoint: usize,
        _request: Request,
        latency: Duration,
        ending: Ending,
        _now: Duration,
    ) {
        let server = &mut self.servers[endpoint];
        server.inflight -= 1;
        if ending.is_answer() {
            server.record(latency);
        }
    }

    fn joined(&mut self, endpoint: usize, _now: Duration) {
        self.add(endpoint);
    }
}

impl LeastTime {
    fn choose(&mut self) -> usize {
        let least = self.servers.iter().map(Server::score).fold(f64::MAX, f64::min);
        let equals: Vec<usize> =
            (0..self.servers.len()).filter(|&at| self.servers[at].score() == least).collect();
        match equals[..] {
            [only] => only,
            _ => self.earliest_deadline(&equals),
        }
    }

    fn earliest_deadline(&mut self, equals: &[usize]) -> usize {
        let deadline = |at: &usize| self.servers[*at].deadline;
        let earliest = equals.iter().copied().min_by(|a, b| deadline(a).total_cmp(&deadline(b)));
        let picked = earliest.expect("a service has servers");
        let server = &mut self.servers[picked];
        server.deadline += 1.0 / server.weight;
        self.deadline = self.deadline.max(server.deadline);
        picked
    }
}

impl Server {
    /// 0 without a sample.
    fn score(&self) -> f64 {
        let mean = self.sum_ms / self.times_ms.len().max(1) as f64;
        mean * f64::from(1 + self.inflight) / self.weight
    }

    fn record(&mut self, latency: Duration) {
        let ms = (latency.as_secs_f64() * 1000.0).floor();
        self.sum_ms += ms;
        if self.times_ms.len() < SAMPLES {
            self.times_ms.push(ms);
        } else {
            self.sum_ms -= std::mem::replace(&mut self.times_ms[self.oldest], ms);
            self.oldest = (self.oldest + 1) % SAMPLES;
        }
    }
}
