//! Copies of requests, whose answers nobody gets.

use crate::support::{Gate, Metrics, OK, Origin, Proxy, Refuser, Yaml, endpoints, ok_with};

/// `shop` is the first, `next` where its copies go; the route `all` has a `mirror` with these keys more.
fn yaml(origin: &Origin, copies: &str, keys: &str) -> Yaml {
    Yaml::before(&[origin])
        .upstream(&format!("next: {{ endpoints: [\"{copies}\"] }}"))
        .route(&format!("mirror: {{ upstream: next{keys} }}"))
}

fn before(origin: &Origin, copies: &Origin, keys: &str) -> Proxy {
    yaml(origin, &copies.address().to_string(), keys).start()
}

fn sent(metrics: &Metrics, result: &str) -> u64 {
    let labels = [("route", "all"), ("upstream", "next"), ("result", result)];
    metrics.count("tillgate_mirror_requests_total", &labels)
}

fn dropped(metrics: &Metrics, reason: &str) -> u64 {
    let labels = [("route", "all"), ("upstream", "next"), ("reason", reason)];
    metrics.count("tillgate_mirror_dropped_total", &labels)
}

#[test]
fn a_copy_is_the_request_and_says_that_it_is_one() {
    let (origin, copies) = (Origin::echoing("a"), Origin::echoing("b"));
    let proxy = before(&origin, &copies, "");
    let mut client = proxy.client();
    let request = "POST /pay?x=1 HTTP/1.1\r\nhost: shop.example\r\nx-tillgate-mirror: 1\r\n\
                   X_Tillgate_Mirror: 1\r\nx-shop: main\r\ncontent-length: 4\r\n\r\ncart";
    let answer = client.send(request).response();
    assert_eq!(answer.text(), "a /pay?x=1");
    copies.wait_for(1);
    let (original, copy) = (origin.request(), copies.request());
    assert_eq!((copy.start_line(), &copy.body), (original.start_line(), &original.body));
    for name in ["host", "x-shop", "x-request-id", "x-forwarded-for", "content-length"] {
        assert!(original.header(name).is_some(), "{name}");
        assert_eq!(copy.header(name), original.header(name), "{name}");
    }
    assert_eq!(copy.header("x-tillgate-mirror"), Some("1"));
    assert_eq!(original.header("x-tillgate-mirror"), None, "no client may make a request look like a copy");
    assert_eq!(original.header("x_tillgate_mirror"), None);
    assert_eq!(client.get("/").text(), "a /");
    copies.wait_for(2);
    assert_eq!(copies.requests()[1].asks(), "GET /");
    assert_eq!(copies.connections(), 1, "whose answer has been read serves again");
}

#[test]
fn a_copy_of_a_request_without_a_host_has_that_of_its_own_endpoint() {
    let (origin, copies) = (Origin::answering(OK), Origin::answering(OK));
    assert_eq!(before(&origin, &copies, "").exchange("GET / HTTP/1.0\r\n\r\n").status(), 200);
    copies.wait_for(1);
    for one in [&origin, &copies] {
        assert_eq!(one.request().header("host"), Some(one.address().to_string().as_str()));
    }
}

#[test]
fn a_hanging_mirror_delays_nobody_and_is_sent_no_more_than_its_bound() {
    let gate = Gate::default();
    let (origin, copies) = (Origin::answering(OK), Origin::behind(&gate));
    let proxy = before(&origin, &copies, ", max_in_flight: 3");
    let mut client = proxy.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").status(), 200);
    }
    copies.wait_for(3);
    let metrics = proxy.metrics();
    assert_eq!((dropped(&metrics, "busy"), sent(&metrics, "answered")), (17, 0));
    assert_eq!(metrics.count("tillgate_mirror_in_flight", &[]), 3);
    gate.open();
    proxy.metrics_when(|metrics| {
        sent(metrics, "answered") == 3 && metrics.count("tillgate_mirror_in_flight", &[]) == 0
    });
    assert_eq!(client.get("/").status(), 200);
    proxy.metrics_when(|metrics| sent(metrics, "answered") == 4);
}

