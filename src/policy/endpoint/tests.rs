use std::time::Duration;

use super::*;

#[test]
fn what_the_pool_has_decided_is_read_back() {
    let state = EndpointState::new(Instant::now());
    for access in [Access::Closed, Access::Draining, Access::Spare, Access::Open] {
        state.allow(access);
        assert_eq!(state.access(), access);
    }
}

#[test]
fn a_request_counts_while_its_guard_lives() {
    let state = Arc::new(EndpointState::new(Instant::now()));
    let first = state.begin();
    let second = state.begin();
    assert_eq!(state.in_flight(), 2);
    drop(first);
    assert_eq!(state.in_flight(), 1);
    drop(second);
    assert_eq!(state.in_flight(), 0);
}

#[test]
fn an_endpoint_with_a_bound_takes_no_more_whoever_asks() {
    let state = Arc::new(EndpointState::new(Instant::now()));
    state.bound(Some(100));
    let taken: Vec<InFlight> = std::thread::scope(|scope| {
        let take = || std::iter::from_fn(|| state.try_begin()).collect::<Vec<_>>();
        let workers = [(); 4].map(|()| scope.spawn(take));
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    assert_eq!((taken.len(), state.in_flight(), state.has_room()), (100, 100, false));
    drop(taken);
    assert!(state.has_room());
    state.bound(None);
    assert_eq!((state.most(), state.try_begin().is_some()), (None, true));
}

#[test]
fn a_request_waits_from_its_last_byte_to_its_response_head() {
    let start = Instant::now();
    let state = Arc::new(EndpointState::new(start));
    state.publish(Score { patience_us: 10_000.0, ..Score::default() });
    let after = |ms| start + Duration::from_millis(ms);
    let age = |ms| (state.age(Ticks::between(start, after(ms))) * 100.0).round() / 100.0;
    let mut request = state.begin();
    assert_eq!(age(10), 1.0);
    request.wait(after(10));
    request.wait(after(20));
    assert_eq!(age(40), 1.67);
    request.answered();
    assert_eq!((age(50), state.in_flight()), (1.0, 1));
    let mut cancelled = state.begin();
    cancelled.wait(after(60));
    assert_eq!(age(100), 2.0);
    drop(cancelled);
    assert_eq!(age(100), 1.0);
}

#[test]
fn one_old_request_counts_for_less_than_three() {
    let epoch = Instant::now();
    let state = Arc::new(EndpointState::new(epoch));
    state.publish(Score { patience_us: 10_000.0, ..Score::default() });
    let now = Ticks::between(epoch, epoch + Duration::from_secs(30));
    let mut requests = Vec::new();
    let mut ages = Vec::new();
    for _ in 0..4 {
        let mut request = state.begin();
        request.wait(epoch);
        requests.push(request);
        ages.push(state.age(now));
    }
    assert_eq!(ages, [4.0, 5.5, 6.4, 7.0]);
}

#[test]
fn a_clock_that_jumps_back_makes_no_age() {
    let start = Instant::now();
    let epoch = start + Duration::from_secs(60);
    let state = Arc::new(EndpointState::new(epoch));
    state.publish(Score { patience_us: 1.0, ..Score::default() });
    let mut request = state.begin();
    request.wait(start);
    assert_eq!(state.age(Ticks::between(epoch, start)), 1.0);
}

#[test]
fn failures_in_a_row_cost_ever_more_until_a_success() {
    let state = EndpointState::new(Instant::now());
    let penalties: Vec<u32> = (0..40)
        .map(|_| {
            state.observe(Outcome::Failure);
            state.penalty()
        })
        .collect();
    assert_eq!(penalties[..8], [2, 4, 8, 16, 32, 64, 128, 128]);
    assert_eq!(penalties[39], 128);
    state.observe(Outcome::Neutral);
    assert_eq!(state.penalty(), 128);
    state.observe(Outcome::Success);
    assert_eq!(state.penalty(), 0);
}

#[test]
fn being_overtaken_costs_from_the_second_time_on_without_an_answer_between() {
    let state = EndpointState::new(Instant::now());
    for _ in 0..3 {
        state.overtaken();
        assert_eq!(state.penalty(), 0, "once is chance");
        state.observe(Outcome::Success);
    }
    let penalties = [(); 4].map(|()| {
        state.overtaken();
        state.penalty()
    });
    assert_eq!(penalties, [0, 2, 4, 8]);
    state.observe(Outcome::Success);
    assert_eq!(state.penalty(), 0);
    state.overtaken();
    assert_eq!(state.penalty(), 0);
}

#[test]
fn a_penalty_fades_within_three_seconds() {
    let state = EndpointState::new(Instant::now());
    (0..100).for_each(|_| state.observe(Outcome::Failure));
    (0..30).for_each(|_| state.fade());
    assert_eq!(state.penalty(), 0);
    state.observe(Outcome::Failure);
    assert_eq!(state.penalty(), 128, "what failed last time is not trusted the sooner for the pause");
}

#[test]
fn two_endpoints_never_share_a_pair_of_cache_lines() {
    assert_eq!(size_of::<EndpointState>(), 128);
    assert_eq!(align_of::<EndpointState>(), 128);
}

#[test]
fn obstacles_are_kept_apart_and_decide_nothing_by_themselves() {
    let state = EndpointState::new(Instant::now());
    assert!(state.gives(Access::Open));
    assert!(state.obstruct(Obstacle::Ejected, true));
    assert!(!state.obstruct(Obstacle::Ejected, true), "no change");
    assert!(state.obstruct(Obstacle::Drained, true));
    assert!(state.obstruct(Obstacle::Ejected, false));
    assert_eq!(state.standing(), Standing { drained: true, ..Standing::default() });
    assert!(state.gives(Access::Open));
    state.allow(Access::Spare);
    assert!(state.gives(Access::Draining) && state.gives(Access::Spare) && !state.gives(Access::Open));
}

#[test]
fn a_published_score_is_what_workers_read() {
    let state = EndpointState::new(Instant::now());
    assert_eq!(state.factor(), 1.0);
    assert!(state.is_cold());
    assert_eq!(state.parts(), [1.0; 4]);
    state.publish(Score { factor: 2.5, samples: 3, tail: 2.5, fast: 0.5, ..Score::default() });
    assert_eq!((state.factor(), state.parts()), (2.5, [2.5, 1.0, 0.5, 1.0]));
    assert!(!state.is_cold());
}
