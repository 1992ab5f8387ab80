//! Pools with known latencies and outcomes, and what they must score.

use std::sync::Arc;

use super::*;
use crate::policy::availability::Access;
use crate::policy::endpoint::{EndpointState, Ticks};

const SETTINGS: LeastResponse = LeastResponse {
    quantile: 0.99,
    window: Duration::from_secs(30),
    min_samples: 300,
    normalize: crate::config::Normalize::Route,
};

/// A pool whose endpoints are fed and scored together.
struct Fed {
    now: Instant,
    pool: Pool,
    rng: fastrand::Rng,
}

impl Fed {
    fn new(count: usize) -> Self {
        Self::with(Settings { least_response: SETTINGS, slow_start: None }, count)
    }

    fn with(settings: Settings, count: usize) -> Self {
        let now = Instant::now();
        let pool = Pool::new(settings, count, now);
        Self { now, pool, rng: fastrand::Rng::with_seed(11) }
    }

    /// `seconds` of 100 requests/s to each endpoint that has a mean, exponentially distributed around it.
    fn serve(&mut self, seconds: u64, means_ms: &[Option<f64>]) {
        (0..seconds * 100).for_each(|_| self.serve_once(means_ms));
    }

    /// 10 ms, and one request to each.
    fn serve_once(&mut self, means_ms: &[Option<f64>]) {
        self.now += Duration::from_millis(10);
        for (index, mean) in means_ms.iter().enumerate() {
            let Some(mean) = mean else { continue };
            let latency = Duration::from_secs_f64(-self.rng.f64().max(1e-9).ln() * mean / 1000.0);
            self.learn(index, 1, latency, Outcome::Success);
        }
    }

    fn record(&mut self, index: usize, latency_ms: u64, outcome: Outcome) {
        self.learn(index, 1, Duration::from_millis(latency_ms), outcome);
    }

    fn learn(&mut self, index: usize, route: u32, latency: Duration, outcome: Outcome) {
        self.pool.learn(index, &Sample { route, latency: Some(latency), outcome }, self.now);
    }

    fn count(&self, index: usize) -> u64 {
        self.pool.endpoint(index).latency().count()
    }

    fn scores(&mut self) -> Vec<Score> {
        self.pool.scores(self.now)
    }

    fn factors(&mut self) -> Vec<f32> {
        self.scores().iter().map(|score| score.factor).collect()
    }
}

fn candidates(count: u16, epoch: Instant) -> Vec<Candidate> {
    let candidate = |port| Candidate {
        address: ([127, 0, 0, 1], port).into(),
        weight: 1,
        backup: false,
        state: Arc::new(EndpointState::new(epoch)),
    };
    (7000..7000 + count).map(candidate).collect()
}

#[test]
fn equal_endpoints_cost_exactly_one() {
    let mut pool = Fed::new(4);
    for _ in 0..30 {
        pool.serve(2, &[Some(10.0); 4]);
    }
    assert_eq!(pool.factors(), [1.0; 4]);
}

#[test]
fn a_slow_endpoint_costs_more_and_its_siblings_do_not() {
    let mut pool = Fed::new(4);
    pool.serve(30, &[Some(100.0), Some(10.0), Some(10.0), Some(10.0)]);
    let scores = pool.scores();
    let slow = scores[0];
    assert!((6.0..14.0).contains(&slow.tail) && (6.0..14.0).contains(&slow.mean), "{slow:?}");
    assert!((slow.factor / slow.tail.powi(2) - 1.0).abs() < 1e-3, "{slow:?}");
    assert_eq!(pool.factors()[1..], [1.0; 3]);
}

#[test]
fn with_half_of_the_pool_slow_the_fast_half_is_what_is_usual() {
    let mut pool = Fed::new(4);
    pool.serve(30, &[Some(100.0), Some(100.0), Some(10.0), Some(10.0)]);
    let factors = pool.factors();
    assert!(factors[0] > 6.0 && factors[1] > 6.0, "{factors:?}");
    assert_eq!(factors[2..], [1.0; 2]);
}

