//! Clients that send or read slowly, and what is made of it: their own loss, never an endpoint's, nor another client's.

use std::io::Read;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Client, Gate, Message, OK, Origin, Proxy, Yaml, eventually};

/// An origin that answers as soon as it has a head, and then waits for the end of the connection.
fn hasty() -> Origin {
    Origin::start(|visit| while visit.request_head().is_some() && visit.send(OK) {})
}

fn figures(proxy: &Proxy, ready: impl Fn(&Value) -> bool) -> Value {
    proxy.endpoints_when("shop", |endpoints| ready(&endpoints[0]))[0].clone()
}

#[test]
fn the_rest_of_an_upload_that_was_answered_early_is_not_taken_for_a_head() {
    let origin = hasty();
    let proxy = Yaml::before(&[&origin]).limits("header_timeout: 300ms").start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc");
    assert_eq!(client.response().status(), 200);
    client.try_send("content-length: 1\r\ncontent-length: 1\r\n");
    // Nothing else is said, whatever ends the connection; a 408 would be taken for the answer to a next request.
    client.stream().set_read_timeout(Some(Duration::from_secs(2))).expect("read timeout");
    let mut rest = Vec::new();
    let _ = client.stream().read_to_end(&mut rest);
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

#[test]
fn an_answer_to_half_a_request_is_no_latency() {
    let origin = hasty();
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc");
    assert_eq!(client.response().status(), 200);
    drop(client);
    let figures = figures(&proxy, |endpoint| endpoint["requests"] == 1);
    assert_eq!((&figures["samples"], &figures["failures"]), (&0.into(), &0.into()));
}

#[test]
fn a_client_that_does_not_finish_its_request_in_time_is_no_failure_of_the_endpoint() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("timeouts: { request: 300ms }").start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc");
    let response = client.response();
    assert_eq!((response.status(), response.reason()), (408, "body_timeout"));
    let figures = figures(&proxy, |endpoint| endpoint["requests"] == 1);
    assert_eq!(figures["failures"], 0);
}

#[test]
fn a_response_that_streams_on_does_not_keep_its_first_sample_back() {
    let gate = Gate::default();
    let pass = gate.clone();
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab");
        pass.pass();
        visit.send("cd");
    });
    let proxy = Yaml::of("least_response", &[&origin]).start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let while_streaming = figures(&proxy, |endpoint| endpoint["samples"] == 1);
    assert_eq!((&while_streaming["in_flight"], &while_streaming["requests"]), (&1.into(), &0.into()));
    gate.open();
    assert_eq!(client.response().text(), "abcd");
}

#[test]
fn a_refused_upload_gets_its_answer_although_it_is_still_being_sent() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).routes("{ match: { path_prefix: /shop }, upstream: shop }").start();
    let mut client = Client::connect(proxy.web());
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n");
    let piece = vec![b'x'; 100_000];
    // More than the sockets hold. That the proxy stops reading is its right; a reset before the answer is not.
    let sent = (0..30).take_while(|_| client.try_send(&piece)).count();
    let response: Message = client.response();
    assert_eq!((response.status(), response.reason()), (404, "no_route"), "after {sent} pieces");
}

#[test]
fn an_http_1_0_client_sees_that_a_response_was_cut_by_a_stop() {
    let gate = Gate::default();
    let pass = gate.clone();
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n");
        pass.pass();
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.0\r\nhost: a\r\n\r\n");
    eventually("the first bytes", || {
        let bytes = client.read_some(4096);
        bytes.ends_with(b"ab").then_some(())
    });
    drop(proxy);
    let mut rest = Vec::new();
    let end = client.stream().read_to_end(&mut rest);
    assert!(end.is_err(), "a clean end after {rest:?}");
    gate.open();
}
