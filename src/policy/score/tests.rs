//! Pools with known latencies and outcomes, and what they must score.

use super::*;
use crate::policy::endpoint::EndpointState;

const SETTINGS: LeastResponse = LeastResponse {
    quantile: 0.99,
    window: Duration::from_secs(30),
    min_samples: 300,
    normalize: crate::config::Normalize::Route,
};

/// A pool whose endpoints are fed and scored together.
struct Pool {
    now: Instant,
    records: Vec<EndpointRecord>,
    rng: fastrand::Rng,
}

impl Pool {
    fn new(count: usize) -> Self {
        let now = Instant::now();
        let records = (0..count).map(|_| EndpointRecord::new(&SETTINGS, now)).collect();
        Self { now, records, rng: fastrand::Rng::with_seed(11) }
    }

    /// `seconds` of 100 requests/s to each endpoint that has a mean, exponentially distributed around it.
    fn serve(&mut self, seconds: u64, means_ms: &[Option<f64>]) {
        for _ in 0..seconds * 100 {
            self.now += Duration::from_millis(10);
            for (record, mean) in self.records.iter_mut().zip(means_ms) {
                let Some(mean) = mean else { continue };
                let latency = Duration::from_secs_f64(-self.rng.f64().max(1e-9).ln() * mean / 1000.0);
                record.record(Some(latency), Outcome::Success, self.now);
            }
        }
    }

    fn record(&mut self, index: usize, latency_ms: u64, outcome: Outcome) {
        self.records[index].record(Some(Duration::from_millis(latency_ms)), outcome, self.now);
    }

    fn scores(&mut self) -> Vec<Score> {
        let mut records: Vec<_> = self.records.iter_mut().collect();
        score_pool(&SETTINGS, &mut records, self.now)
    }

    fn factors(&mut self) -> Vec<f32> {
        self.scores().iter().map(|score| score.factor).collect()
    }
}

#[test]
fn equal_endpoints_cost_exactly_one() {
    let mut pool = Pool::new(4);
    for _ in 0..30 {
        pool.serve(2, &[Some(10.0); 4]);
    }
    assert_eq!(pool.factors(), [1.0; 4]);
}

#[test]
fn a_slow_endpoint_costs_more_and_its_siblings_do_not() {
    let mut pool = Pool::new(4);
    pool.serve(30, &[Some(100.0), Some(10.0), Some(10.0), Some(10.0)]);
    let factors = pool.factors();
    assert!((6.0..14.0).contains(&factors[0]), "{factors:?}");
    assert_eq!(factors[1..], [1.0; 3]);
}

#[test]
fn with_half_of_the_pool_slow_the_fast_half_is_what_is_usual() {
    let mut pool = Pool::new(4);
    pool.serve(30, &[Some(100.0), Some(100.0), Some(10.0), Some(10.0)]);
    let factors = pool.factors();
    assert!(factors[0] > 6.0 && factors[1] > 6.0, "{factors:?}");
    assert_eq!(factors[2..], [1.0; 2]);
}

#[test]
fn a_turn_for_the_worse_shows_within_half_a_second() {
    let mut pool = Pool::new(4);
    pool.serve(30, &[Some(10.0); 4]);
    for _ in 0..5 {
        pool.now += Duration::from_millis(100);
        pool.record(0, 400, Outcome::Success);
        (1..4).for_each(|index| pool.record(index, 10, Outcome::Success));
    }
    let score = pool.scores()[0];
    assert!(score.fast > 2.0 && score.factor >= score.fast, "{score:?}");
}

#[test]
fn few_samples_have_little_say() {
    let mut pool = Pool::new(2);
    pool.serve(30, &[Some(10.0); 2]);
    let mut few = Pool { records: vec![EndpointRecord::new(&SETTINGS, pool.now)], ..Pool::new(0) };
    few.now = pool.now;
    (0..3).for_each(|_| few.record(0, 200, Outcome::Success));
    pool.records.push(few.records.remove(0));
    let score = pool.scores()[2];
    assert!((1.0..1.5).contains(&score.ratio), "{score:?}");
}

