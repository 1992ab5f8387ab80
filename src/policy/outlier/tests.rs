use std::sync::Arc;

use super::Sign::{Bad, Error, Good, Spoilt};
use super::*;
use crate::policy::endpoint::EndpointState;
use crate::policy::score::Outcome;

const TICK: Duration = Duration::from_millis(100);

/// A pool, ticked ten times a second.
struct Rig {
    outliers: Outliers,
    candidates: Vec<Candidate>,
    now: Instant,
    tails: Vec<f32>,
}

fn candidates(count: u16, now: Instant) -> Vec<Candidate> {
    let candidate = |port| Candidate {
        address: ([127, 0, 0, 1], port).into(),
        weight: 1,
        backup: false,
        state: Arc::new(EndpointState::new(now)),
    };
    (0..count).map(candidate).collect()
}

fn defaults() -> OutlierDetection {
    OutlierDetection::default()
}

impl Rig {
    fn of(endpoints: u16) -> Self {
        Self::with(endpoints, defaults())
    }

    fn with(endpoints: u16, settings: OutlierDetection) -> Self {
        let now = Instant::now();
        Self {
            outliers: Outliers::new(Some(settings), endpoints.into(), now),
            candidates: candidates(endpoints, now),
            now,
            tails: vec![1.0; endpoints.into()],
        }
    }

    /// So many tries at one endpoint end like this.
    fn see(&mut self, endpoint: usize, count: u32, sign: Sign) -> &mut Self {
        (0..count).for_each(|_| self.outliers.learn(endpoint, sign, self.now, self.now));
        self
    }

    fn tick(&mut self) -> Vec<Change> {
        self.now += TICK;
        let tails = &self.tails;
        self.outliers.tick(&self.candidates, |at| tails[at], self.now)
    }

    fn seconds(&mut self, seconds: u32) -> Vec<Change> {
        (0..seconds * 10).flat_map(|_| self.tick()).collect()
    }

    /// Who is out.
    fn out(&self) -> Vec<usize> {
        let is_out = |at: &usize| self.candidates[*at].state.standing().ejected;
        let out: Vec<usize> = (0..self.candidates.len()).filter(is_out).collect();
        let known = |at: &usize| self.outliers.ejection(*at).is_some();
        assert_eq!(out, (0..self.candidates.len()).filter(known).collect::<Vec<_>>());
        out
    }

    fn obstruct(&self, endpoint: usize, obstacle: Obstacle) {
        self.candidates[endpoint].state.obstruct(obstacle, true);
    }

    /// Fails an endpoint until it is out while another one answers, and waits until it is back. How long it was out.
    fn eject_and_return(&mut self, endpoint: usize) -> Duration {
        self.see(usize::from(endpoint == 0), 1, Good).see(endpoint, 5, Bad);
        let changes = self.tick();
        let [Change::Ejected(at, _, length)] = changes[..] else { panic!("{changes:?}") };
        assert_eq!(at, endpoint);
        let before = self.now;
        while self.tick() != [Change::Returned(endpoint)] {
            assert!(self.now - before < Duration::from_secs(3600));
        }
        assert!(self.now - before < length + TICK * 2 && self.now - before >= length);
        length
    }

