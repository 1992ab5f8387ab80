//! A route's own strategy over the endpoints that it shares with others, and strategies exchanged for one another.

use std::sync::atomic::AtomicU64;

use serde_json::{Value, json};

use crate::load::{STRATEGIES, let_some_through, under_load};
use crate::support::{Client, Gate, Origin, Proxy, Yaml, endpoints, ok_with};

/// One upstream by round robin over these, and a route `/own` to it with `strategy`.
fn with_route(origins: &[&Origin], strategy: &str) -> Yaml {
    Yaml::before(origins).routes(&format!(
        "{{ name: all, match: {{ path_prefix: / }}, upstream: shop }}, \
         {{ name: own, match: {{ path_prefix: /own }}, upstream: shop, strategy: {strategy} }}"
    ))
}

fn counts(origins: &[Origin]) -> Vec<usize> {
    origins.iter().map(|origin| origin.requests().len()).collect()
}

#[test]
fn a_route_balances_its_own_way_and_the_others_keep_theirs() {
    let origins = ["a", "b", "c"].map(Origin::echoing);
    let [a, b, c] = &origins;
    let yaml = with_route(&[a, b, c], "consistent_hash, hash: { on: path }").workers(1);
    let proxy = yaml.start();
    let mut client = proxy.client();
    (0..30).for_each(|_| drop(client.get("/own/1")));
    let own = counts(&origins);
    assert!(own.contains(&30), "one path, one endpoint: {own:?}");
    (0..30).for_each(|_| drop(client.get("/other")));
    let more: Vec<usize> = counts(&origins).iter().zip(&own).map(|(now, then)| now - then).collect();
    assert_eq!(more, [10, 10, 10], "the upstream's own turns");
    let page = proxy.admin_json("/api/v1/upstreams");
    assert_eq!(page["upstreams"][0]["strategy"], "round_robin");
    let overrides = json!([{ "route": "own", "strategy": "consistent_hash" }]);
    assert_eq!(page["upstreams"][0]["overrides"], overrides);
}

#[test]
fn turns_of_two_routes_do_not_shift_one_another() {
    let origins = ["a", "b"].map(Origin::echoing);
    let proxy = with_route(&[&origins[0], &origins[1]], "round_robin").workers(1).start();
    let mut client = proxy.client();
    let mut answered = |path: &str| client.get(path).text().remove(0);
    // Alternating, with one place for both, each route would meet one endpoint only.
    let own: Vec<char> = (0..6).map(|_| (answered("/own"), answered("/other")).0).collect();
    assert!(own.windows(2).all(|pair| pair[0] != pair[1]), "{own:?}");
}

#[test]
fn a_route_sees_the_requests_in_flight_of_the_others() {
    let gate = Gate::default();
    let origins = [holding("a", &gate), holding("b", &gate)];
    let proxy = with_route(&[&origins[0], &origins[1]], "least_connections").start();
    let mut held = proxy.client();
    held.send("GET /held HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    crate::support::eventually("the request at an origin", || counts(&origins).contains(&1).then_some(()));
    let busy = counts(&origins).iter().position(|count| *count == 1).expect("one has it");
    (0..20).for_each(|_| assert_eq!(proxy.get("/own").status(), 200));
    assert_eq!((counts(&origins)[busy], counts(&origins)[1 - busy]), (1, 20));
    gate.open();
    assert_eq!(held.response().status(), 200);
}

/// Answers like an echo, save that `/held` waits for the gate.
fn holding(name: &'static str, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |visit| {
        while let Some(request) = visit.request() {
            let target = request.start_line().split(' ').nth(1).unwrap_or("").to_owned();
            if target == "/held" {
                gate.pass();
            }
            if !visit.send(ok_with(&format!("{name} {target}"))) {
                return;
            }
        }
    })
}

/// Every strategy before and after every other.
fn every_exchange() -> impl Iterator<Item = &'static str> {
    let pairs = (0..7).flat_map(|from| (0..7).map(move |to| (from, to)));
    pairs.filter(|(from, to)| from != to).flat_map(|(from, to)| [STRATEGIES[from], STRATEGIES[to]])
}

