//! When one copy fails, the other goes on; when both do, what follows is what follows any failure.

use std::time::Duration;

use socket2::SockRef;

use super::*;
use crate::support::{Blackhole, DEADLINE};

fn reset(visit: &Visit) {
    SockRef::from(&visit.stream).set_linger(Some(Duration::ZERO)).expect("linger");
}

/// Resets what stalls when the gate opens.
fn resetting(name: &'static str, gate: &Gate) -> Origin {
    let gate = gate.clone();
    origin(name, move |visit| {
        gate.pass();
        reset(visit);
        false
    })
}

/// Answers what stalls with 503 when the gate opens.
fn unavailable(name: &'static str, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |visit| {
        while let Some(request) = visit.request() {
            let stalls = request.start_line().contains("?stall");
            if stalls {
                gate.pass();
            }
            let answer =
                if stalls { "HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno".into() } else { ok_with(name) };
            if !visit.send(answer) {
                return;
            }
        }
    })
}

fn open() -> Gate {
    let gate = Gate::default();
    gate.open();
    gate
}

#[test]
fn the_second_copy_goes_on_when_the_first_fails() {
    let (to_fail, to_answer) = (Gate::default(), Gate::default());
    let (broken, other) = (resetting("broken", &to_fail), held("other", &to_answer));
    let proxy = before(&[&broken, &other], HEDGE).start();
    let path = stalled_at(&proxy, &broken);
    let mut client = proxy.client();
    ask(&mut client, "GET", &path);
    wait_for_stalled(&other, 1);
    to_fail.open();
    proxy.endpoints_when("shop", |all| all[0]["in_flight"] == 0);
    to_answer.open();
    assert_eq!(client.response().text(), "other");
    let metrics = once_hedged(&proxy, 1, 0, 0);
    assert_eq!(of_endpoint(&metrics, "tillgate_endpoint_failures_total", &broken), 1);
    assert_eq!(of_endpoint(&metrics, "tillgate_endpoint_failures_total", &other), 0);
    assert_eq!(metrics.count("tillgate_retries_total", &[]), 0);
    assert_eq!(stalled(&other).len(), 1);
}

#[test]
fn a_second_copy_that_only_fails_quicker_takes_no_answer_away() {
    for quicker in [unavailable("broken", &open()), resetting("broken", &open())] {
        let gate = Gate::default();
        let slow = held("slow", &gate);
        let proxy = before(&[&slow, &quicker], HEDGE).start();
        let path = stalled_at(&proxy, &slow);
        let mut client = proxy.client();
        ask(&mut client, "GET", &path);
        let metrics = once_hedged(&proxy, 0, 0, 1);
        let requests = of_endpoint(&metrics, "tillgate_endpoint_requests_total", &quicker);
        assert_eq!(requests, quicker.requests().len() as u64);
        assert_eq!(of_endpoint(&metrics, "tillgate_endpoint_failures_total", &quicker), 1);
        gate.open();
        assert_eq!(client.response().text(), "slow");
        assert_eq!(stalled(&quicker).len(), 1);
    }
}

#[test]
fn when_both_fail_the_client_gets_the_last_failure_and_the_worst_of_what_is_known() {
    let gate = Gate::default();
    let (first, second) = (resetting("first", &gate), unavailable("second", &open()));
    let proxy =
        before(&[&first, &second], "hedge: { after: 10ms, max_percent: 100 }, retry: { on: [503] }").start();
    let path = stalled_at(&proxy, &first);
    let mut client = proxy.client();
    ask(&mut client, "GET", &path);
    once_hedged(&proxy, 0, 0, 1);
    gate.open();
    let response = client.response();
    assert_eq!((response.status(), response.reason()), (502, "reset"));
    assert_eq!(response.header("x-tillgate-upstream-sent"), Some("yes"), "the second one has answered");
    assert_eq!((stalled(&first).len(), stalled(&second).len()), (1, 1));
    let metrics = proxy.metrics_when(|metrics| {
        [&first, &second]
            .iter()
            .all(|origin| of_endpoint(metrics, "tillgate_endpoint_failures_total", origin) == 1)
    });
    assert_eq!(metrics.count("tillgate_retries_total", &[]), 0);
}