    fn count(&self, endpoint: usize, cause: Cause) -> u64 {
        self.outliers.totals(endpoint).find(|(found, _)| *found == cause).map_or(0, |(_, count)| count)
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn five_failures_in_a_row_eject_at_the_next_tick_and_four_do_not() {
    let mut pool = Rig::of(3);
    assert_eq!(pool.see(0, 4, Bad).see(0, 1, Good).see(0, 4, Bad).tick(), []);
    pool.see(1, 1, Good);
    assert_eq!(pool.see(0, 1, Bad).tick(), [Change::Ejected(0, Cause::ConsecutiveFailures, secs(10))]);
    assert_eq!(pool.out(), [0]);
    let out = pool.outliers.ejection(0).expect("it is out");
    assert_eq!((out.cause, out.times), (Cause::ConsecutiveFailures, 1));
    assert_eq!(pool.count(0, Cause::ConsecutiveFailures), 1);
}

#[test]
fn an_ejection_ends_on_time_without_a_request() {
    let mut pool = Rig::of(2);
    pool.see(1, 1, Good).see(0, 5, Bad).tick();
    assert_eq!(pool.seconds(9), []);
    assert_eq!(pool.seconds(1), [Change::Returned(0)]);
    assert_eq!(pool.out(), [0; 0]);
    assert_eq!(pool.seconds(60), []);
}

#[test]
fn neither_429_nor_a_client_that_goes_away_nor_500_ejects_in_a_row() {
    let sign = |outcome, status| Sign::of(outcome, status, false);
    assert_eq!(sign(Outcome::Failure, 429), Good);
    assert_eq!(sign(Outcome::Failure, 503), Bad);
    assert_eq!(sign(Outcome::Failure, 0), Bad);
    assert_eq!(sign(Outcome::SoftFailure, 500), Error);
    assert_eq!(sign(Outcome::Success, 404), Good);
    assert_eq!(Sign::of(Outcome::Neutral, 499, true), Sign::None);
    assert_eq!(Sign::of(Outcome::Failure, 200, true), Spoilt);
    let mut pool = Rig::of(2);
    assert_eq!(pool.see(0, 19, Error).see(0, 100, Sign::None).tick(), []);
    assert_eq!(pool.see(1, 100, Good).see(1, 4, Bad).see(1, 1, Sign::None).tick(), []);
}

#[test]
fn half_of_twenty_requests_failed_eject_and_of_nineteen_not() {
    let mut pool = Rig::of(3);
    pool.see(1, 20, Good);
    assert_eq!(pool.see(0, 9, Good).see(0, 10, Error).tick(), []);
    assert_eq!(pool.see(0, 1, Good).tick(), [Change::Ejected(0, Cause::FailurePercent, secs(10))]);
}

#[test]
fn failures_older_than_the_interval_do_not_count() {
    let mut pool = Rig::of(2);
    pool.see(0, 10, Error).see(1, 50, Good).seconds(11);
    assert_eq!(pool.see(0, 10, Good).seconds(11), []);
    assert_eq!(pool.see(1, 50, Good).see(0, 10, Error).see(0, 10, Good).seconds(1).len(), 1);
}

#[test]
fn a_page_that_fails_everywhere_ejects_nobody() {
    let mut pool = Rig::of(4);
    for _ in 0..100 {
        for at in 0..4 {
            pool.see(at, 9, Error).see(at, 1, Good);
        }
        assert_eq!(pool.tick(), []);
    }
    // One of them twice as bad as the others.
    let mut pool = Rig::of(3);
    pool.see(0, 60, Error).see(0, 40, Good);
    for at in 1..3 {
        pool.see(at, 31, Error).see(at, 69, Good);
    }
    assert_eq!(pool.tick(), []);
    pool.see(1, 10, Good);
    assert_eq!(pool.tick(), [Change::Ejected(0, Cause::FailurePercent, secs(10))]);
}

#[test]
fn a_pool_that_fails_as_a_whole_keeps_its_endpoints() {
    let mut pool = Rig::of(4);
    for _ in 0..200 {
        for at in 0..4 {
            pool.see(at, 1, Bad);
        }
        assert_eq!(pool.tick(), []);
    }
    assert_eq!(pool.outliers.not_enforced(), 0);
    pool.see(2, 1, Good);
    assert_eq!(pool.tick().len(), 2, "the moment one works again, the others are outliers");
}

#[test]
fn answers_that_break_off_count_once_and_as_failures() {
    let mut pool = Rig::of(2);
    pool.see(1, 20, Good);
    for _ in 0..20 {
        pool.see(0, 1, Good).see(0, 1, Spoilt);
    }
    assert_eq!(pool.tick(), [Change::Ejected(0, Cause::FailurePercent, secs(10))]);
}

#[test]
fn a_pool_of_two_loses_one_and_a_pool_of_one_none() {
    let mut pool = Rig::with(2, OutlierDetection { max_ejected_percent: 1, ..defaults() });
    assert_eq!(pool.see(1, 1, Good).see(0, 9, Bad).tick().len(), 1);
    assert_eq!(pool.see(1, 9, Bad).seconds(5), []);
    assert_eq!(pool.out(), [0]);
    let mut single = Rig::of(1);
    assert_eq!(single.see(0, 100, Bad).seconds(5), []);
}

#[test]
fn no_more_than_half_go_the_worst_first_and_the_rest_is_counted() {
    let mut pool = Rig::of(5);
    pool.see(4, 5, Good);
    for at in 0..4 {
        pool.see(at, 5 + u32::try_from(at).expect("small"), Bad);
    }
    pool.tick();
    assert_eq!(pool.out(), [2, 3]);
    assert_eq!(pool.outliers.not_enforced(), 2);
    pool.seconds(5);
    assert_eq!(pool.outliers.not_enforced(), 2, "once in an interval, not at every tick");
}

#[test]
fn with_nothing_allowed_it_only_counts() {
    let mut pool = Rig::with(4, OutlierDetection { max_ejected_percent: 0, ..defaults() });
    assert_eq!(pool.see(1, 1, Good).see(0, 5, Bad).seconds(1), []);
    assert_eq!((pool.outliers.not_enforced(), pool.out()), (1, vec![]));
}

#[test]
fn those_that_are_unhealthy_or_drained_leave_less_to_eject() {
    let mut pool = Rig::of(4);
    pool.obstruct(2, Obstacle::Unhealthy);
    pool.see(0, 6, Bad).see(1, 5, Bad).see(3, 1, Good).tick();
    assert_eq!(pool.out(), [0]);
    let mut pool = Rig::of(4);
    pool.obstruct(2, Obstacle::Drained);
    pool.see(0, 6, Bad).see(1, 5, Bad).see(3, 1, Good).tick();
    assert_eq!(pool.out(), [0], "one of three");
    let mut pool = Rig::of(2);
    pool.obstruct(1, Obstacle::Unhealthy);
    assert_eq!(pool.see(0, 9, Bad).tick(), [], "there is no better one");
    let mut pool = Rig::of(3);
    pool.obstruct(0, Obstacle::Drained);
    assert_eq!(pool.see(0, 9, Bad).tick(), [], "nothing goes there anyway");
}

#[test]
fn what_is_out_returns_when_nothing_else_is_left() {
    let mut pool = Rig::of(3);
    pool.see(1, 1, Good).see(0, 5, Bad).tick();
    pool.obstruct(1, Obstacle::Drained);
    assert_eq!(pool.tick(), [], "one of two may be out");
    pool.obstruct(2, Obstacle::Unhealthy);
    assert_eq!(pool.tick(), [Change::Returned(0)]);
    let mut pool = Rig::of(4);
    pool.see(2, 1, Good).see(0, 6, Bad).see(1, 5, Bad).tick();
    assert_eq!(pool.out(), [0, 1]);
    pool.obstruct(3, Obstacle::Drained);
    assert_eq!(pool.tick().len(), 1, "one of three may be out");
}

#[test]
fn each_time_it_is_out_for_twice_as_long_up_to_a_bound() {
    let mut pool = Rig::with(2, OutlierDetection { max_ejection: secs(50), ..defaults() });
    let lengths: Vec<u64> = (0..5).map(|_| pool.eject_and_return(0).as_secs()).collect();
    assert_eq!(lengths, [10, 20, 40, 50, 50]);
    let settings = OutlierDetection { max_ejection: secs(86_400), ..defaults() };
    let mut watch = Watch::new(settings.interval, pool.now);
    let lengths: Vec<u64> =
        (0..99).map(|_| watch.eject(Cause::Latency, &settings, pool.now).as_secs()).collect();
    assert!(lengths.is_sorted() && lengths[98] == 86_400, "{lengths:?}");
}

#[test]
fn good_behaviour_is_forgiven_one_ejection_for_each_stretch_as_long() {
    let mut pool = Rig::of(2);
    assert_eq!([(); 2].map(|()| pool.eject_and_return(0).as_secs()), [10, 20]);
    pool.seconds(100);
    assert_eq!(pool.eject_and_return(0).as_secs(), 40, "nothing was asked of it, so nothing is shown");
    pool.see(0, 1, Good).seconds(39);
    pool.see(0, 1, Bad).see(0, 1, Good).seconds(1);
    assert_eq!(pool.eject_and_return(0).as_secs(), 40, "the third is forgiven");
    pool.see(0, 1, Good).seconds(40 + 20 + 10 + 1);
    assert_eq!(pool.eject_and_return(0).as_secs(), 10);
}

#[test]
fn after_its_return_one_failure_before_a_success_is_enough() {
    let mut pool = Rig::of(2);
    pool.eject_and_return(0);
    pool.see(1, 1, Good);
    assert_eq!(pool.see(0, 1, Bad).tick(), [Change::Ejected(0, Cause::FailedReturn, secs(20))]);
    pool.seconds(20);
    assert_eq!(pool.see(0, 1, Good).see(0, 4, Bad).tick(), []);
    pool.see(1, 1, Good);
    assert_eq!(pool.see(0, 1, Bad).tick(), [Change::Ejected(0, Cause::ConsecutiveFailures, secs(40))]);
}

#[test]
fn what_began_before_its_return_says_nothing_of_it_now() {
    let mut pool = Rig::of(2);
    let before = pool.now;
    pool.eject_and_return(0);
    pool.see(1, 1, Good);
    (0..9).for_each(|_| pool.outliers.learn(0, Bad, before, pool.now));
    assert_eq!(pool.tick(), []);
    pool.outliers.learn(0, Good, before, pool.now);
    assert_eq!(pool.see(0, 1, Bad).tick().len(), 1, "it is still on trial");
}

#[test]
fn what_it_does_while_it_is_out_is_not_held_against_it() {
    let mut pool = Rig::of(2);
    pool.see(1, 1, Good).see(0, 5, Bad).tick();
    pool.see(0, 50, Bad).seconds(10);
    assert_eq!(pool.out(), [0; 0]);
    assert_eq!(pool.seconds(1), []);
}

#[test]
fn a_tail_too_far_from_the_pools_for_a_whole_interval_ejects_if_asked_for() {
    let settings = OutlierDetection { latency_factor: Some(5), ..defaults() };
    let slow = |settings| {
        let mut pool = Rig::with(3, settings);
        pool.tails[1] = 5.0;
        pool
    };
    let mut pool = slow(settings);
    let busy = |pool: &mut Rig, seconds: u32| -> Vec<Change> {
        (0..seconds).flat_map(|_| pool.see(1, 10, Good).seconds(1)).collect()
    };
    assert_eq!(busy(&mut pool, 10), []);
    assert_eq!(busy(&mut pool, 1), [Change::Ejected(1, Cause::Latency, secs(10))]);
    let mut pool = slow(settings);
    busy(&mut pool, 9);
    pool.tails[1] = 4.9;
    busy(&mut pool, 1);
    pool.tails[1] = 5.0;
    assert_eq!(busy(&mut pool, 9), [], "the interval begins anew");
    assert_eq!(busy(&mut slow(defaults()), 30), [], "nobody asked for it");
    assert_eq!(slow(settings).seconds(30), [], "it has hardly a request");
}

#[test]
fn a_passed_health_check_ends_an_ejection_at_the_next_tick() {
    let mut pool = Rig::of(2);
    pool.see(1, 1, Good).see(0, 5, Bad).tick();
    pool.outliers.end(0, pool.now);
    pool.outliers.end(1, pool.now);
    assert_eq!(pool.tick(), [Change::Returned(0)]);
}

#[test]
fn an_ejection_outlives_a_reload_and_ends_when_detection_is_turned_off() {
    let mut pool = Rig::of(3);
    pool.see(2, 1, Good).see(1, 5, Bad).tick();
    // The first is gone, and there is a new one behind.
    pool.candidates.remove(0);
    pool.candidates.extend(candidates(1, pool.now));
    let before = [Some(1), Some(2), None];
    let settings = OutlierDetection { interval: secs(20), ..defaults() };
    pool.outliers = pool.outliers.renew(Some(settings), &before, &pool.candidates, pool.now);
    assert_eq!(pool.out(), [0]);
    assert_eq!(pool.count(0, Cause::ConsecutiveFailures), 1);
    let same = [Some(0), Some(1), Some(2)];
    pool.outliers = pool.outliers.renew(None, &same, &pool.candidates, pool.now);
    assert_eq!(pool.out(), [0; 0]);
    assert_eq!(pool.see(0, 99, Bad).seconds(1), []);
}

#[test]
fn what_is_not_looked_for_ejects_nobody() {
    let nothing = OutlierDetection { consecutive_failures: None, failure_percent: None, ..defaults() };
    let mut pool = Rig::with(2, nothing);
    assert_eq!(pool.see(1, 99, Good).see(0, 99, Bad).seconds(1), []);
    let share = OutlierDetection { consecutive_failures: None, ..defaults() };
    let mut pool = Rig::with(2, share);
    pool.see(0, 20, Bad).see(1, 20, Good).seconds(11);
    assert_eq!(
        pool.see(1, 1, Good).see(0, 1, Bad).seconds(1),
        [],
        "on trial, but nothing is counted in a row"
    );
}

/// The second half are backups.
fn with_backups(own: u16, settings: OutlierDetection) -> Rig {
    let mut pool = Rig::with(own * 2, settings);
    pool.candidates[own.into()..].iter_mut().for_each(|candidate| candidate.backup = true);
    pool
}

#[test]
fn an_endpoint_that_was_never_asked_does_not_count_as_one_that_works() {
    let mut pool = Rig::of(3);
    pool.see(0, 30, Bad).see(1, 30, Bad);
    assert_eq!(pool.seconds(5), [], "neither in a row nor by its share");
    pool.see(2, 1, Good).see(0, 1, Bad);
    assert_eq!(pool.tick().len(), 1);
    let mut pool = Rig::of(2);
    pool.see(1, 1, Good).seconds(11);
    assert_eq!(pool.see(0, 30, Bad).seconds(1), [], "what it did before the interval is no proof");
}

#[test]
fn backups_that_wait_neither_prove_that_others_do_worse_nor_make_room() {
    let mut pool = with_backups(2, defaults());
    pool.see(0, 6, Bad).see(1, 5, Bad);
    assert_eq!(pool.seconds(5), [], "both fail alike");
    pool.see(2, 50, Good);
    assert_eq!(pool.tick(), [], "a backup that answers retries does not change that");
    pool.see(1, 1, Good).see(0, 1, Bad);
    assert_eq!(pool.tick(), [Change::Ejected(0, Cause::ConsecutiveFailures, secs(10))]);
    pool.see(1, 9, Bad).see(3, 1, Good);
    assert_eq!(pool.seconds(5), [], "half of two are out, not one of four");
}

#[test]
fn the_last_goes_if_a_backup_that_answers_takes_over_and_stays_out_for_its_time() {
    let mut pool = with_backups(1, defaults());
    assert_eq!(pool.see(0, 9, Bad).seconds(5), [], "nobody has tried the backup");
    assert_eq!(pool.see(1, 1, Good).tick().len(), 1);
    assert_eq!(pool.see(1, 99, Bad).seconds(9), [], "nobody is there for the last backup");
    assert_eq!(pool.seconds(1), [Change::Returned(0)]);
    pool.see(1, 1, Good).see(0, 1, Bad).tick();
    pool.obstruct(1, Obstacle::Unhealthy);
    assert_eq!(pool.tick(), [Change::Returned(0)], "nothing else is left");
}

#[test]
fn of_the_backups_that_serve_the_one_that_does_worse_is_ejected() {
    let mut pool = with_backups(2, defaults());
    pool.obstruct(0, Obstacle::Unhealthy);
    pool.obstruct(1, Obstacle::Unhealthy);
    pool.see(2, 5, Bad).see(3, 5, Good);
    assert_eq!(pool.tick(), [Change::Ejected(2, Cause::ConsecutiveFailures, secs(10))]);
}

/// What a tick takes at best: what a busy machine adds only makes it longer.
fn tick_time(endpoints: u16, prepare: impl Fn(&mut Rig)) -> Duration {
    let time = |_| {
        let mut pool = Rig::of(endpoints);
        prepare(&mut pool);
        let began = Instant::now();
        pool.tick();
        began.elapsed()
    };
    (0..5).map(time).min().unwrap_or_default()
}

#[test]
fn a_tick_over_twenty_times_the_endpoints_takes_about_twenty_times_as_long_however_many_fail() {
    let all_fail = |pool: &mut Rig| {
        for at in 0..pool.tails.len() {
            pool.see(at, 20, Bad);
        }
    };
    let half_fails = |pool: &mut Rig| {
        for at in 0..pool.tails.len() {
            pool.see(at, 20, if at % 2 == 0 { Bad } else { Good });
        }
    };
    let half_returns = |pool: &mut Rig| {
        half_fails(pool);
        pool.tick();
        pool.now += secs(10);
    };
    takes_about_twenty_times_as_long("all fail", all_fail);
    takes_about_twenty_times_as_long("half fails", half_fails);
    takes_about_twenty_times_as_long("half returns", half_returns);
}

fn takes_about_twenty_times_as_long(what: &str, prepare: impl Fn(&mut Rig)) {
    let (few, many) = (tick_time(500, &prepare), tick_time(10_000, &prepare));
    assert!(many < few * 120, "{what}: {few:?} for 500 and {many:?} for 10,000");
}
