//! What `least_response` makes of real endpoints, as `/api/v1/upstreams` shows it.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::has;
use crate::support::{Gate, OK, Origin, Proxy, Yaml, eventually};

#[test]
fn the_cost_is_shown_with_its_parts_from_the_start() {
    let parts = [
        "total",
        "factor",
        "latency",
        "mean",
        "fast",
        "age",
        "error",
        "ramp",
        "weight",
        "in_flight",
        "samples",
        "penalty",
        "cold",
    ];
    let gate = Gate::default();
    let (held, idle, drained) = (Origin::behind(&gate), Origin::behind(&gate), Origin::answering(OK));
    let endpoints = format!(
        "[ {{ address: \"{}\", weight: 2 }}, \"{}\", {{ address: \"{}\", weight: 0 }} ]",
        held.address(),
        idle.address(),
        drained.address()
    );
    let proxy = Yaml::new(&format!("strategy: least_response, endpoints: {endpoints}")).start();
    let cold = proxy.endpoints_when("shop", |_| true);
    cold.iter().for_each(|one| has(&one["cost"], &parts));
    assert_eq!((&cold[0]["cost"]["total"], &cold[1]["cost"]["total"]), (&json!(0.75), &json!(1.5)));
    assert_eq!((&cold[0]["cost"]["cold"], &cold[0]["cost"]["latency"]), (&json!(true), &json!(1.0)));
    assert_eq!((&cold[2]["cost"]["total"], &cold[2]["cost"]["weight"]), (&Value::Null, &json!(0)));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    // Both are idle, so one is drawn by weight. Cold and on trial, it is the last choice while it has a request.
    let on_trial = |one: &Value| one["cost"]["total"].as_f64() > Some(50.0);
    let busy = proxy.endpoints_when("shop", |all| all.iter().any(on_trial));
    let at = busy.iter().position(on_trial).expect("one has it");
    gate.open();
    assert_eq!(client.response().status(), 200);
    // Warm, and alone in being so: what is usual here is its own latency.
    let warm =
        proxy.endpoints_when("shop", |all| all[at]["cost"]["samples"] == 1 && all[at]["in_flight"] == 0);
    assert_eq!(
        (&warm[at]["cost"]["cold"], &warm[at]["cost"]["total"]),
        (&json!(false), &cold[at]["cost"]["total"]),
        "{warm:?}"
    );
}

#[test]
fn the_total_cost_is_what_requests_go_by() {
    let (slow, quick) = (sleeping(100), sleeping(1));
    let proxy = Yaml::of("least_response, least_response: { min_samples: 1 }", &[&slow, &quick]).start();
    let mut client = proxy.client();
    let all = eventually("a difference", || {
        assert_eq!(client.get("/").status(), 200);
        let all = proxy.endpoints_when("shop", |all| all.iter().all(|one| one["in_flight"] == 0));
        let cost = |index: usize| all[index]["cost"]["total"].as_f64();
        // A busy machine makes the quick one slow as well, for a while.
        let differ = cost(0) > Some(2.0) && cost(1) == Some(1.0) && all[1]["cost"]["samples"] != 0;
        differ.then_some(all)
    });
    let number = |index: usize, key: &str| all[index]["cost"][key].as_f64().expect("a number");
    let slowness = number(0, "latency").powi(2).max(number(0, "mean")).max(number(0, "fast"));
    assert!(slowness > 2.0, "{all:?}");
    let before = slow.requests().len();
    (0..20).for_each(|_| drop(client.get("/")));
    // A few may go there to see whether it still is slow.
    let more = slow.requests().len() - before;
    assert!(more <= 3, "{more} of 20 went to the dearer one while the other was idle");
}

/// Answers each request after that many milliseconds.
fn sleeping(millis: u64) -> Origin {
    Origin::start(move |visit| {
        while visit.request().is_some() {
            sleep(Duration::from_millis(millis));
            visit.send(OK);
        }
    })
}

/// Answers `/heavy...` after 120 ms and everything else after 10.
fn with_a_heavy_page() -> Origin {
    Origin::start(|visit| {
        while let Some(request) = visit.request() {
            let heavy = request.start_line().contains(" /heavy");
            sleep(Duration::from_millis(if heavy { 120 } else { 10 }));
            visit.send(OK);
        }
    })
}

