use super::{MINIMAL, good, listed, route, top, upstream};
use crate::config::Severity;

fn warned(text: &str) -> Vec<String> {
    let warnings = good(text).warnings;
    assert!(warnings.iter().all(|warning| warning.severity == Severity::Warning));
    listed(&warnings)
}

#[test]
fn a_route_that_can_never_match_is_named_with_the_one_before_it() {
    let text = route("match: { path_prefix: /a/, methods: [GET, POST], headers: { X-A: b } }")
        + "  - { upstream: shop, match: { path_prefix: /a, methods: [POST, GET], headers: { x-a: b } } }\n";
    assert_eq!(
        warned(&text),
        ["8:5 route `route-2` can never match: `route-1` matches the same and stands first"]
    );
    let text = route("name: all") + "  - { upstream: shop, match: { path_prefix: / } }\n";
    assert_eq!(
        warned(&text),
        ["8:5 route `route-2` can never match: `all` matches the same and stands first"]
    );
    let text = route("match: { path_prefix: /a }") + "  - { upstream: shop, match: { path: /a } }\n";
    assert!(warned(&text).is_empty());
}

#[test]
fn weights_that_have_no_effect_are_pointed_at() {
    let weigh = |strategy: &str, weight: u32| {
        upstream(strategy)
            .replace("\"127.0.0.1:7001\"", &format!("a:1, {{ address: b:1, weight: {weight} }}"))
    };
    assert_eq!(warned(&weigh("strategy: round_robin", 2)), ["6:46 strategy round_robin ignores weights"]);
    assert!(warned(&weigh("strategy: round_robin", 0)).is_empty());
    assert!(warned(&weigh("strategy: weighted", 2)).is_empty());
}

#[test]
fn a_retry_of_grpc_calls_that_never_happens_is_pointed_at() {
    let text = "`grpc_unavailable` has no effect: gRPC calls are POSTs, which are not sent again once an endpoint has them";
    assert_eq!(warned(&route("retry: { on: [grpc_unavailable] }")), [format!("7:12 {text}")]);
    assert!(warned(&route("retry: { on: [grpc_unavailable], idempotent_calls: true }")).is_empty());
}

#[test]
fn an_upstream_that_no_route_uses_is_pointed_at() {
    let text = MINIMAL.replace("upstreams:\n", "upstreams:\n  spare: { endpoints: [a:1] }\n");
    assert_eq!(warned(&text), ["4:3 no route uses upstream `spare`"]);
}

#[test]
fn an_upstream_of_weight_zero_is_pointed_at() {
    let text = upstream("").replace("\"127.0.0.1:7001\"", "{ address: a:1, weight: 0 }");
    assert_eq!(warned(&text), ["5:16 every endpoint has weight 0, so none gets a request"]);
}

#[test]
fn an_explain_header_for_everybody_is_pointed_at() {
    assert_eq!(warned(&top("explain_header: { addresses: [0.0.0.0/0] }")).len(), 1);
    assert!(warned(&top("explain_header: { addresses: [10.0.0.0/8] }")).is_empty());
}

#[test]
fn an_admin_address_that_others_reach_is_pointed_at() {
    assert_eq!(warned(&top("admin: { address: 0.0.0.0:9900 }")).len(), 1);
    assert!(warned(&top("admin: { address: \"[::1]:9900\" }")).is_empty());
    assert!(warned(&top("admin: { address: \"unix:/run/t.sock\" }")).is_empty());
}

#[test]
fn a_rate_limit_by_what_clients_make_up_is_pointed_at() {
    let by_key = "{ key: { header: X-Api-Key }, rate: 10/h }";
    assert_eq!(
        warned(&route(&format!("rate_limit: {by_key}"))),
        ["6:5 a client of route `route-1` that makes up a header x-api-key is limited by nothing"]
    );
    let both = format!("rate_limit: [ {by_key}, {{ key: client_ip, rate: 100/s }} ]");
    assert!(warned(&route(&both)).is_empty());
}
