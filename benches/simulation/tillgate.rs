//! Tillgate's own policy in the world: the code that the proxy runs, joined as the proxy joins it.
//!
//! What `telemetry::aggregate` does with threads and batches happens here at the tick: samples of the last 100 ms are
//! taken up, scores are published. Whatever decides anything is in `tillgate::policy`; nothing is decided here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tillgate::config::{LeastResponse, Strategy};
use tillgate::policy::balance::{Balancer, Cursor, Hint};
use tillgate::policy::endpoint::{Candidate, EndpointState, InFlight};
use tillgate::policy::score::{Pool, Sample, Settings};

use super::balance::{Balance, Ending, Fleet, Request};

const WORKERS: usize = 2;
const FIRST_PORT: u16 = 7000;

/// One process of Tillgate with one upstream.
pub struct Tillgate {
    strategy: Strategy,
    settings: Settings,
    weights: Vec<u32>,
    balancer: Balancer,
    workers: Vec<Worker>,
    pool: Pool,
    /// What the workers will hand over, by endpoint.
    samples: Vec<(usize, Sample)>,
    /// What they handed over at the last tick. In the proxy a worker's tick and the aggregator's are apart by up to one.
    handed_over: Vec<(usize, Sample)>,
    guards: HashMap<usize, InFlight>,
    /// The policy's clock is an `Instant`; only differences to this one matter.
    start: Instant,
}

struct Worker {
    cursor: Cursor,
    rng: fastrand::Rng,
}

impl Tillgate {
    pub fn new(strategy: Strategy, fleet: &Fleet, seed: u64) -> Self {
        let settings = Settings { least_response: LeastResponse::default(), slow_start: None };
        let start = Instant::now();
        let weights = fleet.weights.iter().take(fleet.present).zip(FIRST_PORT..);
        let candidates = weights.map(|(&weight, port)| cold(weight, port, start)).collect();
        let balancer = Balancer::new(&strategy, candidates);
        let seeds = (0..WORKERS as u64).map(|worker| seed.wrapping_add(worker));
        let workers = seeds.map(|seed| Worker::new(&balancer, fastrand::Rng::with_seed(seed))).collect();
        Self {
            strategy,
            settings,
            weights: fleet.weights.clone(),
            balancer,
            workers,
            pool: Pool::new(settings, fleet.present, start),
            samples: Vec::new(),
            handed_over: Vec::new(),
            guards: HashMap::new(),
            start,
        }
    }

    fn state(&self, endpoint: usize) -> &Arc<EndpointState> {
        &self.balancer.candidates()[endpoint].state
    }
}

impl Balance for Tillgate {
    fn pick(&mut self, request: Request, now: Duration, rng: &mut fastrand::Rng) -> usize {
        let hint = Hint { now: self.start + now, key: None, safe: request.safe };
        let worker = &mut self.workers[rng.usize(0..WORKERS)];
        let picked = self.balancer.pick(&mut worker.cursor, hint, |_| true, &mut worker.rng);
        let picked = picked.expect("every endpoint is eligible");
        let mut guard = self.state(picked).begin();
        guard.wait(self.start + now);
        self.guards.insert(request.id, guard);
        picked
    }

    fn ended(
        &mut self,
        endpoint: usize,
        request: Request,
        latency: Duration,
        ending: Ending,
        _now: Duration,
    ) {
        self.guards.remove(&request.id);
        let outcome = ending.outcome();
        self.state(endpoint).observe(outcome);
        let sample = Sample {
            route: u32::from(request.route),
            latency: ending.is_answer().then_some(latency),
            outcome,
        };
        self.samples.push((endpoint, sample));
    }

    fn tick(&mut self, now: Duration) {
        let now = self.start + now;
        for (endpoint, sample) in self.handed_over.drain(..) {
            self.pool.learn(endpoint, &sample, now);
        }
        std::mem::swap(&mut self.handed_over, &mut self.samples);
        self.pool.publish(self.balancer.candidates(), now);
    }

    /// What a reload does: state and records of the others stay, the workers' turns begin anew.
    fn joined(&mut self, endpoint: usize, now: Duration) {
        let mut candidates = self.balancer.candidates().to_vec();
        let port = FIRST_PORT + u16::try_from(endpoint).expect("no fleet has so many endpoints");
        candidates.push(cold(self.weights[endpoint], port, self.start));
        self.balancer = Balancer::renew(&self.balancer, &self.strategy, candidates);
        let kept: Vec<Option<usize>> = (0..endpoint).map(Some).chain([None]).collect();
        let empty = Pool::new(self.settings, 0, self.start);
        let pool = std::mem::replace(&mut self.pool, empty);
        self.pool = pool.renew(self.settings, &kept, self.start + now);
        for worker in &mut self.workers {
            worker.cursor = self.balancer.cursor(&mut worker.rng);
        }
    }
}

impl Worker {
    fn new(balancer: &Balancer, mut rng: fastrand::Rng) -> Self {
        Self { cursor: balancer.cursor(&mut rng), rng }
    }
}

fn cold(weight: u32, port: u16, now: Instant) -> Candidate {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    Candidate { address, weight, backup: false, state: Arc::new(EndpointState::new(now)) }
}
