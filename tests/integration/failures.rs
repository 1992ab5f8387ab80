//! What a client is told when an endpoint does not do its part, and whether the endpoint may have seen the request.

use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::support::{Blackhole, Message, OK, Origin, Proxy, Refuser, Yaml};

const ASK: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n";

/// A route that takes only what is below `/shop`.
const BELOW_SHOP: &str = "{ match: { path_prefix: /shop }, upstream: shop }";

/// Asserts which answer of Tillgate's own this is.
fn assert_failed(response: &Message, status: u16, reason: &str, sent: Option<&str>) {
    assert_eq!((response.status(), response.reason()), (status, reason), "{}", response.head);
    assert_eq!(response.header("x-tillgate-upstream-sent"), sent, "{}", response.head);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert!(!response.truncated && !response.body.is_empty(), "{response:?}");
}

/// What a client gets from an origin that reads a request, sends these bytes, and closes.
fn answer_to(bytes: impl Into<Vec<u8>>) -> Message {
    let bytes = bytes.into();
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send(&bytes);
    });
    Proxy::before(&[&origin]).get("/")
}

/// An origin that takes requests and never answers.
fn silent() -> Origin {
    Origin::start(|visit| {
        visit.request();
        visit.closes();
    })
}

#[test]
fn an_endpoint_that_refuses_connections_is_502_and_nothing_was_sent() {
    let nobody = Refuser::bind();
    let proxy = Yaml::before_address(nobody.address()).start();
    let mut client = proxy.client();
    for _ in 0..2 {
        assert_failed(&client.post("/", "hello"), 502, "connect_failed", Some("none"));
    }
}

#[test]
fn an_endpoint_that_does_not_take_the_connection_in_time_is_502_and_nothing_was_sent() {
    let nobody = Blackhole::bind();
    let proxy = Yaml::before_address(nobody.address()).connection("connect_timeout: 200ms").start();
    let start = Instant::now();
    let response = proxy.client().post("/", "hello");
    assert_failed(&response, 502, "connect_timeout", Some("none"));
    assert!(start.elapsed() < Duration::from_secs(5), "after {:?}", start.elapsed());
}

#[test]
fn an_endpoint_that_closes_before_it_answers_is_502_and_may_have_seen_the_request() {
    assert_failed(&answer_to(""), 502, "reset", Some("maybe"));
}

#[test]
fn an_endpoint_that_resets_before_it_answers_is_502_and_may_have_seen_the_request() {
    let origin = Origin::start(|visit| {
        visit.request();
        SockRef::from(&visit.stream).set_linger(Some(Duration::ZERO)).expect("linger");
    });
    let response = Proxy::before(&[&origin]).client().post("/", "hello");
    assert_failed(&response, 502, "reset", Some("maybe"));
}

#[test]
fn a_post_is_not_sent_again_when_its_connection_breaks() {
    let origin = Origin::start(|visit| {
        // The first request of a connection is answered, the second is not.
        if visit.request().is_some() && visit.send(OK) {
            visit.request();
        }
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = proxy.client();
    assert_eq!(client.post("/1", "hello").status(), 200);
    assert_failed(&client.post("/2", "hello"), 502, "reset", Some("maybe"));
    let seen: Vec<String> = origin.requests().iter().map(|request| request.asks().to_owned()).collect();
    assert_eq!(seen, ["POST /1", "POST /2"]);
}

#[test]
fn an_endpoint_that_closes_in_the_middle_of_its_head_is_502_and_may_have_seen_the_request() {
    let response = answer_to("HTTP/1.1 200 OK\r\ncontent-le");
    assert_failed(&response, 502, "reset", Some("maybe"));
}

#[test]
fn an_answer_that_is_not_http_is_502_and_the_request_was_seen() {
    let answers: [&[u8]; 9] = [
        b"SSH-2.0-OpenSSH_9.7\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: b\0c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
    ];
    for answer in answers {
        let response = answer_to(answer);
        assert_eq!(
            (response.status(), response.reason()),
            (502, "bad_response"),
            "{}",
            answer.escape_ascii()
        );
        assert_eq!(response.header("x-tillgate-upstream-sent"), Some("yes"), "{}", answer.escape_ascii());
    }
}

#[test]
fn a_client_whose_upload_is_not_read_to_its_end_is_told_that_the_connection_closes() {
    let origin = Origin::start(|visit| drop(visit.request_head()));
    let proxy = Proxy::before(&[&origin]);
    let response = proxy.exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello");
    assert_failed(&response, 502, "reset", Some("maybe"));
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(proxy.client().post("/", "hello").header("connection"), None);
}

#[test]
fn a_response_head_without_an_end_is_502() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\n");
        let line = format!("x-filler: {}\r\n", "x".repeat(1000));
        while visit.send(&line) {}
    });
    let proxy = Proxy::before(&[&origin]);
    assert_failed(&proxy.get("/"), 502, "bad_response", Some("yes"));
    origin.wait_for_ends(1);
}