#[test]
fn a_fast_failing_endpoint_is_not_favoured() {
    let mut pool = Pool::new(3);
    pool.serve(30, &[Some(10.0); 3]);
    (0..200).for_each(|_| pool.record(0, 0, Outcome::Failure));
    let scores = pool.scores();
    assert!(scores[0].factor > 1.3 && scores[0].error < 0.8, "{scores:?}");
    assert_eq!(scores[1].factor, 1.0);
    pool.now += Duration::from_secs(9);
    (0..2000).for_each(|_| pool.record(0, 0, Outcome::Failure));
    assert!(pool.factors()[0] > 50.0);
}

#[test]
fn a_failure_never_makes_an_endpoint_look_faster_but_a_timeout_makes_it_slower() {
    let mut pool = Pool::new(2);
    pool.serve(10, &[Some(10.0); 2]);
    let before = pool.records[0].latency().count();
    pool.record(0, 0, Outcome::Failure);
    assert_eq!(pool.records[0].latency().count(), before);
    pool.record(0, 3000, Outcome::Failure);
    assert_eq!(pool.records[0].latency().count(), before + 1);
    assert!(pool.scores()[0].fast > 10.0);
}

#[test]
fn a_client_abort_counts_neither_as_latency_nor_as_error() {
    let mut pool = Pool::new(1);
    pool.record(0, 5000, Outcome::Neutral);
    let score = pool.scores()[0];
    assert_eq!(score, Score::default());
}

#[test]
fn an_endpoint_without_samples_is_cold_at_the_pool_s_cost_until_its_first_success() {
    let mut pool = Pool::new(3);
    pool.serve(5, &[None, Some(100.0), Some(100.0)]);
    assert!(pool.scores()[0].is_cold());
    assert_eq!(pool.factors()[0], 1.0);
    pool.record(0, 1, Outcome::Failure);
    assert!(pool.scores()[0].is_cold(), "a failure is no proof that it works");
    pool.record(0, 100, Outcome::Success);
    assert!(!pool.scores()[0].is_cold());
}

#[test]
fn a_slow_endpoint_that_is_left_alone_slides_back_to_one() {
    let mut pool = Pool::new(4);
    pool.serve(30, &[Some(100.0), Some(10.0), Some(10.0), Some(10.0)]);
    let mut factors = vec![pool.factors()[0]];
    for _ in 0..30 {
        pool.serve(1, &[None, Some(10.0), Some(10.0), Some(10.0)]);
        factors.push(pool.factors()[0]);
    }
    assert!(factors[0] > 6.0 && factors[10] > 2.5 && factors[30] == 1.0, "{factors:.2?}");
    let steepest = factors.windows(2).map(|pair| pair[0] / pair[1]).fold(0.0, f32::max);
    assert!(steepest < 1.5, "it is not forgotten at once: {factors:.2?}");
}

#[test]
fn a_clock_that_goes_backwards_disturbs_nothing() {
    let mut pool = Pool::new(3);
    pool.serve(20, &[Some(10.0); 3]);
    let (before, count) = (pool.factors(), pool.records[0].latency().count());
    let (now, earlier) = (pool.now, pool.now - Duration::from_secs(15));
    pool.now = earlier;
    assert_eq!(pool.factors(), before);
    (0..3).for_each(|index| pool.record(index, 10, Outcome::Success));
    pool.now = now;
    assert_eq!(pool.records[0].latency().count(), count + 1);
    assert_eq!(pool.factors(), before);
}

#[test]
fn a_reload_keeps_samples_when_the_window_changes() {
    let mut pool = Pool::new(1);
    pool.serve(5, &[Some(10.0)]);
    let settings = LeastResponse { window: Duration::from_secs(60), ..SETTINGS };
    pool.records[0].retune(&settings, pool.now);
    assert_eq!(pool.records[0].latency().count(), 500);
    assert_eq!(pool.records[0].latency().retention(), Duration::from_secs(50));
}

#[test]
fn an_endpoint_takes_at_most_64_kib() {
    let mut pool = Pool::new(1);
    pool.serve(40, &[Some(10.0)]);
    pool.record(0, 60_000, Outcome::Success);
    let bytes =
        size_of::<EndpointRecord>() + size_of::<EndpointState>() + pool.records[0].latency.heap_bytes();
    assert!((32 * 1024..=64 * 1024).contains(&bytes), "{bytes} bytes");
}

#[test]
fn a_pool_of_none_has_no_scores() {
    assert_eq!(score_pool(&SETTINGS, &mut [], Instant::now()), []);
}
