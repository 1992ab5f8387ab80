//! Clients that do not get to a handshake.

use std::io::Write;
use std::net::TcpStream;

use super::{ok, secured};
use crate::support::{Client, Yaml, shake_hands};

#[test]
fn plain_http_is_told_to_come_back_with_tls_and_is_not_served() {
    let (authority, origin) = ok();
    let proxy = secured(&authority, &origin, "");
    let mut client = proxy.client();
    let answer = client.get("/");
    assert_eq!((answer.status(), answer.reason()), (400, "plain_http"));
    assert!(answer.text().contains("https://"), "{}", answer.text());
    client.expect_closed();
    assert!(origin.requests().is_empty());
    let metrics = proxy.metrics_when(|metrics| {
        metrics.count("tillgate_own_answers_total", &[("reason", "plain_http")]) == 1
    });
    assert_eq!(metrics.count("tillgate_tls_handshake_failures_total", &[("reason", "plain_http")]), 1);
}

#[test]
fn who_does_not_shake_hands_in_time_is_let_go() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let listener =
        authority.listener(&["shop"], "").replace("tls:", "limits: { header_timeout: 200ms }, tls:");
    let proxy = Yaml::before(&[&origin]).listeners(&listener).start();
    let mut silent = proxy.client();
    silent.expect_closed();
    let mut begun = proxy.client();
    // The header of a record that never comes.
    begun.send(b"\x16\x03\x01\x02\x00\x01");
    begun.expect_closed();
    assert!(shake_hands(proxy.web(), &authority.ca(), &[]).done);
    let failures =
        |reason| proxy.metrics().count("tillgate_tls_handshake_failures_total", &[("reason", reason)]);
    assert_eq!(failures("timeout"), 2);
}

#[test]
fn a_listener_that_closes_does_not_wait_for_those_who_do_not_shake_hands() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let slow = authority.listener(&["shop"], "").replace("tls:", "limits: { header_timeout: 10m }, tls:");
    let yaml = Yaml::before(&[&origin]);
    let proxy = yaml.clone().listeners(&slow).start();
    let mut silent = proxy.client();
    proxy.metrics_when(|metrics| metrics.count("tillgate_connections", &[]) == 1);
    let elsewhere = yaml.listeners("other: { address: \"127.0.0.1:0\" }");
    assert_eq!(proxy.reload(&elsewhere.to_string()).status(), 200);
    silent.expect_closed();
}

#[test]
fn bytes_that_are_no_handshake_end_in_an_alert_and_are_counted() {
    let (authority, origin) = ok();
    let proxy = secured(&authority, &origin, "");
    let mut huge = b"\x16\x03\x01\xff\xff".to_vec();
    huge.extend([b'x'; 70_000]);
    for bytes in [&b"\x00\x01\x02\x03\x04\x05\x06\x07"[..], b"\x16\x03\x01\x00\x05hello", &huge] {
        let mut client = Client::connect(proxy.web());
        client.try_send(bytes);
        let rest = client.rest();
        assert!(rest.len() <= 7, "{rest:?}");
    }
    proxy.metrics_when(|metrics| {
        metrics.count("tillgate_tls_handshake_failures_total", &[("reason", "malformed")]) == 3
    });
    assert!(shake_hands(proxy.web(), &authority.ca(), &[]).done);
}

#[test]
fn a_handshake_takes_a_place_among_the_connections_of_its_listener() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let listener = authority.listener(&["shop"], "").replace("tls:", "limits: { max_connections: 1 }, tls:");
    let proxy = Yaml::before(&[&origin]).listeners(&listener).workers(1).start();
    let mut holder = TcpStream::connect(proxy.web()).expect("connect");
    holder.write_all(b"\x16").expect("write");
    proxy.metrics_when(|metrics| metrics.count("tillgate_connections", &[]) == 1);
    proxy.client().expect_closed();
    drop(holder);
    proxy.metrics_when(|metrics| metrics.count("tillgate_connections", &[]) == 0);
    assert!(shake_hands(proxy.web(), &authority.ca(), &[]).done);
}
