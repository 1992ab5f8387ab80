//! Who gets requests when operators, backups and the panic threshold have a say.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::{Client, Gate, Message, OK, Origin, Proxy, Refuser, Yaml, endpoints, ok_with};

fn order(proxy: &Proxy, endpoint: &str, what: &str) -> Message {
    proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{endpoint}/{what}"))
}

/// Drains, or takes that back. What the admin server says of it.
fn ordered(proxy: &Proxy, address: SocketAddr, what: &str) -> Value {
    let answer = order(proxy, &address.to_string(), what);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

fn ask(proxy: &Proxy, count: usize) {
    let mut client = proxy.client();
    (0..count).for_each(|_| assert_eq!(client.get("/").status(), 200));
}

/// How many of so many requests each origin gets.
fn shares(proxy: &Proxy, origins: &[&Origin], count: usize) -> Vec<usize> {
    let counts = || origins.iter().map(|origin| origin.requests().len()).collect::<Vec<_>>();
    let before = counts();
    ask(proxy, count);
    counts().into_iter().zip(before).map(|(after, before)| after - before).collect()
}

fn states(proxy: &Proxy) -> Vec<Value> {
    proxy.endpoints_when("shop", |_| true).iter().map(|one| one["state"].clone()).collect()
}

fn send_get(proxy: &Proxy) -> Client {
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    client
}

#[test]
fn a_drained_endpoint_gets_nothing_new_and_finishes_what_it_has() {
    let gate = Gate::default();
    let (held, other) = (Origin::behind(&gate), Origin::answering(OK));
    let proxy = Yaml::before(&[&held, &other]).workers(1).start();
    let mut waiting = [send_get(&proxy), send_get(&proxy)];
    held.wait_for(1);
    let address = held.address();
    let said = ordered(&proxy, address, "drain");
    let wanted =
        json!({ "upstream": "shop", "endpoint": address.to_string(), "drained": true, "changed": true });
    assert_eq!(said, wanted);
    assert_eq!(shares(&proxy, &[&held, &other], 20), [0, 20]);
    assert_eq!(states(&proxy), ["draining", "up"]);
    gate.open();
    assert!(waiting.iter_mut().all(|client| client.response().status() == 200));
    assert_eq!(ordered(&proxy, address, "drain")["changed"], false);
    assert_eq!(ordered(&proxy, address, "undrain")["changed"], true);
    assert_eq!(shares(&proxy, &[&held, &other], 20), [10, 10]);
    assert_eq!(states(&proxy), ["up", "up"]);
}

#[test]
fn a_drain_lasts_over_a_reload() {
    let [first, second, third] = [(); 3].map(|()| Origin::answering(OK));
    let proxy = Yaml::before(&[&first, &second]).workers(1).start();
    ordered(&proxy, first.address(), "drain");
    let next = Yaml::of("least_connections", &[&third, &first]).workers(1);
    assert_eq!(proxy.reload(&next.to_string()).status(), 200);
    assert_eq!(shares(&proxy, &[&third, &first], 20), [20, 0]);
    assert_eq!(states(&proxy), ["up", "draining"]);
}

#[test]
fn a_drain_by_weight_0_is_a_drain() {
    let gate = Gate::default();
    let (held, other) = (Origin::behind(&gate), Origin::answering(OK));
    let proxy = Yaml::before(&[&held, &other]).workers(1).start();
    let mut waiting = [send_get(&proxy), send_get(&proxy)];
    held.wait_for(1);
    let shop = format!(
        "strategy: round_robin, endpoints: [{{ address: \"{}\", weight: 0 }}, \"{}\"]",
        held.address(),
        other.address()
    );
    assert_eq!(proxy.reload(&Yaml::new(&shop).workers(1).to_string()).status(), 200);
    assert_eq!(shares(&proxy, &[&held, &other], 20), [0, 20]);
    assert_eq!(states(&proxy), ["draining", "up"]);
    gate.open();
    assert!(waiting.iter_mut().all(|client| client.response().status() == 200));
}

#[test]
fn draining_all_of_a_pool_leaves_nobody_to_ask() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).start();
    ordered(&proxy, origin.address(), "drain");
    let response = proxy.get("/");
    assert_eq!((response.status(), response.reason()), (503, "no_endpoint"));
    ordered(&proxy, origin.address(), "undrain");
    ask(&proxy, 1);
}