#[test]
fn endless_interim_responses_do_not_outlast_the_request_timeout() {
    let origin = Origin::start(|visit| {
        visit.request();
        while visit.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n") {}
    });
    let proxy = Yaml::before(&[&origin]).route("timeouts: { request: 500ms }").start();
    let start = Instant::now();
    assert_failed(&proxy.get("/"), 504, "request_timeout", Some("maybe"));
    assert!(start.elapsed() < Duration::from_secs(5), "after {:?}", start.elapsed());
    origin.wait_for_ends(1);
}

#[test]
fn an_endpoint_that_does_not_answer_is_504_after_the_idle_timeout() {
    let origin = silent();
    let proxy = Yaml::before(&[&origin]).route("timeouts: { idle: 300ms }").start();
    let start = Instant::now();
    assert_failed(&proxy.get("/"), 504, "response_timeout", Some("maybe"));
    assert!(start.elapsed() >= Duration::from_millis(300), "after {:?}", start.elapsed());
    origin.wait_for_ends(1);
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 0 && endpoints[0]["failures"] == 1);
}

#[test]
fn a_request_that_takes_longer_than_its_route_allows_is_504() {
    let origin = silent();
    let proxy = Yaml::before(&[&origin]).route("timeouts: { request: 300ms }").start();
    assert_failed(&proxy.get("/"), 504, "request_timeout", Some("maybe"));
    origin.wait_for_ends(1);
}

#[test]
fn a_response_that_stalls_is_cut_off_after_the_idle_timeout() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
        visit.closes();
    });
    let proxy = Yaml::before(&[&origin]).route("timeouts: { idle: 300ms }").start();
    let response = proxy.get("/");
    assert_eq!((response.status(), response.text().as_str(), response.truncated), (200, "hello", true));
    origin.wait_for_ends(1);
}

#[test]
fn a_response_that_trickles_is_cut_off_after_the_request_timeout() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        while visit.send("x") {}
    });
    let proxy = Yaml::before(&[&origin]).route("timeouts: { request: 300ms }").start();
    assert!(proxy.get("/").truncated);
    origin.wait_for_ends(1);
}

#[test]
fn an_upload_that_stalls_is_408_after_the_idle_timeout_and_never_whole() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("timeouts: { idle: 300ms }").start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 10\r\n\r\nhello");
    assert_failed(&client.response(), 408, "body_timeout", Some("maybe"));
    client.expect_closed();
    origin.wait_for_ends(1);
    assert!(origin.request().truncated);
}

#[test]
fn an_upstream_whose_endpoints_all_have_weight_0_is_503() {
    let origin = Origin::answering(OK);
    let drained = format!("{{ address: \"{}\", weight: 0 }}", origin.address());
    let proxy = Yaml::new(&format!("strategy: round_robin, endpoints: [{drained}]")).start();
    assert_failed(&proxy.get("/"), 503, "no_endpoint", Some("none"));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_request_that_no_route_takes_is_404_and_the_connection_goes_on() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).routes(BELOW_SHOP).start();
    let mut client = proxy.client();
    assert_failed(&client.get("/"), 404, "no_route", None);
    assert_eq!(client.get("/shop").status(), 200);
}