#[test]
fn a_turn_for_the_worse_shows_within_half_a_second() {
    let mut pool = Fed::new(4);
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
    let mut pool = Fed::new(3);
    pool.serve(30, &[Some(10.0), Some(10.0), None]);
    (0..3).for_each(|_| pool.record(2, 200, Outcome::Success));
    let score = pool.scores()[2];
    assert!((1.0..1.5).contains(&score.tail), "{score:?}");
}

#[test]
fn a_fast_failing_endpoint_is_not_favoured() {
    let mut pool = Fed::new(3);
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
fn a_failure_never_makes_an_endpoint_look_faster_but_a_slow_one_makes_it_slower() {
    let mut pool = Fed::new(2);
    pool.serve(10, &[Some(10.0); 2]);
    let before = pool.count(0);
    pool.record(0, 0, Outcome::Failure);
    assert_eq!(pool.count(0), before);
    assert!(pool.scores()[0].fast < 1.0);
    pool.record(0, 3000, Outcome::Failure);
    assert!(pool.scores()[0].fast > 5.0);
}

#[test]
fn a_client_abort_counts_neither_as_latency_nor_as_error() {
    let mut pool = Fed::new(1);
    pool.record(0, 5000, Outcome::Neutral);
    let score = pool.scores()[0];
    assert_eq!(score, Score::default());
}

#[test]
fn an_endpoint_without_samples_is_cold_at_the_pool_s_cost_until_its_first_success() {
    let mut pool = Fed::new(3);
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
    let mut pool = Fed::new(4);
    pool.serve(30, &[Some(100.0), Some(10.0), Some(10.0), Some(10.0)]);
    let mut scores = vec![pool.scores()[0]];
    for _ in 0..900 {
        pool.serve(1, &[None, Some(10.0), Some(10.0), Some(10.0)]);
        scores.push(pool.scores()[0]);
    }
    let tails: Vec<f32> = scores.iter().map(|score| score.tail).collect();
    assert!(tails[0] > 6.0 && tails[10] > 2.5 && tails[30] == 1.0, "{:.2?}", &tails[..31]);
    let steepest = tails.windows(2).map(|pair| pair[0] / pair[1]).fold(0.0, f32::max);
    assert!(steepest < 1.5, "it is not forgotten at once");
    assert!(scores[60].factor > 5.0, "the mean outlives the window: {:?}", scores[60]);
    assert_eq!(scores[900].factor, 1.0, "nor is it shunned for ever where no probe may go");
}

#[test]
fn an_endpoint_that_recovered_is_believed_after_a_few_samples() {
    let mut pool = Fed::new(4);
    pool.serve(30, &[Some(100.0), Some(10.0), Some(10.0), Some(10.0)]);
    pool.serve(40, &[None, Some(10.0), Some(10.0), Some(10.0)]);
    assert!(pool.factors()[0] > 5.0);
    (0..6).for_each(|_| pool.record(0, 7, Outcome::Success));
    assert!(pool.factors()[0] < 2.5, "{:?}", pool.scores()[0]);
}

#[test]
fn one_shunned_endpoint_at_a_time_is_probed_and_the_dearer_the_rarer() {
    let mut pool = Fed::new(3);
    let candidates = candidates(3, pool.now);
    pool.serve(30, &[Some(10.0), Some(10.0), Some(100.0)]);
    let mut probes = [0; 3];
    for _ in 0..600 {
        // 20 answers in 100 ms.
        (0..10).for_each(|_| pool.serve_once(&[Some(10.0), Some(10.0), None]));
        pool.pool.publish(&candidates, pool.now);
        assert!(candidates.iter().filter(|one| one.state.wants_probe()).count() <= 1);
        let all = candidates.iter().zip(&mut probes);
        all.for_each(|(one, count)| *count += u32::from(one.state.take_probe()));
    }
    // 12,000 answers at one probe in 2,500.
    assert!((4..=5).contains(&probes[2]) && probes[..2] == [0, 0], "{probes:?}");
}

#[test]
fn an_endpoint_that_fails_is_not_probed() {
    let mut pool = Fed::new(2);
    let candidates = candidates(2, pool.now);
    pool.serve(30, &[Some(10.0); 2]);
    (0..20).for_each(|_| pool.record(1, 0, Outcome::Failure));
    for _ in 0..200 {
        (0..20).for_each(|_| pool.serve_once(&[Some(10.0), None]));
        pool.record(1, 0, Outcome::Failure);
        pool.pool.publish(&candidates, pool.now);
        assert!(!candidates[1].state.wants_probe());
    }
}

#[test]
fn a_clock_that_goes_backwards_disturbs_nothing() {
    let mut pool = Fed::new(3);
    pool.serve(20, &[Some(10.0); 3]);
    let (before, count) = (pool.factors(), pool.count(0));
    let (now, earlier) = (pool.now, pool.now - Duration::from_secs(15));
    pool.now = earlier;
    assert_eq!(pool.factors(), before);
    (0..3).for_each(|index| pool.record(index, 10, Outcome::Success));
    pool.now = now;
    assert_eq!(pool.count(0), count + 1);
    assert_eq!(pool.factors(), before);
}

#[test]
fn a_reload_keeps_samples_when_window_and_order_change() {
    let mut pool = Fed::new(2);
    pool.serve(5, &[Some(10.0), None]);
    let least_response = LeastResponse { window: Duration::from_secs(60), ..SETTINGS };
    let (settings, now) = (Settings { least_response, slow_start: None }, pool.now);
    pool.pool = pool.pool.renew(settings, &[None, Some(0)], now);
    assert_eq!((pool.count(0), pool.count(1)), (0, 500));
    pool.now += Duration::from_secs(49);
    pool.scores();
    assert_eq!(pool.count(1), 500);
}

#[test]
fn an_endpoint_takes_at_most_64_kib() {
    let mut pool = Fed::new(1);
    pool.serve(40, &[Some(10.0)]);
    pool.record(0, 60_000, Outcome::Success);
    let record = pool.pool.endpoint(0);
    let heap = record.latency().heap_bytes() + record.ratio.heap_bytes();
    let bytes = size_of::<EndpointRecord>() + size_of::<EndpointState>() + heap;
    assert!((32 * 1024..=64 * 1024).contains(&bytes), "{bytes} bytes");
}

#[test]
fn a_pool_of_none_has_no_scores() {
    assert_eq!(Fed::new(0).scores(), []);
}

#[test]
fn an_endpoint_that_happens_to_get_the_heavy_route_is_not_punished() {
    let score_of_second = |normalize| {
        let least_response = LeastResponse { normalize, ..SETTINGS };
        let mut pool = Fed::with(Settings { least_response, slow_start: None }, 3);
        for _ in 0..1000 {
            pool.now += Duration::from_millis(10);
            for index in 0..3 {
                let heavy = pool.rng.f64() < if index == 1 { 0.9 } else { 0.1 };
                let (route, mean) = if heavy { (2, 0.06) } else { (1, 0.002) };
                let latency = Duration::from_secs_f64(-pool.rng.f64().max(1e-9).ln() * mean);
                pool.learn(index, route, latency, Outcome::Success);
            }
        }
        pool.scores()[1].tail
    };
    assert!(
        (0.7..1.25).contains(&score_of_second(Normalize::Route)),
        "{}",
        score_of_second(Normalize::Route)
    );
    assert!(score_of_second(Normalize::Off) > 1.4, "{}", score_of_second(Normalize::Off));
}

#[test]
fn a_hung_endpoint_is_seen_before_its_requests_end() {
    let mut pool = Fed::new(3);
    pool.serve(30, &[Some(10.0); 3]);
    let candidates = candidates(3, pool.now);
    pool.pool.publish(&candidates, pool.now);
    let state = Arc::new(EndpointState::new(pool.now));
    state.publish(pool.scores()[0]);
    let mut request = state.begin();
    request.wait(pool.now);
    let age = |ms| state.age(Ticks::between(pool.now, pool.now + Duration::from_millis(ms)));
    assert!(age(10) == 1.0 && age(500) > 3.0, "{} {}", age(10), age(500));
}

#[test]
fn slow_start_raises_the_share_of_a_new_endpoint_over_its_time() {
    let settings = Settings { least_response: SETTINGS, slow_start: Some(Duration::from_secs(10)) };
    let mut pool = Fed::with(settings, 2);
    pool.serve(60, &[Some(10.0), None]);
    pool.serve(1, &[Some(10.0); 2]);
    let early = pool.scores();
    pool.serve(4, &[Some(10.0); 2]);
    let half = pool.scores();
    pool.serve(6, &[Some(10.0); 2]);
    let late = pool.scores();
    assert_eq!([early[0].ramp, late[0].ramp, late[1].ramp], [1.0; 3]);
    assert!(early[1].ramp < 0.15, "{early:?}");
    assert!((0.4..0.6).contains(&half[1].ramp), "{half:?}");
}

#[test]
fn an_endpoint_that_is_back_begins_its_slow_start_before_its_first_answer() {
    let settings = Settings { least_response: SETTINGS, slow_start: Some(Duration::from_secs(10)) };
    let mut pool = Fed::with(settings, 2);
    pool.serve(60, &[Some(10.0); 2]);
    pool.serve(60, &[Some(10.0), None]);
    assert_eq!(pool.scores()[1].ramp, 1.0);
    pool.pool.returns(1, pool.now);
    assert!(pool.scores()[1].ramp < 0.15);
    pool.serve(5, &[Some(10.0), None]);
    assert!((0.4..0.6).contains(&pool.scores()[1].ramp), "silence does not end it");
    pool.serve(1, &[Some(10.0); 2]);
    assert!((0.5..0.7).contains(&pool.scores()[1].ramp), "nor does an answer begin it anew");
    pool.serve(10, &[Some(10.0); 2]);
    assert_eq!(pool.scores()[1].ramp, 1.0);
}

#[test]
fn a_drained_busy_or_unhealthy_endpoint_does_not_hold_up_the_probes_of_others() {
    for why in ["drained", "busy", "unhealthy"] {
        let mut pool = Fed::new(4);
        let mut candidates = candidates(4, pool.now);
        pool.serve(30, &[Some(10.0), Some(10.0), Some(10.0), Some(100.0)]);
        candidates[2].weight = u32::from(why != "drained");
        let _stream = (why == "busy").then(|| candidates[2].state.begin());
        if why == "unhealthy" {
            candidates[2].state.allow(Access::Closed);
        }
        let mut probes = 0;
        for _ in 0..600 {
            (0..10).for_each(|_| pool.serve_once(&[Some(10.0), Some(10.0), None, None]));
            pool.pool.publish(&candidates, pool.now);
            assert!(!candidates[2].state.wants_probe());
            probes += u32::from(candidates[3].state.take_probe());
        }
        assert!(probes >= 4, "{probes}");
    }
}

#[test]
fn a_silent_endpoint_does_not_make_the_one_that_answers_look_slow() {
    let mut pool = Fed::new(2);
    pool.serve(30, &[Some(10.0); 2]);
    pool.serve(24, &[None, Some(10.0)]);
    assert_eq!(pool.factors()[1], 1.0);
}

#[test]
fn one_page_that_takes_very_long_does_not_shun_its_endpoint_for_minutes() {
    let mut pool = Fed::new(4);
    pool.serve(60, &[Some(10.0); 4]);
    pool.record(0, 9000, Outcome::Success);
    pool.serve(36, &[None, Some(10.0), Some(10.0), Some(10.0)]);
    assert!(pool.factors()[0] < 1.7, "{:?}", pool.scores()[0]);
}

#[test]
fn another_scale_begins_anew_and_a_reload_keeps_it() {
    let mut pool = Fed::new(2);
    pool.serve(30, &[Some(10.0), Some(100.0)]);
    let off = LeastResponse { normalize: Normalize::Off, ..SETTINGS };
    let (settings, now) = (Settings { least_response: off, slow_start: None }, pool.now);
    pool.pool = pool.pool.renew(settings, &[Some(0), Some(1)], now);
    assert_eq!((pool.count(1) > 2000, pool.factors()[1]), (true, 1.0));
    pool.serve(10, &[Some(10.0), Some(100.0)]);
    assert!(pool.factors()[1] > 5.0);
    pool.pool.retain_routes(|_| false);
    pool.serve(10, &[Some(10.0), Some(100.0)]);
    assert!(pool.factors()[1] > 5.0);
}