#[test]
fn names_that_are_not_known_are_404_with_those_that_are() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).start();
    let known = |answer: &Message| {
        assert_eq!(answer.status(), 404, "{}", answer.text());
        serde_json::from_slice::<Value>(&answer.body).expect("JSON")["known"].clone()
    };
    let address = origin.address().to_string();
    assert_eq!(known(&order(&proxy, "127.0.0.1:1", "drain")), json!([address]));
    let path = format!("/api/v1/upstreams/shpo/endpoints/{address}/undrain");
    assert_eq!(known(&proxy.admin("POST", &path)), json!(["shop"]));
    assert_eq!(order(&proxy, "%ff%00", "drain").status() / 100, 4);
    ask(&proxy, 1);
}

#[test]
fn only_a_post_drains() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).start();
    for what in ["drain", "undrain"] {
        let path = format!("/api/v1/upstreams/shop/endpoints/{}/{what}", origin.address());
        assert_eq!(proxy.admin("GET", &path).status(), 405);
    }
    assert_eq!(states(&proxy), ["up"]);
}

#[test]
fn an_ipv6_endpoint_is_named_with_or_without_escapes() {
    let origin = Origin::answering(OK);
    let shop = format!("endpoints: [\"[::1]:7001\", \"{}\"]", origin.address());
    let proxy = Yaml::new(&shop).start();
    for (name, what, state) in [("%5B::1%5D:7001", "drain", "draining"), ("[%3a%3A1]:7001", "undrain", "up")]
    {
        let answer = order(&proxy, name, what);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert!(answer.text().contains("\"[::1]:7001\""), "{}", answer.text());
        assert_eq!(states(&proxy)[0], state);
    }
}

/// `first`, and `second` as its backup; `more` of the upstream.
fn with_backup(first: SocketAddr, second: SocketAddr, more: &str) -> Yaml {
    let shop = format!(
        "strategy: round_robin, endpoints: [\"{first}\", {{ address: \"{second}\", backup: true }}]{more}"
    );
    Yaml::new(&shop).workers(1)
}

#[test]
fn a_backup_takes_over_while_no_other_is_fit_and_gives_back() {
    let (own, backup) = (Origin::answering(OK), Origin::answering(OK));
    let proxy = with_backup(own.address(), backup.address(), "").start();
    assert_eq!(shares(&proxy, &[&own, &backup], 10), [10, 0]);
    ordered(&proxy, own.address(), "drain");
    assert_eq!(shares(&proxy, &[&own, &backup], 10), [0, 10]);
    ordered(&proxy, own.address(), "undrain");
    assert_eq!(shares(&proxy, &[&own, &backup], 10), [10, 0]);
    let entries = proxy.endpoints_when("shop", |_| true);
    let said: Vec<_> = entries.iter().map(|one| (&one["backup"], &one["takes_requests"])).collect();
    assert_eq!(said, [(&json!(false), &json!(true)), (&json!(true), &json!(false))]);
    assert_eq!((&entries[0]["access"], &entries[1]["access"]), (&json!("open"), &json!("spare")));
}

#[test]
fn a_backup_takes_over_from_one_that_is_ejected_and_gives_back() {
    let (dead, backup) = (Refuser::bind(), Origin::answering(OK));
    let more = ", outlier_detection: { base_ejection: 1s }";
    let proxy =
        with_backup(dead.address(), backup.address(), more).route("retry: { budget_percent: 100 }").start();
    let taken_over = |all: &[Value]| all[0]["state"] == "ejected" && all[1]["takes_requests"] == true;
    proxy.endpoints_when("shop", |all| {
        let over = taken_over(all);
        if !over {
            ask(&proxy, 5);
        }
        over
    });
    ask(&proxy, 10);
    proxy.endpoints_when("shop", |all| all[0]["takes_requests"] == true && all[1]["takes_requests"] == false);
}

