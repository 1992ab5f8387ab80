//! Faults that are injected on purpose.

use std::time::{Duration, Instant};

use crate::support::{OK, Origin, Proxy, Yaml};

fn with(origin: &Origin, fault: &str) -> Proxy {
    Yaml::before(&[origin]).route(&format!("fault: {{ {fault} }}")).start()
}

fn injected(proxy: &Proxy, kind: &str) -> u64 {
    proxy.metrics().count("tillgate_faults_injected_total", &[("route", "all"), ("kind", kind)])
}

#[test]
fn an_aborted_request_is_answered_as_configured_and_goes_nowhere() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "abort: { status: 503 }");
    let mut client = proxy.client();
    for request in
        ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok"]
    {
        let answer = client.send(request).response();
        assert_eq!((answer.status(), answer.reason()), (503, "fault_injected"));
        assert_eq!(answer.header("x-tillgate-upstream-sent"), Some("none"));
    }
    assert!(origin.requests().is_empty());
    assert_eq!((injected(&proxy, "abort"), injected(&proxy, "delay")), (2, 0));
    let metrics = proxy.metrics_when(|metrics| metrics.count("tillgate_own_answers_total", &[]) == 2);
    assert_eq!(metrics.count("tillgate_own_answers_total", &[("reason", "fault_injected")]), 2);
    assert_eq!(metrics.count("tillgate_endpoint_failures_total", &[]), 0, "no endpoint is blamed");
    assert_eq!(with(&origin, "abort: { status: 418 }").get("/").status(), 418);
}

#[test]
fn a_share_of_the_requests_is_aborted() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "abort: { status: 503, percent: 20 }, delay: { for: 1s, percent: 0 }");
    let mut client = proxy.client();
    let statuses: Vec<u16> = (0..1000).map(|_| client.get("/").status()).collect();
    let aborted = statuses.iter().filter(|status| **status == 503).count();
    // Six standard deviations.
    assert!((124..=276).contains(&aborted), "{aborted} of 1000");
    assert_eq!((injected(&proxy, "abort"), injected(&proxy, "delay")), (aborted as u64, 0));
    assert_eq!(origin.requests().len(), 1000 - aborted);
}

#[test]
fn a_delayed_request_is_answered_and_the_delay_is_no_latency_of_its_endpoint() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "delay: { for: 2s }, when: { header: X-Slow }");
    let mut client = proxy.client();
    // The second goes over a connection that is there already.
    assert_eq!(client.get("/").status(), 200);
    let start = Instant::now();
    assert_eq!(client.send("GET / HTTP/1.1\r\nhost: a\r\nx-slow: 1\r\n\r\n").response().status(), 200);
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert_eq!(injected(&proxy, "delay"), 1);
    let name = "tillgate_endpoint_latency_seconds";
    let metrics = proxy.metrics_when(|metrics| metrics.count(&format!("{name}_count"), &[]) == 2);
    assert!(metrics.sum(&format!("{name}_sum"), &[]) < 2.0);
    assert!(metrics.sum("tillgate_request_duration_seconds_sum", &[("route", "all")]) >= 2.0);
}

#[test]
fn only_requests_with_the_header_are_meant() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "abort: { status: 500 }, when: { header: X-Game-Day }");
    let mut client = proxy.client();
    assert_eq!(client.get("/").status(), 200);
    let answer = client.send("GET / HTTP/1.1\r\nhost: a\r\nx-game-day: yes\r\n\r\n").response();
    assert_eq!((answer.status(), answer.reason()), (500, "fault_injected"));
}

#[test]
fn a_delay_takes_no_longer_than_the_route_allows() {
    let origin = Origin::answering(OK);
    let keys = "timeouts: { request: 100ms }, fault: { delay: { for: 60s } }";
    let answer = Yaml::before(&[&origin]).route(keys).start().get("/");
    assert_eq!((answer.status(), answer.reason()), (504, "request_timeout"));
    assert!(origin.requests().is_empty());
}

#[test]
fn a_client_that_leaves_ends_its_delay() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "delay: { for: 60s }");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    proxy.metrics_when(|metrics| metrics.count("tillgate_faults_injected_total", &[("kind", "delay")]) == 1);
    drop(client);
    proxy.metrics_when(|metrics| metrics.count("tillgate_requests_total", &[("code", "closed")]) == 1);
    assert!(origin.requests().is_empty());
}

#[test]
fn what_was_injected_is_counted_over_reloads_and_ends_with_the_key() {
    let origin = Origin::answering(OK);
    let faulty =
        |status: u16| Yaml::before(&[&origin]).route(&format!("fault: {{ abort: {{ status: {status} }} }}"));
    let proxy = faulty(503).start();
    assert_eq!(proxy.get("/").status(), 503);
    let reloaded: serde_json::Value =
        serde_json::from_slice(&proxy.reload(&faulty(500).to_string()).body).expect("JSON");
    let warnings = reloaded["report"]["warnings"].to_string();
    assert!(warnings.contains("route `all` has faults injected on purpose"), "{warnings}");
    assert_eq!((proxy.get("/").status(), injected(&proxy, "abort")), (500, 2));
    assert_eq!(proxy.reload(&Yaml::before(&[&origin]).to_string()).status(), 200);
    assert_eq!(proxy.get("/").status(), 200);
}
