//! Endpoints that get nothing new, and what is still in flight there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::{ADMISSION, Client, admission, ask};
use crate::health::QUICK;
use crate::sticky::cookie;
use crate::support::{Gate, Origin, Proxy, Yaml, eventually, ok_with};

/// Answers with its name, to `/hold` when the gate opens, and to checks as long as it is well.
fn named(name: &'static str, gate: &Gate) -> (Origin, Arc<AtomicBool>) {
    let (gate, well) = (gate.clone(), Arc::new(AtomicBool::new(true)));
    let is_well = Arc::clone(&well);
    let origin = Origin::start(move |visit| {
        while let Some(request) = visit.request() {
            if request.asks() == "GET /hold" {
                gate.pass();
            }
            if request.asks() == "GET /healthz" && !is_well.load(SeqCst) {
                return;
            }
            if !visit.send(ok_with(name)) {
                return;
            }
        }
    });
    (origin, well)
}

fn held(origin: &Origin) -> usize {
    origin.requests().iter().filter(|request| request.asks() == "GET /hold").count()
}

fn hold(proxy: &Proxy, cookies: &str) -> Client {
    ask(proxy, &format!("GET /hold HTTP/1.1\r\nhost: shop.example\r\ncookie: {cookies}\r\n\r\n"))
}

fn limit_becomes(proxy: &Proxy, limit: u64) {
    proxy.admin_when(ADMISSION, |page| admission(page)["limit"] == limit);
}

/// Two endpoints of which one hangs: everything goes to the other as soon as the health check has taken it out.
fn one_hangs(bound: &str, queue: &str) {
    let (gate, never) = (Gate::default(), Gate::default());
    let ((hung, is_well), (well, _)) = (named("hung", &gate), named("well", &never));
    never.open();
    let endpoint = |origin: &Origin| format!("{{ address: \"{}\" {bound} }}", origin.address());
    let proxy = Yaml::new(&format!(
        "strategy: round_robin, endpoints: [ {}, {} ], health_check: {{ path: /healthz, {QUICK} }}, \
         queue: {{ {queue} timeout: 1s }}",
        endpoint(&hung),
        endpoint(&well)
    ))
    .workers(1)
    .start();
    let mut stuck = Vec::new();
    // In turns; the first may be anybody's. What goes to the one that is well is answered.
    while held(&hung) < 2 {
        stuck.push(hold(&proxy, ""));
        let sent = stuck.len();
        eventually("the request at one of them", || (held(&hung) + held(&well) == sent).then_some(()));
    }
    is_well.store(false, SeqCst);
    proxy.endpoints_when("shop", |all| all[0]["state"] == "unhealthy");
    for _ in 0..10 {
        let answer = proxy.get("/");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "well"), "{}", answer.head);
    }
    limit_becomes(&proxy, 4);
    gate.open();
    assert!(stuck.iter_mut().all(|client| client.response().status() == 200));
    limit_becomes(&proxy, 2);
}

#[test]
fn what_hangs_at_an_unhealthy_endpoint_takes_no_room_from_the_others() {
    one_hangs(", max_connections: 2", "");
}

#[test]
fn what_hangs_at_an_unhealthy_endpoint_takes_nothing_of_what_the_upstream_may_have() {
    one_hangs("", "max_in_flight: 2,");
}

#[test]
fn what_sticks_to_a_drained_endpoint_takes_no_room_from_new_clients() {
    let gate = Gate::default();
    let origins = ["a", "b"].map(|name| named(name, &gate).0);
    let endpoint = |origin: &Origin| format!("{{ address: \"{}\", max_connections: 1 }}", origin.address());
    let endpoints = origins.each_ref().map(endpoint).join(", ");
    let proxy = Yaml::new(&format!(
        "strategy: round_robin, endpoints: [ {endpoints} ], sticky: {{}}, queue: {{ timeout: 1s }}"
    ))
    .start();
    let kept = eventually("an answer of a", || {
        let answer = proxy.get("/");
        (answer.text() == "a").then(|| cookie(&answer, "tillgate").expect("a cookie"))
    });
    let drain = format!("/api/v1/upstreams/shop/endpoints/{}/drain", origins[0].address());
    assert_eq!(proxy.admin("POST", &drain).status(), 200);
    let mut sticks = hold(&proxy, &format!("tillgate={kept}"));
    eventually("the request at a", || (held(&origins[0]) == 1).then_some(()));
    for _ in 0..10 {
        let answer = proxy.get("/");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "b"), "{}", answer.head);
    }
    gate.open();
    assert_eq!(sticks.response().text(), "a");
}
