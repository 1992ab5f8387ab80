//! Where no tunnel opens, and what becomes of the request then.

use super::{ACCEPT, before, echo, granted, granting, open, read, request};
use crate::support::{OK, Origin, Yaml};

#[test]
fn an_upgrade_that_the_route_does_not_allow_goes_on_as_plain_http() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("upgrades: off").start();
    let mut client = proxy.client();
    for _ in 0..2 {
        // As any other: the connection serves on.
        let answer = client.send(request()).response();
        assert_eq!((answer.status(), answer.header("connection")), (200, None));
    }
    for sent in origin.requests() {
        assert_eq!((sent.header("connection"), sent.header("upgrade")), (None, None));
        assert_eq!(sent.header("sec-websocket-version"), Some("13"), "these are no hop's");
    }
}

#[test]
fn an_upgrade_with_a_body_or_over_http_1_0_goes_on_as_plain_http() {
    let origin = Origin::answering(OK);
    let proxy = before(&origin);
    let body = request().replace("\r\n\r\n", "\r\ncontent-length: 2\r\n\r\nhi");
    assert_eq!(proxy.exchange(body).status(), 200);
    assert_eq!(proxy.exchange(request().replace("HTTP/1.1", "HTTP/1.0")).status(), 200);
    let unnamed = request().replace("connection: keep-alive, Upgrade\r\n", "");
    assert_eq!(proxy.exchange(unnamed).status(), 200);
    let sent = origin.requests();
    assert_eq!((sent.len(), sent[0].body.as_slice()), (3, &b"hi"[..]));
    assert!(sent.iter().all(|sent| sent.header("upgrade").is_none()));
}

#[test]
fn an_endpoint_that_declines_is_passed_on_and_nothing_early_follows() {
    let origin = Origin::answering(
        "HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 8\r\ncontent-length: 3\r\n\r\nold",
    );
    let proxy = before(&origin);
    let mut client = proxy.client();
    // What follows the request looks like another, and may be anything.
    client.send(format!("{}GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n", request()));
    let answer = client.response();
    assert_eq!((answer.status(), answer.text().as_str()), (426, "old"));
    assert_eq!(answer.header("sec-websocket-version"), Some("8"));
    assert_eq!(answer.header("connection"), Some("close"));
    client.expect_orderly_end();
    assert_eq!(origin.requests().len(), 1);
    // The endpoint's connection is as good as before.
    assert_eq!(proxy.get("/").status(), 426);
}

#[test]
fn a_101_that_is_no_answer_to_what_was_asked_opens_nothing() {
    for forged in [
        granted().replace("upgrade: websocket\r\n", ""),
        granted().replace("upgrade: websocket", "upgrade: h2c"),
        granted().replace("upgrade: websocket", "upgrade: websocket, h2c"),
        granted().replace(ACCEPT, "bm90IHRoZSBoYXNoIG9mIGl0IQ=="),
        "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
    ] {
        let origin = Origin::start(move |visit| {
            visit.request();
            visit.send(format!("{forged}smuggled"));
            echo(visit);
        });
        let proxy = Yaml::before(&[&origin]).route("retry: off").start();
        let mut client = proxy.client();
        let answer = client.send(format!("{}early", request())).response();
        assert_eq!((answer.status(), answer.reason()), (502, "bad_response"));
        assert_eq!(answer.header("x-tillgate-upstream-sent"), Some("yes"));
        client.expect_orderly_end();
        let metrics =
            proxy.metrics_when(|metrics| metrics.count("tillgate_endpoint_failures_total", &[]) == 1);
        assert_eq!(metrics.count("tillgate_tunnels_opened_total", &[]), 0);
    }
}

#[test]
fn a_101_that_nobody_asked_for_opens_nothing() {
    let origin = granting(echo);
    let proxy = Yaml::before(&[&origin]).route("retry: off").start();
    let answer = proxy.get("/");
    assert_eq!((answer.status(), answer.reason()), (502, "bad_response"));
}

#[test]
fn a_protocol_of_its_own_is_allowed_by_name() {
    let origin = Origin::start(|visit| {
        while visit.request().is_some() {
            visit.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: Chat/2\r\n\r\n");
            echo(visit);
        }
    });
    let proxy = Yaml::before(&[&origin]).route("upgrades: [chat/2]").start();
    let asks = |protocol: &str| {
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: {protocol}\r\ncontent-length: 0\r\n\r\n"
        )
    };
    let mut client = proxy.client();
    let answer = client.send(asks("h2c, chat/2, websocket")).response();
    assert_eq!((answer.status(), answer.header("upgrade")), (101, Some("Chat/2")));
    assert_eq!(read(client.send("hello"), 5), b"hello");
    assert_eq!(origin.request().header("upgrade"), Some("chat/2"));
}

#[test]
fn an_endpoint_that_refuses_the_connection_leaves_the_tunnel_to_another() {
    let (origin, dead) = (granting(echo), crate::support::Refuser::bind());
    let endpoints = format!("[\"{}\", \"{}\"]", dead.address(), origin.address());
    let proxy = Yaml::new(&format!("strategy: round_robin, endpoints: {endpoints}")).workers(1).start();
    for _ in 0..4 {
        let mut client = open(&proxy);
        assert_eq!(read(client.send("hello"), 5), b"hello");
    }
}

#[test]
fn a_tunnel_is_neither_hedged_nor_mirrored() {
    let (origin, mirror) = (granting(echo), Origin::answering(OK));
    let other = granting(echo);
    let proxy = Yaml::before(&[&origin, &other])
        .upstream(&format!("next: {{ endpoints: [\"{}\"] }}", mirror.address()))
        .route("hedge: { after: 1ms, max_percent: 100 }, mirror: { upstream: next, percent: 100 }")
        .start();
    for _ in 0..10 {
        let mut client = open(&proxy);
        assert_eq!(read(client.send("hello"), 5), b"hello");
    }
    assert_eq!(origin.requests().len() + other.requests().len(), 10);
    assert!(mirror.requests().is_empty());
}
