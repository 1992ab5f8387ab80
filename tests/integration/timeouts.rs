//! Every wait has an end, a reason of its own, and the right one to blame.

use std::thread;
use std::time::Duration;

use crate::support::{Blackhole, Client, Message, OK, Origin, Proxy, Yaml, eventually};

const POST: &str = "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1000\r\n\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n";

/// An origin that takes requests and never answers.
fn silent() -> Origin {
    Origin::start(|visit| {
        visit.request();
        visit.closes();
    })
}

fn allowing(origin: &Origin, timeouts: &str) -> Proxy {
    Yaml::before(&[origin]).route(&format!("retry: off, timeouts: {{ {timeouts} }}")).start()
}

fn assert_told(response: &Message, status: u16, reason: &str, sent: &str) {
    assert_eq!((response.status(), response.reason()), (status, reason), "{}", response.head);
    assert_eq!(response.header("x-tillgate-upstream-sent"), Some(sent), "{}", response.head);
}

/// Once the request is counted: how many failures the endpoint has.
fn failures(proxy: &Proxy) -> u64 {
    let endpoints = proxy.endpoints_when("shop", |endpoints| endpoints[0]["requests"] == 1);
    endpoints[0]["failures"].as_u64().expect("a number")
}

/// Sends `piece` again and again until an answer comes.
fn trickle(client: &mut Client, piece: &str) -> Message {
    let tick = Duration::from_millis(20);
    eventually("an answer while bytes still trickle in", || {
        client.try_send(piece);
        client.stream().set_read_timeout(Some(tick)).expect("timeout");
        (client.stream().peek(&mut [0]).ok()? == 1).then_some(())
    });
    client.stream().set_read_timeout(Some(crate::support::DEADLINE)).expect("timeout");
    client.response()
}

#[test]
fn a_body_that_stops_coming_is_408_body_timeout_and_nobody_s_fault() {
    let origin = Origin::answering(OK);
    let proxy = allowing(&origin, "idle: 1h, body_idle: 300ms");
    let mut client = proxy.client();
    client.send(POST).send("hello");
    let response = client.response();
    assert_told(&response, 408, "body_timeout", "maybe");
    assert_eq!(response.header("connection"), Some("close"));
    client.expect_closed();
    assert_eq!(failures(&proxy), 0);
    origin.wait_for_ends(1);
    assert!(origin.request().truncated);
}

#[test]
fn a_body_that_never_begins_is_408_body_timeout_too() {
    let origin = Origin::answering(OK);
    let proxy = allowing(&origin, "idle: 1h, body_idle: 300ms");
    let mut client = proxy.client();
    assert_told(&client.send(CHUNKED).response(), 408, "body_timeout", "maybe");
    client.expect_closed();
    assert_eq!(failures(&proxy), 0);
}

#[test]
fn an_endpoint_that_thinks_for_longer_than_body_idle_has_the_whole_body_and_is_waited_for() {
    let origin = Origin::start(|visit| {
        visit.request();
        thread::sleep(Duration::from_millis(700));
        visit.send(OK);
    });
    let proxy = allowing(&origin, "body_idle: 100ms");
    assert_eq!(proxy.client().post("/", "hello").status(), 200);
}

#[test]
fn a_body_that_trickles_is_408_body_too_slow_and_nobody_s_fault() {
    let origin = Origin::answering(OK);
    let proxy = allowing(&origin, "min_body_rate: 10KiB, body_grace: 300ms");
    for (head, piece) in [(POST, "x"), (CHUNKED, "1\r\nx\r\n")] {
        let mut client = proxy.client();
        client.send(head);
        let response = trickle(&mut client, piece);
        assert_told(&response, 408, "body_too_slow", "maybe");
        assert_eq!(response.header("connection"), Some("close"));
    }
    origin.wait_for_ends(2);
    assert!(origin.requests().iter().all(|request| request.truncated));
    let endpoints = proxy.endpoints_when("shop", |endpoints| endpoints[0]["requests"] == 2);
    assert_eq!((&endpoints[0]["failures"], &endpoints[0]["in_flight"]), (&0.into(), &0.into()));
    proxy.metrics_when(|metrics| {
        metrics.count("tillgate_own_answers_total", &[("reason", "body_too_slow")]) == 2
    });
}

#[test]
fn a_body_of_which_nothing_comes_is_408_body_too_slow_when_the_grace_is_over() {
    let origin = Origin::answering(OK);
    let proxy = allowing(&origin, "idle: 1h, min_body_rate: 500, body_grace: 300ms");
    for head in [POST, CHUNKED] {
        let mut client = proxy.client();
        assert_told(&client.send(head).response(), 408, "body_too_slow", "maybe");
        client.expect_closed();
    }
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 0);
    assert_eq!(failures(&proxy), 0);
}