#[test]
fn what_every_open_endpoint_has_failed_goes_to_a_backup() {
    let (dead, backup) = (Refuser::bind(), Origin::answering(ok_with("backup")));
    let more = ", outlier_detection: off";
    let each = "retry: { budget_percent: 100 }";
    let proxy = with_backup(dead.address(), backup.address(), more).route(each).start();
    let mut client = proxy.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "backup");
        assert_eq!(client.post("/", "order").status(), 200);
    }
    let alone = with_backup(dead.address(), backup.address(), more).route("retry: off").start();
    assert_eq!(alone.get("/").reason(), "connect_failed");
}

/// Three in turn, of which the first is ejected for long; `more` of the upstream.
fn one_of_three_ejected(more: &str) -> (Proxy, [Origin; 3]) {
    let bad = Origin::answering("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
    let origins = [bad, Origin::answering(OK), Origin::answering(OK)];
    let all = endpoints(&[&origins[0], &origins[1], &origins[2]]);
    let shop = format!(
        "strategy: round_robin, outlier_detection: {{ base_ejection: 1h }}, {more}, endpoints: {all}"
    );
    let proxy = Yaml::new(&shop).workers(1).start();
    let mut client = proxy.client();
    (0..15).for_each(|_| drop(client.get("/")));
    proxy.endpoints_when("shop", |all| all[0]["state"] == "ejected");
    (proxy, origins)
}

fn panics(proxy: &Proxy) -> bool {
    let page = proxy.admin_json("/api/v1/upstreams");
    let gauge = proxy.metrics().sum("tillgate_upstream_panic", &[("upstream", "shop")]);
    let is = page["upstreams"][0]["panic"] == true;
    assert_eq!(is, gauge == 1.0);
    is
}

#[test]
fn below_the_panic_threshold_all_get_requests_save_the_drained() {
    let (proxy, origins) = one_of_three_ejected("panic_threshold_percent: 67");
    assert!(panics(&proxy));
    let asked = origins[0].requests().len();
    let mut client = proxy.client();
    let failed = (0..30).filter(|_| client.get("/").status() == 503).count();
    assert_eq!((failed, origins[0].requests().len()), (10, asked + 10));
    let entry = &proxy.endpoints_when("shop", |_| true)[0];
    assert_eq!((&entry["state"], &entry["takes_requests"]), (&json!("ejected"), &json!(true)));
    ordered(&proxy, origins[0].address(), "drain");
    assert!(!panics(&proxy), "what is drained does not count");
    ask(&proxy, 30);
    assert_eq!(origins[0].requests().len(), asked + 10);
}

#[test]
fn above_the_panic_threshold_and_without_one_health_counts() {
    for more in ["panic_threshold_percent: 66", "panic_threshold_percent: 0"] {
        let (proxy, origins) = one_of_three_ejected(more);
        assert!(!panics(&proxy));
        let asked = origins[0].requests().len();
        ask(&proxy, 30);
        assert_eq!(origins[0].requests().len(), asked);
    }
}

#[test]
fn the_last_that_is_left_gets_everything_though_it_is_ejected() {
    let (proxy, origins) = one_of_three_ejected("panic_threshold_percent: 0");
    let asked = origins[0].requests().len();
    for other in &origins[1..] {
        ordered(&proxy, other.address(), "drain");
    }
    proxy.endpoints_when("shop", |all| all[0]["ejection"] == Value::Null);
    assert_eq!(proxy.get("/").status(), 503);
    assert_eq!(origins[0].requests().len(), asked + 1);
}
