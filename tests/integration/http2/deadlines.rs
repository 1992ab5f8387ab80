//! How long a client may take for what it does; nobody wins time by frames that ask for nothing.

use std::time::{Duration, Instant};

use crate::support::frames::{
    CANCEL, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, HEADERS, NO_ERROR, PING, PREFACE,
    RST_STREAM, block, frame, get, post, window,
};
use crate::support::{DEADLINE, Gate, OK, Origin, Proxy, Yaml, eventually};

fn with_limits(limits: &str) -> (Origin, Proxy) {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).limits(limits).workers(1).start();
    (origin, proxy)
}

#[test]
fn a_connection_without_requests_is_told_that_it_ends() {
    let (_origin, proxy) = with_limits("idle_timeout: 300ms");
    let mut client = Frames::connect(proxy.web());
    client.send(get(1, "/"));
    assert_eq!(client.status(1), 200);
    let goodbye = client.goodbye().expect("a GOAWAY");
    assert_eq!((goodbye.code(), goodbye.last_stream()), (NO_ERROR, 1));
    let cause = [("cause", "header_timeout")];
    assert_eq!(proxy.metrics().count("tillgate_http2_connections_ended_total", &cause), 0);
}

#[test]
fn pings_do_not_keep_a_connection_open() {
    let (_origin, proxy) = with_limits("idle_timeout: 300ms");
    let mut client = Frames::connect(proxy.web());
    let start = Instant::now();
    // Each answer is waited for, so that there are fewer of them than a flood has.
    while client.try_send(frame(PING, 0, 0, [0; 8])) && client.next_of(PING).is_some() {
        std::thread::sleep(Duration::from_millis(50));
        assert!(start.elapsed() < DEADLINE, "still open");
    }
}

#[test]
fn a_client_that_says_nothing_at_all_is_closed() {
    let (_origin, proxy) = with_limits("idle_timeout: 300ms");
    assert_eq!(Frames::silent(proxy.web()).next(), None);
    let mut client = Frames::silent(proxy.web());
    client.send(PREFACE);
    assert!(client.goodbye().is_some_and(|goodbye| goodbye.code() == NO_ERROR));
}

#[test]
fn half_a_preface_is_not_waited_for_longer_than_a_head() {
    let (_origin, proxy) = with_limits("header_timeout: 300ms, idle_timeout: 1h");
    let mut client = Frames::silent(proxy.web());
    client.send(&PREFACE[..10]);
    while client.next().is_some() {}
}

#[test]
fn a_header_block_that_does_not_end_in_time_ends_the_connection() {
    let (origin, proxy) = with_limits("header_timeout: 300ms, idle_timeout: 1h");
    let block = block("GET", "/", &[]);
    let whole = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block);
    let unfinished =
        [frame(HEADERS, END_STREAM, 1, &block), whole[..whole.len() - 1].to_vec(), whole[..4].to_vec()];
    for bytes in unfinished {
        let mut client = Frames::connect(proxy.web());
        client.send(bytes);
        let goodbye = client.goodbye().expect("a GOAWAY");
        assert_eq!(goodbye.code(), ENHANCE_YOUR_CALM);
    }
    let labels = [("listener", "web"), ("cause", "header_timeout")];
    proxy.metrics_when(|metrics| metrics.count("tillgate_http2_connections_ended_total", &labels) == 3);
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_header_block_in_time_counts_for_nothing_afterwards() {
    let gate = Gate::default();
    let slow = Origin::behind(&gate);
    let proxy = Yaml::before(&[&slow]).limits("header_timeout: 300ms, idle_timeout: 1h").workers(1).start();
    let mut client = Frames::connect(proxy.web());
    let whole = get(1, "/");
    client.send(&whole[..12]).send(&whole[12..]);
    slow.wait_for(1);
    // Another one measures the time.
    let mut other = Frames::connect(proxy.web());
    other.send(&get(1, "/")[..12]);
    assert!(other.goodbye().is_some());
    gate.open();
    assert_eq!(client.status(1), 200);
}

/// An origin whose answers never end, and one window for none of them.
fn endless() -> Origin {
    Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        while visit.send([0; 1 << 16]) {}
    })
}

const INITIAL_WINDOW: u16 = 4;

#[test]
fn a_client_that_opens_no_window_has_its_stream_reset_and_its_endpoint_freed() {
    let origin = endless();
    let proxy = Yaml::before(&[&origin]).route("timeouts: { idle: 300ms }").workers(1).start();
    let mut client = Frames::with(proxy.web(), &[(INITIAL_WINDOW, 0)]);
    client.send(get(1, "/"));
    assert_eq!(client.next_on(1).expect("a head").kind, HEADERS);
    let reset = client.next_on(1).expect("a reset");
    assert_eq!((reset.kind, reset.code()), (RST_STREAM, CANCEL));
    origin.wait_for_ends(1);
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 0);
    client.send(get(3, "/"));
    assert_eq!(client.next_on(3).expect("a head").kind, HEADERS, "the connection goes on");
}