#[test]
fn the_body_of_an_unroutable_request_is_not_taken_for_the_next_one() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).routes(BELOW_SHOP).start();
    let mut client = proxy.client();
    let smuggled = "GET /shop/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_failed(&client.post("/", smuggled), 404, "no_route", None);
    client.try_send("GET /shop/next HTTP/1.1\r\nhost: a\r\n\r\n");
    drop(client.try_response());
    assert!(
        origin.requests().iter().all(|request| request.asks() == "GET /shop/next"),
        "{:?}",
        origin.requests()
    );
}

#[test]
fn a_client_that_accepts_json_is_told_in_json() {
    let nobody = Refuser::bind();
    let proxy = Yaml::before_address(nobody.address()).start();
    let ask = "GET / HTTP/1.1\r\nhost: shop.example\r\naccept: text/html, application/json;q=0.9\r\n\r\n";
    let response = proxy.exchange(ask);
    assert_failed(&response, 502, "connect_failed", Some("none"));
    assert_eq!(response.header("content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(body["error"], "connect_failed");
    let plain = proxy.exchange(ASK);
    assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(plain.text().contains("connect_failed"), "{}", plain.text());
}

#[test]
fn an_answer_to_head_has_no_body() {
    let nobody = Refuser::bind();
    let proxy = Yaml::before_address(nobody.address()).start();
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        let response = client.response_to("HEAD").expect("a response");
        assert_eq!((response.status(), response.reason()), (502, "connect_failed"));
    }
}

#[test]
fn a_5xx_of_the_endpoint_is_passed_on_as_it_is() {
    let origin = Origin::answering("HTTP/1.1 503 Closed\r\ncontent-length: 4\r\nretry-after: 9\r\n\r\nlate");
    let response = Proxy::before(&[&origin]).get("/");
    assert_eq!((response.status(), response.reason(), response.text().as_str()), (503, "", "late"));
    assert_eq!(response.header("retry-after"), Some("9"));
    assert_eq!(response.header("x-tillgate-upstream-sent"), None);
}

#[test]
fn one_endpoint_that_fails_does_not_disturb_the_connections_of_another() {
    let (good, nobody) = (Origin::answering(OK), Refuser::bind());
    let both = format!("[\"{}\", \"{}\"]", good.address(), nobody.address());
    let shop = format!("strategy: round_robin, outlier_detection: off, endpoints: {both}");
    let proxy = Yaml::new(&shop).route("retry: off").workers(1).start();
    let mut client = proxy.client();
    let statuses: Vec<u16> = (0..20).map(|_| client.get("/").status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10, "{statuses:?}");
    assert_eq!(good.connections(), 1);
}

#[test]
fn an_endpoint_that_refuses_is_passed_over_and_shown_as_failing() {
    let (living, dead) = (Origin::answering(OK), Refuser::bind());
    let endpoints = format!("[\"{}\", \"{}\"]", living.address(), dead.address());
    let yaml = Yaml::new(&format!("strategy: least_response, endpoints: {endpoints}")).route("retry: off");
    let proxy = yaml.workers(1).start();
    let mut client = proxy.client();
    let failed = (0..600).filter(|_| client.get("/").status() == 502).count();
    // Half of them, were an idle endpoint taken for a good one.
    assert!((1..60).contains(&failed), "{failed} of 600 failed");
    let endpoints = proxy.endpoints_when("shop", |endpoints| endpoints[1]["state"] == "failing");
    assert_eq!((&endpoints[0]["state"], &endpoints[0]["failures"]), (&"up".into(), &0.into()));
}

/// The library's own answer to a malformed head is replaced beneath it; a body that reads the same is not.
#[test]
fn a_body_that_reads_like_an_answer_of_the_library_passes_as_it_is() {
    const BODY: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let (go, told) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BODY.len()));
        // In a write of its own.
        told.lock().expect("a lock").recv().expect("the head has arrived");
        visit.send(BODY);
        visit.closes();
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.head().status(), 200);
    go.send(()).expect("the endpoint waits");
    assert_eq!(String::from_utf8_lossy(&client.read_some(BODY.len())), BODY);
}
