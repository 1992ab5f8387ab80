//! What an upstream lets in, lets wait and turns away.

mod closed;
mod overload;
mod priorities;
mod reloads;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use serde_json::Value;

use crate::support::{Client, Gate, Message, OK, Origin, Proxy, Yaml};

const GET: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n";
const ADMISSION: &str = "/api/v1/upstreams";

/// One endpoint, and more of the upstream.
fn shop(origin: &Origin, more: &str) -> Yaml {
    Yaml::new(&format!("strategy: round_robin, endpoints: [\"{}\"], {more}", origin.address()))
}

/// One endpoint with a bound of its own, and more of the upstream.
fn bounded(origin: &Origin, most: u32, more: &str) -> Yaml {
    let endpoint = format!("{{ address: \"{}\", max_connections: {most} }}", origin.address());
    Yaml::new(&format!("strategy: round_robin, endpoints: [{endpoint}] {more}"))
}

/// `admission` of the upstream `shop`.
fn admission(page: &Value) -> &Value {
    &page["upstreams"][0]["admission"]
}

fn when(proxy: &Proxy, in_flight: u64, waiting: u64) -> Value {
    let page = proxy.admin_when(ADMISSION, |page| {
        admission(page)["in_flight"] == in_flight && admission(page)["waiting"] == waiting
    });
    admission(&page).clone()
}

/// A request that nobody has answered yet.
fn ask(proxy: &Proxy, request: &str) -> Client {
    let mut client = proxy.client();
    client.send(request);
    client
}

/// So many of them.
fn asking(proxy: &Proxy, count: usize) -> Vec<Client> {
    (0..count).map(|_| ask(proxy, GET)).collect()
}

/// Turned away for the load, and told so.
fn turned_away(response: &Message, reason: &str) {
    assert_eq!((response.status(), response.reason()), (503, reason), "{}", response.head);
    assert_eq!(response.header("x-tillgate-upstream-sent"), Some("none"), "{}", response.head);
    let after: u32 = response.header("retry-after").and_then(|after| after.parse().ok()).expect("seconds");
    assert!((1..=3).contains(&after), "{after}");
}

/// Answers what passes the gate, and remembers how many it had at once.
fn counting(gate: &Gate) -> (Origin, Arc<AtomicUsize>) {
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (gate, seen) = (gate.clone(), Arc::clone(&most));
    let origin = Origin::start(move |visit| {
        while visit.request().is_some() {
            seen.fetch_max(busy.fetch_add(1, SeqCst) + 1, SeqCst);
            gate.pass();
            thread::yield_now();
            busy.fetch_sub(1, SeqCst);
            if !visit.send(OK) {
                return;
            }
        }
    });
    (origin, most)
}

#[test]
fn an_endpoint_gets_no_more_than_it_may_have_and_the_rest_is_turned_away_at_once() {
    let gate = Gate::default();
    let (origin, most) = counting(&gate);
    let proxy = bounded(&origin, 2, "").start();
    let mut clients = asking(&proxy, 2);
    origin.wait_for(2);
    (0..4).for_each(|_| turned_away(&proxy.get("/"), "upstream_full"));
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().status() == 200));
    assert_eq!((proxy.get("/").status(), most.load(SeqCst)), (200, 2));
    let page = proxy.admin_json(ADMISSION);
    assert_eq!(admission(&page), &Value::Null, "nothing waits, so nobody asks for a permit");
    assert_eq!(page["upstreams"][0]["endpoints"][0]["max_connections"], 2);
}

#[test]
fn a_full_endpoint_is_passed_over() {
    let gate = Gate::default();
    let (full, free) = (Origin::behind(&gate), Origin::answering(OK));
    let endpoints =
        format!("[ {{ address: \"{}\", max_connections: 1 }}, \"{}\" ]", full.address(), free.address());
    let proxy = Yaml::new(&format!("strategy: round_robin, endpoints: {endpoints}")).start();
    let mut clients = Vec::new();
    crate::support::eventually("a request at the full one", || {
        clients.push(ask(&proxy, GET));
        (full.requests().len() == 1).then_some(())
    });
    assert!((0..20).all(|_| proxy.get("/").status() == 200));
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().status() == 200));
    assert_eq!(full.requests().len(), 1);
}