#[test]
fn a_small_answer_that_is_whole_already_is_not_kept_for_a_client_without_a_window() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::before(&[&origin]).route("timeouts: { idle: 300ms }");
    let proxy = yaml.limits("idle_timeout: 1h, max_streams: 1").workers(1).start();
    let mut client = Frames::with(proxy.web(), &[(INITIAL_WINDOW, 0)]);
    client.send(get(1, "/"));
    assert_eq!(client.next_on(1).expect("a head").kind, HEADERS);
    assert_eq!(client.next_on(1).expect("a reset").kind, RST_STREAM);
    // The only stream is free again.
    client.send(get(3, "/"));
    assert_eq!(client.next_on(3).expect("a head").kind, HEADERS);
}

#[test]
fn an_answer_may_not_take_longer_than_the_request_however_it_trickles() {
    let origin = endless();
    let proxy = Yaml::before(&[&origin]).route("timeouts: { request: 500ms }").workers(1).start();
    let mut client = Frames::with(proxy.web(), &[(INITIAL_WINDOW, 0)]);
    client.send(get(1, "/"));
    let start = Instant::now();
    let tick = Duration::from_millis(20);
    client.stream().set_read_timeout(Some(tick)).expect("timeout");
    let mut peeked = [0; 1];
    // A byte now and then, so that it is never left alone for long.
    while origin_is_held(&proxy) {
        client.try_send(window(1, 1));
        let _ = client.stream().peek(&mut peeked);
        std::thread::sleep(tick);
        assert!(start.elapsed() < DEADLINE, "still held");
    }
}

fn origin_is_held(proxy: &Proxy) -> bool {
    let page = proxy.admin_json("/api/v1/upstreams");
    let endpoint = &page["upstreams"][0]["endpoints"][0];
    !(endpoint["in_flight"] == 0 && endpoint["requests"] == 1)
}

#[test]
fn a_client_that_does_not_read_its_socket_holds_no_endpoint() {
    let origin = endless();
    let proxy = Yaml::before(&[&origin]).route("timeouts: { idle: 300ms }").workers(1).start();
    // All the window there is, and nobody who reads.
    let mut client = Frames::with(proxy.web(), &[(INITIAL_WINDOW, (1 << 31) - 1)]);
    client.send([window(0, (1 << 31) - 1 - 65_535), get(1, "/")].concat());
    origin.wait_for_ends(1);
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 0);
    assert_eq!(proxy.get("/").status(), 200);
}

#[test]
fn an_upload_that_stops_is_answered_408_and_the_others_go_on() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("timeouts: { body_idle: 300ms }").workers(1).start();
    let mut client = Frames::connect(proxy.web());
    client.send([post(1, "/"), frame(DATA, 0, 1, b"begun")].concat());
    assert_eq!(client.status_of_head(1), 408);
    client.send(get(3, "/"));
    assert_eq!(client.status(3), 200);
    eventually("the upload to be over at the origin", || {
        origin.requests().iter().find(|request| request.truncated).map(drop)
    });
}

#[test]
fn an_upload_that_trickles_is_too_slow() {
    let origin = Origin::answering(OK);
    let timeouts = "timeouts: { min_body_rate: 1000, body_grace: 300ms }";
    let proxy = Yaml::before(&[&origin]).route(timeouts).workers(1).start();
    let mut client = Frames::connect(proxy.web());
    client.send(post(1, "/"));
    let mut trickle = client.stream().try_clone().expect("clone");
    let trickling = std::thread::spawn(move || {
        let byte = frame(DATA, 0, 1, b"x");
        let start = Instant::now();
        while std::io::Write::write_all(&mut trickle, &byte).is_ok()
            && start.elapsed() < Duration::from_secs(3)
        {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(client.status_of_head(1), 408);
    drop(client);
    trickling.join().expect("no panic");
}

#[test]
fn requests_of_different_patience_share_a_connection() {
    let gate = Gate::default();
    let slow = Origin::behind(&gate);
    let endless = endless();
    let proxy = Yaml::before(&[&slow])
        .upstream(&format!("endless: {{ endpoints: [\"{}\"] }}", endless.address()))
        .routes(
            "{ name: slow, match: { path_prefix: /slow }, upstream: shop }, { name: quick, match: { path_prefix: / }, \
             upstream: endless, timeouts: { idle: 300ms, request: 600ms } }",
        )
        .workers(1)
        .start();
    let mut client = Frames::with(proxy.web(), &[(INITIAL_WINDOW, 10)]);
    client.send([get(1, "/slow"), get(3, "/quick")].concat());
    while client.next_on(3).expect("the quick one").kind != RST_STREAM {}
    gate.open();
    assert_eq!(client.status(1), 200);
}