/// The mean of the endpoint that gets every heavy page and half of the others, over that of the other one.
fn mean_of_the_one_with_the_heavy_page(normalize: &str) -> f64 {
    let origins = [with_a_heavy_page(), with_a_heavy_page()];
    let strategy = format!("round_robin, least_response: {{ normalize: {normalize} }}");
    let routes = "{ name: all, match: { path_prefix: / }, upstream: shop }, \
         { name: heavy, match: { path_prefix: /heavy }, upstream: shop, strategy: consistent_hash, hash: { on: path } }";
    let proxy = Yaml::of(&strategy, &[&origins[0], &origins[1]]).routes(routes).workers(1).start();
    let mut client = proxy.client();
    for _ in 0..12 {
        ["/heavy", "/a", "/b"].iter().for_each(|path| assert_eq!(client.get(path).status(), 200));
    }
    let all = proxy.endpoints_when("shop", |all| {
        all.iter().map(|one| one["samples"].as_u64().unwrap_or(0)).sum::<u64>() == 36
    });
    let heavy = all.iter().max_by_key(|one| one["samples"].as_u64()).expect("two endpoints");
    heavy["cost"]["mean"].as_f64().expect("a number")
}

#[test]
fn an_endpoint_that_gets_the_heavy_route_costs_no_more_for_it() {
    shows_in_one_of_three("route", |mean| mean < 1.5);
}

#[test]
fn with_normalize_off_the_heavy_route_counts_as_it_is() {
    shows_in_one_of_three("off", |mean| mean > 2.5);
}

/// What other processes do to a few pages hides it once, and not three times.
fn shows_in_one_of_three(normalize: &str, shows: impl Fn(f64) -> bool) {
    let mut means = Vec::new();
    while !means.last().is_some_and(|mean| shows(*mean)) {
        assert!(means.len() < 3, "{means:?}");
        means.push(mean_of_the_one_with_the_heavy_page(normalize));
    }
}

#[test]
fn a_request_that_is_not_answered_shows_in_the_cost_before_it_ends() {
    age_shows_of("GET /hold HTTP/1.1\r\nhost: x\r\n\r\n");
}

#[test]
fn so_does_one_with_a_body_that_came_with_its_head() {
    age_shows_of("POST /hold HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi");
}

fn age_shows_of(request: &str) {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |visit| {
        while let Some(request) = visit.request() {
            if request.start_line().contains(" /hold") {
                held.pass();
            }
            visit.send(OK);
        }
    });
    let proxy = Yaml::of("least_response", &[&origin]).start();
    let mut client = proxy.client();
    (0..5).for_each(|_| assert_eq!(client.get("/").status(), 200));
    let age = |all: &[Value]| all[0]["cost"]["age"].as_f64();
    proxy.endpoints_when("shop", |all| all[0]["samples"] == 5 && age(all) == Some(1.0));
    client.send(request);
    proxy.endpoints_when("shop", |all| age(all) > Some(2.0));
    gate.open();
    assert_eq!(client.response().status(), 200);
    proxy.endpoints_when("shop", |all| age(all) == Some(1.0));
}

/// The share of 200 requests that the second of two endpoints gets.
fn share_of(second: &Origin, proxy: &Proxy) -> f64 {
    let (mut client, before) = (proxy.client(), second.requests().len());
    (0..200).for_each(|_| assert_eq!(client.get("/").status(), 200));
    (second.requests().len() - before) as f64 / 200.0
}

#[test]
fn an_endpoint_that_joins_comes_to_its_share_over_its_slow_start() {
    let (old, new) = (Origin::answering(OK), Origin::answering(OK));
    let yaml = |origins: &[&Origin]| Yaml::of("round_robin, slow_start: 3s", origins).to_string();
    let proxy = Proxy::start(&yaml(&[&old]));
    proxy.get("/");
    let ramp = |all: &[Value], index: usize| all[index]["cost"]["ramp"].as_f64();
    proxy.endpoints_when("shop", |all| ramp(all, 0).is_some_and(|ramp| ramp < 1.0));
    proxy.endpoints_when("shop", |all| ramp(all, 0) == Some(1.0));
    assert_eq!(proxy.reload(&yaml(&[&old, &new])).status(), 200);
    // It is on trial until its first success is known.
    eventually("the slow start", || {
        proxy.get("/");
        let all = proxy.endpoints_when("shop", |all| all.len() == 2);
        ramp(&all, 1).is_some_and(|ramp| ramp < 1.0).then_some(())
    });
    let early = share_of(&new, &proxy);
    // It grows while they are sent, and a slow machine takes long for them: at the end it is at most this.
    let grown = proxy.endpoints_when("shop", |_| true);
    let grown = ramp(&grown, 1).expect("a number");
    assert!(early < grown / (1.0 + grown) + 0.1, "{early} at {grown}");
    proxy.endpoints_when("shop", |all| ramp(all, 1) == Some(1.0));
    let late = share_of(&new, &proxy);
    assert!((0.45..0.55).contains(&late), "{late}");
}
