//! What a pick costs: `pick/<strategy>/<endpoints>`, with requests in flight at every endpoint and all eligible.
//! The aim is under 200 ns. `table` is what a reload pays for consistent hashing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tillgate::config::{HashKey, Strategy};
use tillgate::policy::balance::{Balancer, Hint};
use tillgate::policy::endpoint::{Candidate, EndpointState, InFlight};
use tillgate::policy::score::Score;

const STRATEGIES: [Strategy; 7] = [
    Strategy::RoundRobin,
    Strategy::Weighted,
    Strategy::Random,
    Strategy::LeastConnections,
    Strategy::P2c,
    Strategy::LeastResponse,
    Strategy::ConsistentHash(HashKey::Path),
];

fn pick(c: &mut Criterion) {
    let mut group = c.benchmark_group("pick");
    for strategy in &STRATEGIES {
        for count in [2, 10, 100] {
            let (candidates, _guards) = busy(count);
            let balancer = Balancer::new(strategy, candidates);
            let eligible = vec![true; usize::from(count)];
            let mut rng = fastrand::Rng::with_seed(1);
            let mut cursor = balancer.cursor(&mut rng);
            let now = Instant::now() + Duration::from_millis(1);
            group.bench_function(BenchmarkId::new(strategy.name(), count), |b| {
                b.iter(|| {
                    let key = Some(rng.u64(..));
                    balancer.pick(
                        &mut cursor,
                        Hint { key, now, safe: true },
                        |index| eligible[index],
                        &mut rng,
                    )
                });
            });
        }
    }
    group.finish();
}

/// The worst case for strategies that break ties at random: nothing in flight anywhere.
fn pick_idle(c: &mut Criterion) {
    let mut group = c.benchmark_group("pick_idle");
    for strategy in [Strategy::LeastConnections, Strategy::LeastResponse] {
        for count in [16, 100] {
            let balancer = Balancer::new(&strategy, idle(count));
            let mut rng = fastrand::Rng::with_seed(1);
            let mut cursor = balancer.cursor(&mut rng);
            let now = Instant::now() + Duration::from_millis(1);
            group.bench_function(BenchmarkId::new(strategy.name(), count), |b| {
                b.iter(|| {
                    balancer.pick(&mut cursor, Hint { key: None, now, safe: true }, |_| true, &mut rng)
                });
            });
        }
    }
    group.finish();
}

fn table(c: &mut Criterion) {
    let mut group = c.benchmark_group("table");
    for count in [10, 100] {
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| Balancer::new(&Strategy::ConsistentHash(HashKey::Path), idle(count)));
        });
    }
    group.finish();
}

/// Endpoints with 0 to 4 requests in flight, warm, weighing 1 to 3.
fn busy(count: u16) -> (Vec<Candidate>, Vec<InFlight>) {
    let candidates = idle(count);
    let mut rng = fastrand::Rng::with_seed(2);
    let mut guards = Vec::new();
    for candidate in &candidates {
        candidate.state.publish(Score {
            factor: 1.0 + rng.f32(),
            patience_us: 20_000.0,
            samples: 1,
            ..Score::default()
        });
        guards.extend((0..rng.u32(0..5)).map(|_| waiting(candidate)));
    }
    (candidates, guards)
}

fn waiting(candidate: &Candidate) -> InFlight {
    let mut guard = candidate.state.begin();
    guard.wait(Instant::now());
    guard
}

fn idle(count: u16) -> Vec<Candidate> {
    let epoch = Instant::now();
    (0..count)
        .map(|port| Candidate {
            address: SocketAddr::from(([127, 0, 0, 1], 7000 + port)),
            weight: 1 + u32::from(port % 3),
            backup: false,
            state: Arc::new(EndpointState::new(epoch)),
        })
        .collect()
}

criterion_group!(benches, pick, pick_idle, table);
criterion_main!(benches);