#[test]
fn a_copy_that_gets_no_answer_is_given_up() {
    let (gate, origin) = (Gate::default(), Origin::answering(OK));
    let copies = Origin::behind(&gate);
    let keys = "timeouts: { request: 300ms }, mirror: { upstream: next }";
    let next = format!("next: {{ endpoints: [\"{}\"] }}", copies.address());
    let proxy = Yaml::before(&[&origin]).upstream(&next).route(keys).start();
    assert_eq!(proxy.get("/").status(), 200);
    proxy.metrics_when(|metrics| sent(metrics, "failed") == 1);
    gate.open();
}

#[test]
fn a_larger_or_unfinished_body_is_not_copied() {
    let (origin, copies) = (Origin::answering(OK), Origin::answering(OK));
    let proxy = before(&origin, &copies, ", max_body: 10");
    let mut client = proxy.client();
    assert_eq!(client.post("/large", "01234567890").status(), 200);
    client.send("POST /chunked HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send("b\r\n01234567890\r\n0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(client.post("/small", "0123456789").status(), 200);
    copies.wait_for(1);
    assert_eq!((copies.request().asks(), copies.request().text().as_str()), ("POST /small", "0123456789"));
    assert_eq!(dropped(&proxy.metrics(), "body"), 2);
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn nobody_sees_a_mirror_fail() {
    let (origin, dead) = (Origin::answering(OK), Refuser::bind());
    let proxy = yaml(&origin, &dead.address().to_string(), "").start();
    let mut client = proxy.client();
    for _ in 0..5 {
        let answer = client.get("/");
        assert_eq!((answer.status(), answer.reason()), (200, ""));
    }
    let metrics = proxy.metrics_when(|metrics| sent(metrics, "failed") == 5);
    assert_eq!(metrics.count("tillgate_retries_total", &[]), 0);
    proxy.metrics_when(|metrics| {
        metrics.count("tillgate_requests_total", &[("route", "all"), ("code", "2xx")]) == 5
    });
    assert_eq!(proxy.metrics().count("tillgate_endpoint_failures_total", &[("upstream", "shop")]), 0);
}

#[test]
fn a_share_of_the_requests_is_copied_and_none_counts_as_one() {
    let (origin, copies) = (Origin::answering(OK), Origin::answering(OK));
    let proxy = before(&origin, &copies, ", percent: 20");
    let mut client = proxy.client();
    (0..1000).for_each(|_| assert_eq!(client.get("/").status(), 200));
    let all = |metrics: &Metrics| sent(metrics, "answered") + dropped(metrics, "busy");
    let in_flight = |metrics: &Metrics| metrics.count("tillgate_mirror_in_flight", &[]);
    let metrics = proxy.metrics_when(|metrics| in_flight(metrics) == 0);
    // Six standard deviations.
    assert!((124..=276).contains(&all(&metrics)), "{}", all(&metrics));
    assert_eq!(copies.requests().len() as u64, sent(&metrics, "answered"));
    let shop = proxy.endpoints_when("shop", |all| all[0]["requests"] == 1000);
    let next = proxy.endpoints_when("next", |all| all[0]["samples"].as_u64() > Some(0));
    assert_eq!((&shop[0]["in_flight"], &next[0]["requests"]), (&0.into(), &0.into()));
    let none = before(&origin, &copies, ", percent: 0");
    let mut client = none.client();
    (0..50).for_each(|_| assert_eq!(client.get("/").status(), 200));
    assert_eq!(all(&none.metrics()), 0);
}

#[test]
fn no_name_leads_a_copy_back_to_the_endpoint_of_its_request() {
    let origin = Origin::answering(ok_with("once"));
    let proxy = yaml(&origin, &format!("localhost:{}", origin.address().port()), "").start();
    assert_eq!(proxy.client().post("/pay", "1").text(), "once");
    proxy.metrics_when(|metrics| sent(metrics, "failed") == 1);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn no_copy_goes_to_an_endpoint_of_another_branch_of_its_split() {
    let (one, two) = (Origin::answering(OK), Origin::answering(OK));
    let [branch, copies] = ["localhost", "127.0.0.1"].map(|host| format!("{host}:{}", two.address().port()));
    let proxy = Yaml::before(&[&one])
        .upstream(&format!("two: {{ endpoints: [\"{branch}\"] }}, next: {{ endpoints: [\"{copies}\"] }}"))
        .routes(
            "{ name: all, split: [ { upstream: shop, weight: 1 }, { upstream: two, weight: 1 } ], \
             mirror: { upstream: next } }",
        )
        .start();
    let mut client = proxy.client();
    let posted = (0..40).filter(|_| client.post("/pay", "1").status() == 200).count();
    proxy.metrics_when(|metrics| sent(metrics, "failed") + sent(metrics, "answered") == 40);
    assert_eq!(one.requests().len() + two.requests().len(), posted);
}

/// `next` holds what it gets until the gate is opened, and says this of itself.
fn before_held(origin: &Origin, held: &Origin, endpoint: &str, more: &str) -> Proxy {
    let endpoint = format!("{{ address: \"{}\"{endpoint} }}", held.address());
    Yaml::before(&[origin])
        .upstream(&format!("next: {{ endpoints: [{endpoint}]{more} }}"))
        .route("mirror: { upstream: next }")
        .start()
}

#[test]
fn copies_keep_to_what_an_endpoint_may_have_and_what_its_upstream_may() {
    let queue = ", queue: { max_in_flight: 2, max_waiting: 10, timeout: 20s }";
    for (endpoint, more) in [(", max_connections: 2", ""), ("", queue)] {
        let (gate, origin) = (Gate::default(), Origin::answering(OK));
        let held = Origin::behind(&gate);
        let proxy = before_held(&origin, &held, endpoint, more);
        let mut client = proxy.client();
        (0..5).for_each(|_| assert_eq!(client.get("/").status(), 200));
        proxy.metrics_when(|metrics| dropped(metrics, "busy") == 3);
        held.wait_for(2);
        gate.open();
        let metrics = proxy.metrics_when(|metrics| sent(metrics, "answered") == 2);
        assert_eq!((held.requests().len(), sent(&metrics, "failed")), (2, 0));
        client.get("/");
        proxy.metrics_when(|metrics| sent(metrics, "answered") == 3);
    }
}

#[test]
fn what_copies_come_to_is_not_held_against_an_endpoint_that_serves_a_route() {
    let (origin, next) = (
        Origin::answering(OK),
        Origin::start(|visit| {
            while let Some(request) = visit.request() {
                let copy = request.header("x-tillgate-mirror").is_some();
                let unwell = b"HTTP/1.1 503 Unwell\r\ncontent-length: 0\r\n\r\n";
                visit.send(if copy { &unwell[..] } else { OK });
            }
        }),
    );
    let other = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin])
        .upstream(&format!("next: {{ strategy: round_robin, endpoints: {} }}", endpoints(&[&next, &other])))
        .routes(
            "{ name: all, match: { path_prefix: / }, upstream: shop, mirror: { upstream: next } }, \
             { name: next, match: { path: /next }, upstream: next }",
        )
        .workers(1)
        .start();
    let mut client = proxy.client();
    (0..20).for_each(|_| assert_eq!(client.get("/").status(), 200));
    proxy.metrics_when(|metrics| sent(metrics, "answered") == 20);
    assert_eq!(next.requests().len(), 10);
    (0..2).for_each(|_| assert_eq!(client.get("/next").status(), 200));
    // What is told of copies has come before this.
    let told = proxy.endpoints_when("next", |all| all.iter().all(|one| one["requests"] == 1));
    assert!(told.iter().all(|one| one["samples"] == 1 && one["state"] == "up"), "{told:?}");
}
