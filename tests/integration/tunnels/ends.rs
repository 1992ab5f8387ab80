//! How tunnels end, and what they outlive.

use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{before, echo, granted, granting, open, read, request};
use crate::support::{DEADLINE, Gate, Message, Metrics, OK, Origin, Proxy, Yaml, endpoints, eventually};

fn tunnels(metrics: &Metrics) -> u64 {
    metrics.count("tillgate_tunnels_open", &[])
}

fn wait_for_none(proxy: &Proxy) {
    proxy.metrics_when(|metrics| tunnels(metrics) == 0);
    proxy.endpoints_when("shop", |all| all.iter().all(|one| one["in_flight"] == 0));
}

#[test]
fn a_side_that_ends_may_still_be_told_the_rest() {
    let origin = granting(|visit| {
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut visit.reader, &mut all).expect("read");
        visit.send(format!("{} bytes", all.len()));
    });
    let proxy = before(&origin);
    let mut client = open(&proxy);
    client.send(vec![1; 300_000]).finish();
    assert_eq!(client.rest(), b"300000 bytes");
    wait_for_none(&proxy);
}

#[test]
fn an_endpoint_that_ends_first_may_still_be_told_the_rest() {
    let told = Arc::new(AtomicUsize::new(0));
    let origin = {
        let told = Arc::clone(&told);
        granting(move |visit| {
            visit.send("bye");
            visit.stream.shutdown(Shutdown::Write).expect("shutdown");
            let count = std::io::copy(&mut visit.reader, &mut std::io::sink()).expect("read");
            told.store(usize::try_from(count).expect("it fits"), Ordering::SeqCst);
        })
    };
    let proxy = before(&origin);
    let mut client = open(&proxy);
    assert_eq!(client.rest(), b"bye");
    client.send(vec![1; 300_000]).finish();
    eventually("the rest", || (told.load(Ordering::SeqCst) == 300_000).then_some(()));
    wait_for_none(&proxy);
}

#[test]
fn a_client_that_is_gone_takes_its_endpoint_along() {
    let origin = granting(|visit| {
        // It has nothing to say, and would wait for ever.
        visit.closes();
    });
    let proxy = before(&origin);
    let clients: Vec<_> = (0..5).map(|_| open(&proxy)).collect();
    proxy.metrics_when(|metrics| tunnels(metrics) == 5);
    for client in &clients {
        socket2::SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).expect("linger");
    }
    drop(clients);
    origin.wait_for_ends(5);
    wait_for_none(&proxy);
}

#[test]
fn an_endpoint_that_is_gone_takes_its_client_along() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let proxy = Yaml::before_address(listener.local_addr().expect("address")).start();
    let mut client = proxy.client();
    client.send(request());
    let (mut stream, _) = listener.accept().expect("a connection");
    Message::read_request(&mut BufReader::new(stream.try_clone().expect("clone")));
    stream.write_all(granted().as_bytes()).expect("write");
    assert_eq!(client.response().status(), 101);
    reset(stream);
    client.expect_closed();
    wait_for_none(&proxy);
}

/// Ends a connection by a reset.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger");
    drop(stream);
}

#[test]
fn a_tunnel_without_a_byte_ends_after_its_idle_time() {
    let origin = granting(echo);
    let yaml = |idle: &str| {
        Yaml::before(&[&origin])
            .route(&format!("timeouts: {{ request: 500ms, idle: 300ms, tunnel_idle: {idle} }}"))
    };
    let proxy = yaml("1s").start();
    let (mut idle, mut busy) = (open(&proxy), open(&proxy));
    let start = Instant::now();
    // Longer than the times for requests: they bound no tunnel.
    while start.elapsed().as_millis() < 1_500 {
        assert_eq!(read(busy.send("ping"), 4), b"ping");
        std::thread::sleep(Duration::from_millis(50));
    }
    idle.expect_closed();
    assert_eq!(read(busy.send("ping"), 4), b"ping");
    busy.expect_closed();
    wait_for_none(&proxy);
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let origin = granting(|visit| while visit.send([7; 1 << 16]) {});
    let proxy = Yaml::before(&[&origin]).route("timeouts: { idle: 500ms }").start();
    let client = open(&proxy);
    origin.wait_for_ends(1);
    wait_for_none(&proxy);
    drop(client);
}

#[test]
fn an_endpoint_that_takes_nothing_is_given_up() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        granting(move |_| gate.pass())
    };
    let proxy = Yaml::before(&[&origin]).route("timeouts: { idle: 500ms }").start();
    let mut client = open(&proxy);
    while client.try_send([7; 1 << 16]) {}
    wait_for_none(&proxy);
    gate.open();
}