#[test]
fn when_all_endpoints_are_full_requests_wait_where_there_is_a_queue() {
    let gate = Gate::default();
    let (origin, most) = counting(&gate);
    let proxy = bounded(&origin, 2, ", queue: { max_waiting: 10, timeout: 20s }").start();
    let mut clients = asking(&proxy, 7);
    let told = when(&proxy, 2, 5);
    assert_eq!(told["limit"], 2);
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().status() == 200));
    assert_eq!(most.load(SeqCst), 2);
}

#[test]
fn both_bounds_of_a_queue_hold_exactly() {
    let gate = Gate::default();
    let (origin, most) = counting(&gate);
    let proxy = shop(&origin, "queue: { max_in_flight: 3, max_waiting: 4, timeout: 20s }").workers(4).start();
    let mut clients = asking(&proxy, 7);
    when(&proxy, 3, 4);
    (0..8).for_each(|_| turned_away(&proxy.get("/"), "queue_full"));
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().status() == 200));
    assert_eq!(most.load(SeqCst), 3);
    when(&proxy, 0, 0);
}

#[test]
fn what_is_given_back_on_one_worker_goes_to_who_waits_on_another() {
    let gate = Gate::default();
    gate.open();
    let (origin, most) = counting(&gate);
    let proxy =
        shop(&origin, "queue: { max_in_flight: 1, max_waiting: 100, timeout: 20s }").workers(4).start();
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut client = proxy.client();
                (0..50).for_each(|_| assert_eq!(client.get("/").status(), 200));
            });
        }
    });
    assert_eq!((origin.requests().len(), most.load(SeqCst)), (600, 1));
    let metrics = proxy.metrics();
    let shop = [("upstream", "shop")];
    assert!(metrics.count("tillgate_queue_seconds_count", &shop) > 0);
    assert_eq!(metrics.count("tillgate_upstream_in_flight", &shop), 0);
    assert_eq!(metrics.count("tillgate_queue_waiting", &shop), 0);
    assert_eq!(metrics.count("tillgate_concurrency_limit", &shop), 1);
}

#[test]
fn who_waits_too_long_is_turned_away_and_nothing_of_it_is_sent() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = shop(&origin, "queue: { max_in_flight: 1, timeout: 200ms }").start();
    let mut first = ask(&proxy, GET);
    origin.wait_for(1);
    turned_away(&proxy.client().post("/", "hello"), "queue_timeout");
    gate.open();
    assert_eq!(first.response().status(), 200);
    assert_eq!(origin.requests().len(), 1);
    let labels = [("route", "all"), ("priority", "normal"), ("reason", "queue_timeout")];
    proxy.metrics_when(|now| now.count("tillgate_requests_shed_total", &labels) == 1);
}

#[test]
fn the_time_for_the_whole_request_counts_while_it_waits() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let yaml = shop(&origin, "queue: { max_in_flight: 1, timeout: 20s }");
    let routes = "{ name: all, match: { path_prefix: / }, upstream: shop }, \
         { name: short, match: { path: /short }, upstream: shop, timeouts: { request: 300ms, idle: 1ms } }";
    let proxy = yaml.routes(routes).start();
    let first = ask(&proxy, GET);
    origin.wait_for(1);
    let second = proxy.get("/short");
    assert_eq!((second.status(), second.reason()), (504, "request_timeout"));
    assert_eq!(second.header("x-tillgate-upstream-sent"), Some("none"));
    gate.open();
    drop(first);
}

