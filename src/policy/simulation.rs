//! The policy as a whole in virtual time, from a seed: arrivals, picks, latencies, scores every 100 ms.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::balance::{Balancer, Cursor};
use super::endpoint::{Candidate, EndpointState, InFlight};
use super::score::{EndpointRecord, Outcome, score_pool};
use crate::config::{LeastResponse, Strategy};

const PUBLISH: Duration = Duration::from_millis(100);

/// One upstream, one worker, and an aggregator.
struct World {
    start: Instant,
    rng: fastrand::Rng,
    balancer: Balancer,
    cursor: Cursor,
    records: Vec<EndpointRecord>,
    /// Requests by the time they end: (time, arrival, endpoint).
    running: BinaryHeap<Reverse<(Duration, usize, usize)>>,
    guards: Vec<Option<(Duration, InFlight)>>,
    shares: Vec<usize>,
}

impl World {
    fn new(strategy: &Strategy, endpoints: u16) -> Self {
        let (start, mut rng) = (Instant::now(), fastrand::Rng::with_seed(42));
        let candidates = (0..endpoints).map(|port| Candidate {
            address: SocketAddr::from(([127, 0, 0, 1], 7000 + port)),
            weight: 1,
            state: Arc::new(EndpointState::new()),
        });
        let balancer = Balancer::new(strategy, candidates.collect());
        Self {
            start,
            cursor: balancer.cursor(&mut rng),
            rng,
            records: (0..endpoints).map(|_| EndpointRecord::new(&LeastResponse::default(), start)).collect(),
            shares: vec![0; balancer.candidates().len()],
            balancer,
            running: BinaryHeap::new(),
            guards: Vec::new(),
        }
    }

    /// Sends `rate` requests/s for `length`; answers the share of each endpoint.
    fn run(mut self, rate: f64, length: Duration, mean_ms: impl Fn(usize, Duration) -> f64) -> Vec<f64> {
        let (mut now, mut published) = (Duration::ZERO, Duration::ZERO);
        while now < length {
            now += self.exponential(1000.0 / rate);
            self.finish_until(now);
            if now - published >= PUBLISH {
                published = now;
                self.publish(now);
            }
            self.send(now, &mean_ms);
        }
        let total = self.guards.len() as f64;
        self.shares.iter().map(|&share| share as f64 / total).collect()
    }

    fn send(&mut self, now: Duration, mean_ms: impl Fn(usize, Duration) -> f64) {
        let endpoint =
            self.balancer.pick(&mut self.cursor, None, |_| true, &mut self.rng).expect("all are eligible");
        let end = now + self.exponential(mean_ms(endpoint, now));
        self.running.push(Reverse((end, self.guards.len(), endpoint)));
        self.guards.push(Some((now, self.balancer.candidates()[endpoint].state.begin())));
        self.shares[endpoint] += 1;
    }

    fn finish_until(&mut self, now: Duration) {
        while let Some(&Reverse((end, arrival, endpoint))) = self.running.peek()
            && end <= now
        {
            self.running.pop();
            if let Some((begun, _guard)) = self.guards[arrival].take() {
                self.records[endpoint].record(Some(end - begun), Outcome::Success, self.start + end);
            }
        }
    }

    fn publish(&mut self, now: Duration) {
        let mut records: Vec<_> = self.records.iter_mut().collect();
        let scores = score_pool(&LeastResponse::default(), &mut records, self.start + now);
        self.balancer
            .candidates()
            .iter()
            .zip(scores)
            .for_each(|(candidate, score)| candidate.state.publish(score));
    }

    fn exponential(&mut self, mean_ms: f64) -> Duration {
        Duration::from_secs_f64(-self.rng.f64().max(1e-9).ln() * mean_ms / 1000.0)
    }
}

#[test]
fn one_of_four_endpoints_ten_times_slower_gets_far_less_than_a_quarter() {
    let slow_first = |endpoint, _| if endpoint == 0 { 100.0 } else { 10.0 };
    let length = Duration::from_secs(60);
    let shares = World::new(&Strategy::LeastResponse, 4).run(400.0, length, slow_first);
    let rival = World::new(&Strategy::LeastConnections, 4).run(400.0, length, slow_first);
    assert!(shares[0] < 0.03, "{shares:.3?}");
    assert!(shares[0] * 2.0 < rival[0], "least_connections: {rival:.3?}, least_response: {shares:.3?}");
}

#[test]
fn equal_endpoints_stay_equal() {
    let shares = World::new(&Strategy::LeastResponse, 4).run(400.0, Duration::from_secs(60), |_, _| 10.0);
    assert!(shares.iter().all(|share| (0.22..0.28).contains(share)), "{shares:.3?}");
}

#[test]
fn an_endpoint_that_recovers_is_found_again() {
    let recovers = |endpoint, now: Duration| if endpoint == 0 && now.as_secs() < 30 { 100.0 } else { 10.0 };
    let shares = World::new(&Strategy::LeastResponse, 4).run(400.0, Duration::from_secs(150), recovers);
    assert!(shares[0] > 0.1, "{shares:.3?}");
}