#[test]
fn a_body_that_stops_is_waited_for_as_long_as_what_has_come_keeps_the_rate() {
    let origin = Origin::answering(OK);
    let proxy = allowing(&origin, "idle: 1h, min_body_rate: 10KiB, body_grace: 200ms");
    let mut client = proxy.client();
    // Two seconds' worth, and a pause that is shorter.
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20481\r\n\r\n").send([b'x'; 20480]);
    thread::sleep(Duration::from_millis(600));
    assert_eq!(client.send("x").response().status(), 200);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20481\r\n\r\n").send([b'x'; 2048]);
    assert_told(&client.response(), 408, "body_too_slow", "maybe");
}

#[test]
fn a_trickle_may_go_on_where_the_route_says_so() {
    let origin = Origin::answering(OK);
    let proxy = allowing(&origin, "min_body_rate: off, idle: 10s");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30\r\n\r\n");
    for _ in 0..30 {
        client.send("x");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.response().status(), 200);
}

#[test]
fn a_small_body_has_the_grace_to_come_whatever_the_rate() {
    let origin = Origin::answering(OK);
    let proxy = allowing(&origin, "min_body_rate: 1MiB, body_grace: 20s");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n");
    origin_has_head(&proxy);
    assert_eq!(client.send("hello").response().status(), 200);
}

fn origin_has_head(proxy: &Proxy) {
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 1);
}

#[test]
fn an_endpoint_that_reads_slowly_makes_no_client_slow() {
    let origin = Origin::start(|visit| {
        visit.request_head();
        // The sockets between are full long before, and the client is not waited for.
        thread::sleep(Duration::from_millis(600));
        let body =
            std::io::copy(&mut std::io::Read::take(&mut visit.reader, 20_000_000), &mut std::io::sink());
        assert_eq!(body.expect("the whole body"), 20_000_000);
        visit.send(OK);
    });
    let proxy = allowing(&origin, "min_body_rate: 64MiB, body_grace: 300ms");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20000000\r\n\r\n");
    client.send(vec![b'x'; 20_000_000]);
    assert_eq!(client.response().status(), 200);
}

#[test]
fn an_endpoint_that_answers_nothing_within_per_try_is_504_per_try_timeout() {
    let origin = silent();
    let proxy = allowing(&origin, "per_try: 200ms");
    assert_told(&proxy.client().post("/", "hello"), 504, "per_try_timeout", "maybe");
    assert_eq!(failures(&proxy), 1);
}

#[test]
fn an_endpoint_that_is_idle_is_504_response_timeout() {
    let origin = silent();
    let proxy = allowing(&origin, "idle: 200ms");
    assert_told(&proxy.client().post("/", "hello"), 504, "response_timeout", "maybe");
    assert_eq!(failures(&proxy), 1);
}

#[test]
fn an_endpoint_that_uses_up_the_request_s_time_is_504_request_timeout() {
    let origin = silent();
    let proxy = allowing(&origin, "request: 200ms");
    assert_told(&proxy.client().post("/", "hello"), 504, "request_timeout", "maybe");
    assert_eq!(failures(&proxy), 1);
}

#[test]
fn a_connection_that_is_not_taken_is_502_connect_timeout_whichever_wait_ends_first() {
    for timeouts in ["idle: 200ms", "per_try: 200ms"] {
        let nobody = Blackhole::bind();
        let yaml = Yaml::before_address(nobody.address()).connection("connect_timeout: 1h");
        let proxy = yaml.route(&format!("retry: off, timeouts: {{ {timeouts} }}")).start();
        assert_told(&proxy.client().post("/", "hello"), 502, "connect_timeout", "none");
    }
}

#[test]
fn a_client_that_used_up_the_request_s_time_leaves_the_endpoint_blameless() {
    let origin = silent();
    let proxy = allowing(&origin, "request: 3s");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhell");
    thread::sleep(Duration::from_secs(2));
    // The endpoint has a third of the time.
    assert_told(&client.send("o").response(), 504, "request_timeout", "maybe");
    assert_eq!(failures(&proxy), 0);
}

#[test]
fn a_client_that_reads_until_the_request_s_time_is_over_leaves_the_endpoint_blameless() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        while visit.send([0; 1 << 16]) {}
    });
    let proxy = allowing(&origin, "request: 500ms");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    origin.wait_for_ends(1);
    assert_eq!(failures(&proxy), 0);
}

#[test]
fn an_endpoint_that_answered_early_is_not_blamed_for_a_body_that_came_too_slowly() {
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n");
        while std::io::Read::read(&mut visit.reader, &mut [0; 64]).is_ok_and(|count| count > 0) {}
    });
    let proxy = allowing(&origin, "min_body_rate: 10KiB, body_grace: 300ms");
    let mut client = proxy.client();
    client.send(CHUNKED);
    eventually("the end of the connection", || (!client.try_send("1\r\nx\r\n")).then_some(()));
    origin.wait_for_ends(1);
    assert_eq!(failures(&proxy), 0);
}