#[test]
fn a_client_that_goes_away_leaves_the_queue_at_once() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = shop(&origin, "queue: { max_in_flight: 1, max_waiting: 2, timeout: 60s }").start();
    let mut first = ask(&proxy, GET);
    origin.wait_for(1);
    let post = "POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 5\r\n\r\nhello";
    let gone = [ask(&proxy, GET), ask(&proxy, post)];
    when(&proxy, 1, 2);
    drop(gone);
    when(&proxy, 1, 0);
    let mut last = ask(&proxy, GET);
    when(&proxy, 1, 1);
    gate.open();
    assert_eq!((first.response().status(), last.response().status()), (200, 200));
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_client_that_goes_away_while_it_is_served_gives_its_permit_back() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = shop(&origin, "queue: { max_in_flight: 1, timeout: 20s }").start();
    let first = ask(&proxy, GET);
    origin.wait_for(1);
    let mut second = ask(&proxy, GET);
    when(&proxy, 1, 1);
    drop(first);
    origin.wait_for(2);
    gate.open();
    assert_eq!(second.response().status(), 200);
}

#[test]
fn a_body_that_came_while_its_request_waited_goes_on_whole() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = shop(&origin, "queue: { max_in_flight: 1, timeout: 20s }").start();
    let mut first = ask(&proxy, GET);
    origin.wait_for(1);
    let mut second = ask(&proxy, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\nhello");
    when(&proxy, 1, 1);
    second.send(" world");
    let mut third =
        ask(&proxy, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n");
    when(&proxy, 1, 2);
    gate.open();
    assert_eq!((first.response().status(), second.response().status()), (200, 200));
    assert_eq!(third.response().status(), 100);
    assert_eq!(third.send("hi").response().status(), 200);
    let bodies: Vec<String> = origin.requests().iter().map(Message::text).collect();
    assert_eq!(bodies, ["", "hello world", "hi"]);
}

#[test]
fn a_request_that_is_sent_again_has_one_permit_all_the_time() {
    let broken = Origin::start(|visit| drop(visit.request()));
    let good = Origin::answering(OK);
    let endpoints = format!(
        "[ {{ address: \"{}\", max_connections: 1 }}, {{ address: \"{}\", max_connections: 1 }} ]",
        broken.address(),
        good.address()
    );
    let queue = "queue: { max_in_flight: 1, max_waiting: 0 }";
    let proxy =
        Yaml::new(&format!("strategy: round_robin, endpoints: {endpoints}, {queue}")).workers(1).start();
    assert!((0..6).all(|_| proxy.get("/").status() == 200));
    assert!(!broken.requests().is_empty());
    when(&proxy, 0, 0);
    proxy.endpoints_when("shop", |all| all.iter().all(|one| one["in_flight"] == 0));
}

#[test]
fn an_endpoint_with_one_place_may_be_asked_again_over_a_new_connection() {
    let origin = Origin::start(|visit| {
        if visit.request().is_some() && visit.send(OK) {
            visit.request();
        }
    });
    let proxy = bounded(&origin, 1, "").workers(1).start();
    let mut client = proxy.client();
    assert_eq!(["/1", "/2", "/3"].map(|path| client.get(path).status()), [200; 3]);
}

#[test]
fn an_adaptive_limit_is_measured_and_shown() {
    let origin = Origin::answering(OK);
    let proxy = shop(&origin, "adaptive_concurrency: { min: 1, max: 30 }").workers(1).start();
    assert_eq!(when(&proxy, 0, 0)["limit"], 1);
    let mut client = proxy.client();
    let limit = crate::support::eventually("a limit that was measured", || {
        (0..20).for_each(|_| assert_eq!(client.get("/").status(), 200));
        admission(&proxy.admin_json(ADMISSION))["limit"].as_u64().filter(|limit| *limit > 1)
    });
    assert!(limit <= 30, "{limit}");
}

#[test]
fn without_a_queue_what_is_over_an_adaptive_limit_is_turned_away() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = shop(&origin, "adaptive_concurrency: { min: 1, max: 1 }").route("priority: critical").start();
    let mut first = ask(&proxy, GET);
    origin.wait_for(1);
    turned_away(&proxy.get("/"), "upstream_full");
    gate.open();
    assert_eq!(first.response().status(), 200);
}