#[test]
fn when_both_fail_another_endpoint_is_asked_and_the_second_copy_counts_as_a_time() {
    let asks = |attempts: u8| {
        let gate = Gate::default();
        let origins =
            [resetting("a", &gate), resetting("b", &gate), resetting("c", &gate), resetting("d", &gate)];
        let route = format!("{HEDGE}, retry: {{ attempts: {attempts} }}");
        let proxy = before(&origins.each_ref(), &route).start();
        let path = stalled_at(&proxy, &origins[0]);
        let mut client = proxy.client();
        ask(&mut client, "GET", &path);
        eventually("two copies", || {
            (origins.iter().map(|origin| stalled(origin).len()).sum::<usize>() == 2).then_some(())
        });
        gate.open();
        let response = client.response();
        assert_eq!((response.status(), response.reason()), (502, "reset"));
        once_hedged(&proxy, 0, 0, 1);
        origins.iter().map(|origin| stalled(origin).len()).sum::<usize>()
    };
    assert_eq!([asks(1), asks(2), asks(3)], [2, 3, 4]);
}

#[test]
fn the_deadline_of_a_try_is_each_copy_s_own() {
    let gate = Gate::default();
    let (slow, other) = (stalling("slow"), held("other", &gate));
    let route = "hedge: { after: 3s, max_percent: 100 }, retry: off, timeouts: { per_try: 7s }";
    let proxy = before(&[&slow, &other], route).start();
    let path = stalled_at(&proxy, &slow);
    let mut client = proxy.client();
    ask(&mut client, "GET", &path);
    wait_for_stalled(&other, 1);
    // The first copy has had its time; the second, which began later, has not.
    slow.wait_for_ends(1);
    gate.open();
    assert_eq!(client.response().text(), "other");
    let metrics = once_hedged(&proxy, 1, 0, 0);
    assert_eq!(of_endpoint(&metrics, "tillgate_endpoint_failures_total", &slow), 1);
}

#[test]
fn the_deadline_of_the_request_ends_both_copies() {
    let (slow, other) = (stalling("slow"), stalling("other"));
    let route = format!("{HEDGE}, timeouts: {{ request: 3s }}");
    let proxy = before(&[&slow, &other], &route).start();
    let path = stalled_at(&proxy, &slow);
    let response = proxy.get(&path);
    assert_eq!((response.status(), response.reason()), (504, "request_timeout"));
    assert_eq!(response.header("x-tillgate-upstream-sent"), Some("maybe"));
    slow.wait_for_ends(1);
    other.wait_for_ends(1);
    once_hedged(&proxy, 0, 0, 1);
}

#[test]
fn a_read_does_not_wait_for_a_connection_that_is_not_made() {
    let (nobody, other) = (Blackhole::bind(), quick("other"));
    let shop = format!(
        "strategy: round_robin, connection: {{ connect_timeout: {}s }}, endpoints: [\"{}\", \"{}\"]",
        2 * DEADLINE.as_secs(),
        nobody.address(),
        other.address()
    );
    let proxy = Yaml::new(&shop).route(HEDGE).workers(1).start();
    let mut client = proxy.client();
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "other");
    }
    let metrics = proxy.metrics_when(|metrics| hedges(metrics, "won") > 0);
    assert_eq!(["lost", "failed"].map(|result| hedges(&metrics, result)), [0, 0]);
}

#[test]
fn neither_endpoint_is_blamed_where_the_time_was_used_up_before_they_were_asked() {
    let (one, other) = (stalling("one"), stalling("other"));
    let route = format!("{HEDGE}, timeouts: {{ request: 800ms }}, fault: {{ delay: {{ for: 600ms }} }}");
    let proxy = before(&[&one, &other], &route).start();
    let answer = proxy.get("/?stall");
    assert_eq!((answer.status(), answer.reason()), (504, "request_timeout"));
    assert_eq!((stalled(&one).len(), stalled(&other).len()), (1, 1));
    let endpoints = proxy.endpoints_when("shop", |all| all.iter().all(|one| one["requests"] == 1));
    assert!(endpoints.iter().all(|one| one["failures"] == 0 && one["state"] == "up"), "{endpoints:?}");
}