fn sum(endpoints: &[Value], key: &str) -> u64 {
    endpoints.iter().map(|one| one[key].as_u64().expect("a number")).sum()
}

/// Goes through every exchange under load, with a request held all the time; nothing that is known may be lost.
fn exchanges_keep_everything(yaml: impl Fn(&[&Origin], &str) -> Yaml) {
    let gate = Gate::default();
    let origins = ["a", "b", "c"].map(|name| holding(name, &gate));
    let [a, b, c] = &origins;
    let proxy = yaml(&[a, b, c], "least_response").start();
    let mut held = hold_one(&proxy, &origins);
    let address = origins.iter().find(|origin| !origin.requests().is_empty()).expect("one").address();
    let is_held = |one: &Value| one["address"] == address.to_string().as_str();
    let answered = under_load(proxy.web(), |sent: &AtomicU64| {
        let mut samples = 0;
        for strategy in every_exchange() {
            let answer = proxy.reload(&yaml(&[a, b, c], strategy).to_string());
            assert_eq!(answer.status(), 200, "{}", answer.text());
            let_some_through(sent);
            let now = proxy.endpoints_when("shop", |_| true);
            let busy = now.iter().find(|one| is_held(one)).expect("the endpoint");
            assert!(busy["in_flight"].as_u64() >= Some(1), "{strategy}: {now:?}");
            assert!(sum(&now, "samples") >= samples, "{strategy}: {now:?}");
            samples = sum(&now, "samples");
        }
    });
    let end =
        proxy.endpoints_when("shop", |all| sum(all, "requests") >= answered && sum(all, "in_flight") == 1);
    assert_eq!(sum(&end, "samples"), answered, "each latency is still known: {end:?}");
    assert_eq!(sum(&end, "failures"), 0);
    assert!(end.iter().all(|one| one["in_flight"] == u32::from(is_held(one))), "{end:?}");
    gate.open();
    assert_eq!(held.response().status(), 200);
    proxy.endpoints_when("shop", |all| sum(all, "in_flight") == 0 && sum(all, "requests") == answered + 1);
}

fn hold_one(proxy: &Proxy, origins: &[Origin]) -> Client {
    let mut client = proxy.client();
    client.send("GET /held HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    crate::support::eventually("the request at an origin", || {
        (counts(origins).iter().sum::<usize>() == 1).then_some(())
    });
    client
}

/// A window in which no sample grows old during the test.
const LONG: &str = "least_response: { window: 10m }";

#[test]
fn an_upstream_s_strategy_is_exchanged_for_any_other_under_load_and_nothing_is_forgotten() {
    exchanges_keep_everything(|origins, strategy| {
        Yaml::new(&format!("strategy: {strategy}, {LONG}, endpoints: {}", endpoints(origins)))
    });
}

#[test]
fn a_route_s_strategy_is_exchanged_for_any_other_under_load_and_nothing_is_forgotten() {
    exchanges_keep_everything(|origins, strategy| {
        Yaml::new(&format!("strategy: random, {LONG}, endpoints: {}", endpoints(origins))).routes(&format!(
            "{{ name: all, match: {{ path_prefix: / }}, upstream: shop, strategy: {strategy} }}"
        ))
    });
}

#[test]
fn a_route_that_loses_its_strategy_goes_by_its_upstream_s_again() {
    let origins = ["a", "b"].map(Origin::echoing);
    let own = with_route(&[&origins[0], &origins[1]], "consistent_hash, hash: { on: path }").workers(1);
    let proxy = own.start();
    let mut client = proxy.client();
    (0..6).for_each(|_| drop(client.get("/own")));
    assert!(counts(&origins).contains(&6), "{:?}", counts(&origins));
    let plain = Yaml::before(&[&origins[0], &origins[1]]).workers(1);
    assert_eq!(proxy.reload(&plain.to_string()).status(), 200);
    (0..6).for_each(|_| drop(client.get("/own")));
    assert_eq!(counts(&origins).iter().min(), Some(&3));
}
