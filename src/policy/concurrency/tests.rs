#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

/// A service that works on `servers` requests at a time, first come, first served, before which a limit is kept. Time in
/// microseconds.
struct Simulation {
    gradient: Gradient,
    limit: usize,
    servers: usize,
    service_us: u64,
    /// When each server is free.
    free: BinaryHeap<Reverse<u64>>,
    /// When those in flight end, and how long they took.
    ends: BinaryHeap<Reverse<(u64, u64)>>,
    latencies: Vec<u64>,
    limits: Vec<u32>,
    rng: fastrand::Rng,
    start: Instant,
    now: u64,
}

const SERVERS: usize = 20;
const SERVICE_US: u64 = 10_000;
const TICK_US: u64 = 100_000;

impl Simulation {
    fn new(settings: AdaptiveConcurrency) -> Self {
        let gradient = Gradient::new(settings);
        let limit = gradient.current() as usize;
        let free = std::iter::repeat_n(Reverse(0), SERVERS).collect();
        Self {
            gradient,
            limit,
            servers: SERVERS,
            service_us: SERVICE_US,
            free,
            ends: BinaryHeap::new(),
            latencies: Vec::new(),
            limits: Vec::new(),
            rng: fastrand::Rng::with_seed(7),
            start: Instant::now(),
            now: 0,
        }
    }

    /// Requests come at `load` times what the service can do; what the limit does not let in is dropped.
    fn run(&mut self, seconds: u64, load: f64) {
        self.latencies.clear();
        self.limits.clear();
        let (until, mean) =
            (self.now + seconds * 1_000_000, self.service_us as f64 / self.servers as f64 / load);
        let mut tick = self.now + TICK_US;
        let mut next = self.now;
        while self.now < until {
            next += (-(1.0 - self.rng.f64()).ln() * mean) as u64;
            while tick <= next {
                self.tick(tick);
                tick += TICK_US;
            }
            self.arrive(next);
        }
    }

    fn tick(&mut self, at: u64) {
        self.end(at);
        self.limit =
            self.gradient.tick(self.ends.len() as u32, self.start + Duration::from_micros(at)) as usize;
        self.limits.push(self.limit as u32);
    }

    fn end(&mut self, until: u64) {
        self.now = until;
        while let Some(Reverse((at, took))) = self.ends.peek().copied().filter(|one| one.0.0 <= until) {
            let _ = at;
            self.ends.pop();
            self.latencies.push(took);
            self.gradient.learn(Duration::from_micros(took));
        }
    }

    fn arrive(&mut self, at: u64) {
        self.end(at);
        if self.ends.len() >= self.limit {
            return;
        }
        let Reverse(free) = self.free.pop().expect("a server");
        // 5 to 15 ms, so that a median is not a constant.
        let work = self.service_us / 2 + self.rng.u64(0..self.service_us);
        let end = free.max(at) + work;
        self.free.push(Reverse(end));
        self.ends.push(Reverse((end, end - at)));
    }

    fn quantile(&mut self, quantile: f64) -> u64 {
        self.latencies.sort_unstable();
        self.latencies[(self.latencies.len() as f64 * quantile) as usize]
    }

    fn mean_limit(&self) -> f64 {
        self.limits.iter().map(|limit| f64::from(*limit)).sum::<f64>() / self.limits.len() as f64
    }
}

fn settings(min: u32, max: u32) -> AdaptiveConcurrency {
    AdaptiveConcurrency { min, max, ..AdaptiveConcurrency::default() }
}

#[test]
fn under_three_times_the_load_it_stays_near_the_knee_and_the_tail_near_its_least() {
    let mut service = Simulation::new(settings(5, 1000));
    service.run(20, 0.5);
    let calm = service.quantile(0.99);
    // Longer than it takes to measure the latency anew, more than once.
    for minute in 0..3 {
        service.run(60, 3.0);
        let (p99, limit) = (service.quantile(0.99), service.mean_limit());
        assert!((18.0..45.0).contains(&limit), "minute {minute}: limit {limit} for a knee at {SERVERS}");
        assert!(p99 < calm * 2, "minute {minute}: p99 {p99} us, {calm} without load");
        let done = service.latencies.len() as f64 / 60.0;
        assert!(done > 0.9 * 2000.0, "minute {minute}: {done} a second of 2000");
    }
}

#[test]
fn at_the_start_it_is_near_the_knee_within_a_second_and_never_far_above_it() {
    let mut service = Simulation::new(settings(2, 1000));
    service.run(1, 3.0);
    let most = *service.limits.iter().max().expect("some");
    assert!(most <= 2 * SERVERS as u32 + 8 && service.limits.last() >= Some(&18), "{:?}", service.limits);
}

#[test]
fn without_it_the_same_load_queues_for_as_long_as_it_may() {
    let mut service = Simulation::new(settings(1000, 1000));
    service.run(60, 3.0);
    assert!(service.quantile(0.5) > 20 * SERVICE_US);
}

#[test]
fn it_grows_when_the_service_does() {
    let mut service = Simulation::new(settings(5, 1000));
    service.run(30, 3.0);
    let before = service.mean_limit();
    service.free.extend(std::iter::repeat_n(Reverse(service.now), 3 * SERVERS));
    service.servers *= 4;
    service.run(20, 3.0);
    service.run(20, 3.0);
    let after = service.mean_limit();
    assert!(after > 2.5 * before, "{before}, then {after}");
}

#[test]
fn a_service_that_becomes_slower_for_good_is_not_strangled_for_good() {
    let mut service = Simulation::new(settings(5, 1000));
    service.run(30, 3.0);
    service.service_us *= 4;
    service.run(60, 3.0);
    service.run(60, 3.0);
    let limit = service.mean_limit();
    assert!((18.0..45.0).contains(&limit), "{limit}");
}

#[test]
fn a_limit_that_is_not_in_use_does_not_grow() {
    let mut service = Simulation::new(settings(5, 1000));
    service.run(60, 0.3);
    let limit = *service.limits.last().expect("some");
    assert!((10..=40).contains(&limit), "{limit} for some 6 in flight");
}

#[test]
fn it_stays_within_its_bounds() {
    let now = Instant::now();
    let mut gradient = Gradient::new(settings(10, 60));
    let mut limits = Vec::new();
    for (tick, millis) in (0..400).zip([1, 1, 1, 1, 900].into_iter().cycle()) {
        (0..20).for_each(|_| gradient.learn(Duration::from_millis(millis)));
        limits.push(gradient.tick(1000, now + Duration::from_millis(tick * 100)));
    }
    assert!(limits.iter().all(|limit| (10..=60).contains(limit)), "{limits:?}");
    let mut quiet = Gradient::new(settings(10, 60));
    quiet.learn(Duration::from_millis(1));
    assert_eq!(quiet.tick(60, now), 10, "one answer says nothing");
}
