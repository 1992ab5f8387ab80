//! What is known of an endpoint outlives the config it was learned under.

use serde_json::Value;

use super::accept;
use crate::support::{Gate, OK, Origin, Yaml};

/// The entry of `origin` among `endpoints`.
fn of<'a>(endpoints: &'a [Value], origin: &Origin) -> &'a Value {
    let address = origin.address().to_string();
    endpoints.iter().find(|one| one["address"] == address.as_str()).expect("the endpoint")
}

#[test]
fn counts_and_latencies_are_carried_over_a_change_of_strategy_and_siblings() {
    let (kept, gone, new) = (Origin::answering(OK), Origin::answering(OK), Origin::answering(OK));
    let proxy = Yaml::of("round_robin", &[&gone, &kept]).start();
    let mut client = proxy.client();
    (0..10).for_each(|_| drop(client.get("/")));
    let before = proxy.endpoints_when("shop", |all| of(all, &kept)["requests"] == 5);
    accept(&proxy, &Yaml::of("least_connections", &[&new, &kept]));
    let after = proxy.endpoints_when("shop", |all| all.len() == 2);
    for key in ["requests", "samples", "p50_ms", "p90_ms", "p99_ms"] {
        assert_eq!(of(&after, &kept)[key], of(&before, &kept)[key], "{key}");
    }
    assert_eq!(of(&after, &kept)["samples"], 5);
    assert_eq!((&of(&after, &new)["requests"], &of(&after, &new)["p50_ms"]), (&0.into(), &Value::Null));
}

#[test]
fn a_request_in_flight_still_counts_after_a_reload() {
    let gate = Gate::default();
    let (held, new) = (Origin::behind(&gate), Origin::answering(OK));
    let proxy = Yaml::of("round_robin", &[&held]).start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    held.wait_for(1);
    accept(&proxy, &Yaml::of("least_connections", &[&held, &new]));
    proxy.endpoints_when("shop", |all| of(all, &held)["in_flight"] == 1);
    // The new strategy sees it: the busy endpoint is left alone.
    (0..10).for_each(|_| assert_eq!(proxy.get("/").status(), 200));
    assert_eq!((held.requests().len(), new.requests().len()), (1, 10));
    gate.open();
    client.response();
    proxy.endpoints_when("shop", |all| of(all, &held)["in_flight"] == 0 && of(all, &held)["requests"] == 1);
}

#[test]
fn an_endpoint_of_another_upstream_is_another_endpoint() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("random", &[&origin]);
    let proxy = yaml.start();
    proxy.get("/");
    proxy.endpoints_when("shop", |all| all[0]["requests"] == 1);
    let next = format!("next: {{ endpoints: [\"{}\"] }}", origin.address());
    accept(&proxy, &yaml.upstream(&next));
    assert_eq!(proxy.endpoints_when("next", |_| true)[0]["requests"], 0);
    assert_eq!(proxy.endpoints_when("shop", |_| true)[0]["requests"], 1);
}

#[test]
fn connections_to_an_endpoint_that_stays_are_used_again() {
    let (kept, new) = (Origin::answering(OK), Origin::answering(OK));
    let proxy = Yaml::of("round_robin", &[&kept]).start();
    let mut client = proxy.client();
    client.get("/");
    accept(&proxy, &Yaml::of("weighted", &[&kept, &new]));
    (0..4).for_each(|_| drop(client.get("/")));
    assert_eq!((kept.requests().len(), kept.connections()), (3, 1));
}
