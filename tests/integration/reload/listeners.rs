//! Listeners come and go by reload; what is under way on them ends as it should.

use std::net::TcpStream;

use super::accept;
use crate::support::{Client, Gate, Message, OK, Origin, Proxy, Yaml, eventually, free_address, refuses};

const WEB: &str = "web: { address: \"127.0.0.1:0\" }";
const BOTH: &str = "web: { address: \"127.0.0.1:0\" }, extra: { address: \"127.0.0.1:0\" }";
const GET: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n";

fn wait_until_refused(address: std::net::SocketAddr) {
    eventually("the listener to close", || refuses(address).then_some(()));
}

fn connections(proxy: &Proxy, listener: &str) -> u64 {
    let status = proxy.admin_json("/api/v1/status");
    let listeners = status["listeners"].as_array().expect("listeners");
    let found = listeners.iter().find(|one| one["name"] == listener).expect("the listener");
    found["connections"].as_u64().expect("a number")
}

#[test]
fn a_new_listener_serves_and_the_old_one_keeps_its_port() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("random", &[&origin]);
    let proxy = yaml.start();
    let (web, mut client) = (proxy.web(), proxy.client());
    client.get("/");
    accept(&proxy, &yaml.listeners(BOTH));
    let extra = proxy.listener("extra").expect("the new listener");
    assert_eq!(Client::connect(extra).get("/").text(), "ok");
    assert_eq!(proxy.web(), web);
    assert_eq!(client.get("/").text(), "ok");
}

#[test]
fn a_listener_that_is_gone_refuses_connections() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("random", &[&origin]).listeners(BOTH);
    let proxy = yaml.start();
    let extra = proxy.listener("extra").expect("the listener");
    assert_eq!(Client::connect(extra).get("/").text(), "ok");
    accept(&proxy, &yaml.listeners(WEB));
    wait_until_refused(extra);
    assert_eq!(proxy.get("/").text(), "ok");
}

#[test]
fn a_request_that_runs_on_a_removed_listener_is_answered_and_then_its_connection_closes() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let yaml = Yaml::of("random", &[&origin]).listeners(BOTH);
    let proxy = yaml.start();
    let extra = proxy.listener("extra").expect("the listener");
    let mut client = Client::connect(extra);
    client.send(GET);
    origin.wait_for(1);
    accept(&proxy, &yaml.listeners(WEB));
    wait_until_refused(extra);
    gate.open();
    let response = client.response();
    assert_eq!((response.text().as_str(), response.header("connection")), ("ok", Some("close")));
    client.expect_closed();
}

#[test]
fn an_unused_connection_of_a_removed_listener_closes() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("random", &[&origin]).listeners(BOTH);
    let proxy = yaml.start();
    let (mut extra, mut web) =
        (Client::connect(proxy.listener("extra").expect("the listener")), proxy.client());
    extra.get("/");
    web.get("/");
    accept(&proxy, &yaml.listeners(WEB));
    extra.expect_closed();
    assert_eq!(web.get("/").text(), "ok");
}

#[test]
fn a_request_that_reaches_a_kept_connection_of_a_removed_listener_is_answered() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("random", &[&origin]).listeners(BOTH);
    let proxy = yaml.start();
    let extra = proxy.listener("extra").expect("the listener");
    let mut used = Client::connect(extra);
    used.get("/");
    let mut fresh = Client::connect(extra);
    eventually("both connections to be accepted", || (connections(&proxy, "extra") == 2).then_some(()));
    accept(&proxy, &yaml.listeners(WEB));
    wait_until_refused(extra);
    for client in [&mut used, &mut fresh] {
        let response = client.get("/");
        assert_eq!((response.text().as_str(), response.header("connection")), ("ok", Some("close")));
        client.expect_closed();
    }
}

#[test]
fn a_renamed_listener_keeps_its_address_and_its_connections() {
    let origin = Origin::answering(OK);
    let address = free_address();
    let yaml = Yaml::of("random", &[&origin]).listeners(&format!("web: {{ address: \"{address}\" }}"));
    let proxy = yaml.start();
    let mut client = proxy.client();
    client.get("/");
    accept(&proxy, &yaml.listeners(&format!("shop: {{ address: \"{address}\" }}")));
    assert_eq!((proxy.listener("web"), proxy.listener("shop")), (None, Some(address)));
    assert_eq!(Client::connect(address).get("/").text(), "ok");
    assert_eq!(client.get("/").text(), "ok");
    assert!(connections(&proxy, "shop") >= 1);
}

#[test]
fn a_listener_may_be_narrowed_to_loopback_and_widened_again_on_its_port() {
    let origin = Origin::answering(OK);
    let port = free_address().port();
    let [any, loopback] = ["0.0.0.0", "127.0.0.1"].map(|ip| format!("web: {{ address: \"{ip}:{port}\" }}"));
    let yaml = Yaml::of("random", &[&origin]);
    let proxy = yaml.clone().listeners(&any).start();
    for listeners in [&loopback, &any] {
        accept(&proxy, &yaml.clone().listeners(listeners));
        let answer = eventually("an answer at the port", || ask_once(port));
        assert_eq!(answer.text(), "ok");
    }
}

/// `None` where the kernel had given the connection to the socket that was just being closed, and reset it.
fn ask_once(port: u16) -> Option<Message> {
    let mut client = Client::over(TcpStream::connect(("127.0.0.1", port)).ok()?);
    if client.try_send(GET) { client.try_response() } else { None }
}

#[test]
fn limits_change_in_place() {
    let origin = Origin::answering(OK);
    let with = |most: u32| {
        let web = format!("web: {{ address: \"127.0.0.1:0\", limits: {{ max_connections: {most} }} }}");
        Yaml::of("random", &[&origin]).listeners(&web)
    };
    let proxy = with(1).start();
    let (web, mut first) = (proxy.web(), proxy.client());
    assert_eq!(first.get("/").text(), "ok");
    proxy.client().expect_closed();
    accept(&proxy, &with(2));
    assert_eq!(proxy.web(), web);
    assert_eq!(proxy.get("/").text(), "ok");
    assert_eq!(first.get("/").text(), "ok");
    assert_eq!(proxy.metrics().sum("tillgate_connections_rejected_total", &[]), 1.0);
}
