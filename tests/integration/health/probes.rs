//! What a check asks, and what it takes for an answer.

use std::io::Read;
use std::net::TcpListener;

use super::{Patient, QUICK, checked, patients, wait_for_checks, wait_for_states};
use crate::support::{Blackhole, Gate, OK, Origin, Proxy, Refuser, Yaml, eventually, ok_with};

/// What is wrong with the only endpoint of `shop`, once it is unhealthy.
fn error_of(proxy: &Proxy) -> String {
    let endpoints = wait_for_states(proxy, "h");
    endpoints[0]["health"]["last_error"].as_str().expect("an error").to_owned()
}

/// `shop` has an endpoint at this address.
fn at(address: impl std::fmt::Display, keys: &str) -> Yaml {
    Yaml::new(&format!("endpoints: [\"{address}\"], health_check: {{ {keys}, {QUICK} }}"))
}

#[test]
fn a_check_without_more_asks_for_the_root_on_a_connection_of_its_own() {
    let origin = Origin::answering(OK);
    let proxy = checked("interval: 100ms", &[&origin]).start();
    wait_for_checks(&proxy, 3);
    let version = env!("CARGO_PKG_VERSION");
    let asked = format!(
        "GET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nuser-agent: tillgate/{version} (health check)",
        origin.address()
    );
    assert_eq!(origin.requests()[0].head.trim_end(), asked);
    eventually("as many connections as checks", || {
        (origin.connections() >= origin.requests().len()).then_some(())
    });
    origin.wait_for_ends(3);
}

#[test]
fn method_path_host_and_headers_are_those_of_the_config() {
    let origin = Origin::answering(OK);
    let keys = "method: OPTIONS, path: \"/healthz?deep=1\", host: \"Shop.example:8443\", \
                headers: { X-Probe: \"yes\", User-Agent: me }, interval: 100ms";
    let _proxy = checked(keys, &[&origin]).start();
    origin.wait_for(1);
    let asked = "OPTIONS /healthz?deep=1 HTTP/1.1\r\nhost: Shop.example:8443\r\nconnection: close\r\n\
                 user-agent: me\r\nx-probe: yes";
    assert_eq!(origin.requests()[0].head.trim_end(), asked);
}

#[test]
fn a_check_may_go_to_another_port() {
    let (requests, checks) = (Origin::answering(OK), Origin::answering(OK));
    let port = checks.address().port();
    let proxy = at(requests.address(), &format!("port: {port}")).start();
    wait_for_checks(&proxy, 2);
    proxy.get("/");
    assert_eq!(requests.requests().len(), 1);
    assert!(checks.requests().len() >= 2);
}

#[test]
fn only_a_status_that_is_expected_passes() {
    let origin = Patient::named("a");
    origin.answers("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n");
    let keys = |expect: &str| format!("path: /healthz, expect: {expect}");
    let proxy = at(origin.origin.address(), &keys("\"200,204\"")).start();
    assert_eq!(error_of(&proxy), "status 302, expected 200,204");
    origin.answers("HTTP/1.1 204 No Content\r\n\r\n");
    wait_for_states(&proxy, "u");
}

#[test]
fn the_text_has_to_be_among_the_first_bytes_of_the_body() {
    let origin = Patient::named("a");
    let yaml = at(origin.origin.address(), "path: /healthz, body: \"status: up\"");
    origin.answers(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{status\r\n5\r\n: up}\r\n0\r\n\r\n",
    );
    let proxy = yaml.start();
    wait_for_checks(&proxy, 2);
    wait_for_states(&proxy, "u");
    origin.answers(ok_with("status: down"));
    assert_eq!(error_of(&proxy), "body lacks \"status: up\"");
    let long = format!("{}status: up", "x".repeat(64 * 1024 - 10));
    origin.answers(ok_with(&long));
    wait_for_states(&proxy, "u");
    origin.answers(ok_with(&format!("x{long}")));
    assert_eq!(error_of(&proxy), "body lacks \"status: up\"");
    origin.answers("HTTP/1.1 200 OK\r\n\r\nno length, status: up");
    wait_for_checks(&proxy, 12);
}

#[test]
fn an_endpoint_that_accepts_and_never_answers_times_out() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = at(origin.address(), "timeout: 50ms").start();
    assert_eq!(error_of(&proxy), "timed out after 50ms");
    gate.open();
    wait_for_states(&proxy, "u");
}

#[test]
fn a_body_that_never_ends_times_out_when_it_is_wanted() {
    let origin = Patient::named("a");
    origin.answers("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nstat");
    let proxy = at(origin.origin.address(), "path: /healthz, body: status, timeout: 50ms").start();
    assert_eq!(error_of(&proxy), "timed out after 50ms");
    let proxy = at(origin.origin.address(), "path: /healthz, timeout: 50ms").start();
    wait_for_checks(&proxy, 4);
    wait_for_states(&proxy, "u");
}

#[test]
fn nobody_there_and_nobody_who_speaks_http_are_told_apart() {
    let refuser = Refuser::bind();
    assert_eq!(error_of(&at(refuser.address(), "path: /").start()), "connection refused");
    let hole = Blackhole::bind();
    assert_eq!(error_of(&at(hole.address(), "timeout: 50ms").start()), "timed out after 50ms");
    let closes = Origin::start(|visit| drop(visit.request()));
    assert_eq!(error_of(&at(closes.address(), "path: /").start()), "closed without an answer");
    let other = Origin::answering("220 mail.example ESMTP\r\n");
    let error = error_of(&at(other.address(), "path: /").start());
    assert!(error.starts_with("no proper answer: "), "{error}");
    let endless = Origin::answering(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20)));
    let error = error_of(&at(endless.address(), "path: /").start());
    assert!(error.starts_with("no proper answer: "), "{error}");
}

#[test]
fn a_check_by_tcp_takes_a_connection_for_an_answer() {
    let silent = Origin::start(|visit| drop(visit.reader.read_to_end(&mut Vec::new())));
    let proxy = at(silent.address(), "type: tcp").start();
    wait_for_checks(&proxy, 3);
    wait_for_states(&proxy, "u");
    silent.wait_for_ends(3);
    assert!(silent.requests().is_empty(), "not a byte is sent");
    let refuser = Refuser::bind();
    let proxy = at(refuser.address(), "type: tcp").start();
    assert_eq!(error_of(&proxy), "connection refused");
    let address = refuser.address();
    drop(refuser);
    let _listener = TcpListener::bind(address).expect("the port is free again");
    wait_for_states(&proxy, "u");
}

#[test]
fn checks_and_requests_do_not_share_connections() {
    let origin = Patient::named("a");
    let proxy = patients(&[&origin]).start();
    let mut client = proxy.client();
    (0..5).for_each(|_| drop(client.get("/")));
    wait_for_checks(&proxy, 3);
    eventually("connections of checks to be counted", || {
        (origin.origin.connections() > origin.checks().len()).then_some(())
    });
    assert!(origin.checks().iter().all(|check| check.header("connection") == Some("close")));
}