#[test]
fn a_hundred_tunnels_lose_nothing_over_twenty_reloads() {
    let origin = granting(echo);
    let other = Origin::answering(OK);
    let proxy = before(&origin);
    let mut clients: Vec<_> = (0..100).map(|_| open(&proxy)).collect();
    for round in 0..20 {
        // The endpoint, the route and in the end the upgrades go.
        let yaml = match round % 3 {
            0 => Yaml::before(&[&other]),
            1 => Yaml::before(&[&origin]).routes("{ name: new, match: { path: /new }, upstream: shop }"),
            _ => Yaml::before(&[&origin]).route("upgrades: off"),
        };
        assert_eq!(proxy.reload(&yaml.to_string()).status(), 200);
        for (number, client) in clients.iter_mut().enumerate() {
            let text = format!("round {round} of {number};").repeat(1 + number * 20);
            assert_eq!(read(client.send(&text), text.len()), text.as_bytes());
        }
    }
    assert_eq!(origin.connections(), 100);
}

#[test]
fn a_tunnel_outlives_its_listener() {
    let origin = granting(echo);
    let proxy = before(&origin);
    let mut client = open(&proxy);
    let moved = Yaml::before(&[&origin]).listeners("other: { address: \"127.0.0.1:0\" }");
    assert_eq!(proxy.reload(&moved.to_string()).status(), 200);
    assert_eq!(proxy.listener("web"), None);
    assert_eq!(read(client.send("hello"), 5), b"hello");
}

#[test]
fn a_drained_endpoint_keeps_its_tunnels() {
    let origin = granting(echo);
    let proxy = before(&origin);
    let mut client = open(&proxy);
    let path = format!("/api/v1/upstreams/shop/endpoints/{}/drain", origin.address());
    assert_eq!(proxy.admin("POST", &path).status(), 200);
    assert_eq!(proxy.exchange(request()).status(), 503);
    assert_eq!(read(client.send("hello"), 5), b"hello");
}

#[test]
fn tunnels_end_within_the_time_to_drain() {
    let origin = granting(echo);
    let proxy = Yaml::before(&[&origin]).drain_timeout("500ms").start();
    let mut client = open(&proxy);
    let start = Instant::now();
    let stopping = std::thread::spawn(move || drop(proxy));
    client.expect_closed();
    stopping.join().expect("stopped");
    assert!(start.elapsed() < DEADLINE);
    origin.wait_for_ends(1);
}

#[test]
fn an_upgrade_that_is_answered_while_its_listener_goes_still_opens() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::start(move |visit| {
            visit.request();
            gate.pass();
            visit.send(granted());
            echo(visit);
        })
    };
    let proxy = before(&origin);
    let mut client = proxy.client();
    client.send(request());
    origin.wait_for(1);
    let moved = Yaml::before(&[&origin]).listeners("other: { address: \"127.0.0.1:0\" }");
    assert_eq!(proxy.reload(&moved.to_string()).status(), 200);
    gate.open();
    let answer = client.response();
    assert_eq!((answer.status(), answer.all("connection")), (101, vec!["upgrade"]));
    assert_eq!(read(client.send("hello"), 5), b"hello");
}

#[test]
fn a_tunnel_is_in_flight_and_holds_no_permit() {
    let (origin, other) = (granting(echo), granting(echo));
    let shop = format!(
        "strategy: least_connections, endpoints: {}, queue: {{ max_in_flight: 1, max_waiting: 0 }}",
        endpoints(&[&origin, &other])
    );
    let proxy = Yaml::new(&shop).workers(1).start();
    let clients: Vec<_> = (0..10).map(|_| open(&proxy)).collect();
    assert_eq!((origin.requests().len(), other.requests().len()), (5, 5));
    proxy.endpoints_when("shop", |all| all.iter().all(|one| one["in_flight"] == 5));
    proxy.metrics_when(|metrics| tunnels(metrics) == 10);
    drop(clients);
    wait_for_none(&proxy);
    let metrics =
        proxy.metrics_when(|metrics| metrics.count("tillgate_requests_total", &[("code", "1xx")]) == 10);
    assert_eq!(metrics.count("tillgate_tunnels_opened_total", &[]), 10);
    // A tunnel is no slow request, and its handshake no fast one.
    assert_eq!(metrics.count("tillgate_request_duration_seconds_count", &[]), 0);
    assert_eq!(metrics.count("tillgate_endpoint_latency_seconds_count", &[]), 0);
}

#[test]
fn what_went_through_stands_in_metrics_and_access_log() {
    let origin = granting(echo);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("access.log");
    let line = format!("access_log: {{ path: {}, format: json }}", path.display());
    let proxy = Yaml::before(&[&origin]).line(&line).start();
    let mut client = open(&proxy);
    read(client.send("hello"), 5);
    let bytes = |metrics: &Metrics, direction| {
        metrics.count("tillgate_tunnel_bytes_total", &[("route", "all"), ("direction", direction)])
    };
    // While it is open.
    proxy.metrics_when(|metrics| bytes(metrics, "in") == 5 && bytes(metrics, "out") == 5);
    client.finish().expect_closed();
    let line = eventually("a line", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.ends_with('\n').then_some(text)
    });
    let line: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_eq!((&line["status"], &line["bytes_in"], &line["bytes_out"]), (&101.into(), &5.into(), &5.into()));
    assert_eq!((&line["method"], &line["truncated"]), (&"GET".into(), &false.into()));
    assert_eq!(proxy.metrics().count("tillgate_response_body_bytes_total", &[]), 0);
}
