//! Paths and hosts that endpoints know under another name.

use crate::support::{Message, OK, Origin, Proxy, Yaml, endpoints, eventually};

fn with(origin: &Origin, matches: &str, rewrite: &str) -> Proxy {
    let route = format!("{{ name: all, match: {{ {matches} }}, upstream: shop, rewrite: {{ {rewrite} }} }}");
    Yaml::before(&[origin]).routes(&route).start()
}

/// What the endpoint is asked for.
fn asked(matches: &str, rewrite: &str, target: &str) -> String {
    let origin = Origin::answering(OK);
    let answer = with(&origin, matches, rewrite).get(target);
    assert_eq!(answer.status(), 200, "{}", answer.head);
    origin.request().asks().trim_start_matches("GET ").to_owned()
}

fn forwarded(origin: &Origin, proxy: &Proxy, request: &str) -> Message {
    assert_eq!(proxy.exchange(request).status(), 200);
    origin.requests().pop().expect("a request")
}

#[test]
fn the_matched_prefix_is_replaced_and_the_rest_and_the_query_stay() {
    let sent = |target| asked("path_prefix: /api/payments", "path_prefix: /payments", target);
    for (target, wanted) in [
        ("/api/payments", "/payments"),
        ("/api/payments/", "/payments/"),
        ("/api/payments/7?a=%2F&b=//", "/payments/7?a=%2F&b=//"),
        ("/api//payments//7//x", "/payments/7//x"),
        ("/api/p%61yments/a%2fb/%E2%82%AC", "/payments/a%2fb/%E2%82%AC"),
        ("/api/payments/x/../y", "/payments/y"),
    ] {
        assert_eq!(sent(target), wanted, "{target}");
    }
}

#[test]
fn a_prefix_may_be_taken_off_or_put_before() {
    assert_eq!(asked("path_prefix: /api", "path_prefix: /", "/api"), "/");
    assert_eq!(asked("path_prefix: /api", "path_prefix: /", "/api?x"), "/?x");
    assert_eq!(asked("path_prefix: /api", "path_prefix: /", "/api//evil.example"), "/evil.example");
    assert_eq!(asked("path_prefix: /", "path_prefix: /v2", "/a/b"), "/v2/a/b");
    assert_eq!(asked("host: shop.example", "path_prefix: /v2", "/"), "/v2/");
}

#[test]
fn a_whole_path_or_what_a_pattern_finds_may_be_replaced() {
    assert_eq!(asked("path: /old", "path_prefix: /new", "/old?x=1"), "/new?x=1");
    assert_eq!(asked("path_prefix: /old", "path: \"/new page\"", "/old/a/b?x"), "/new%20page?x");
    let pattern = "path_regex: { pattern: '^/p/([0-9]+)', replacement: '/products/$1' }";
    assert_eq!(asked("path_regex: ^/p/", pattern, "/p/17/reviews?page=2"), "/products/17/reviews?page=2");
    assert_eq!(asked("path_regex: ^/p/", pattern, "/p/x"), "/p/x");
}

#[test]
fn no_rewritten_path_has_dot_segments() {
    let origin = Origin::answering(OK);
    let proxy =
        with(&origin, "path_prefix: /", "path_regex: { pattern: '^/shop-(.*)$', replacement: '/shop/$1' }");
    for target in ["/shop-..", "/shop-../admin", "/shop-%2e%2e/admin", "/shop-..%2fadmin"] {
        let answer = proxy.get(target);
        assert_eq!((answer.status(), answer.reason()), (400, "path_disguised_dots"), "{target}");
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn a_path_that_becomes_too_long_is_refused() {
    let origin = Origin::answering(OK);
    let long = "x".repeat(900);
    let proxy = with(&origin, "path_prefix: /", &format!("path_prefix: /{long}"));
    let answer = proxy.get(&format!("/{}", "y".repeat(65_000)));
    assert_eq!((answer.status(), answer.reason()), (414, "uri_too_long"));
    assert_eq!(proxy.get(&format!("/{}", "y".repeat(60_000))).status(), 200);
}

#[test]
fn the_endpoint_gets_another_host_and_is_told_the_client_s() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "path_prefix: /", "host: \"payments.internal:8080\"");
    let sent = forwarded(&origin, &proxy, "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!(sent.header("host"), Some("payments.internal:8080"));
    assert_eq!(sent.header("x-forwarded-host"), Some("shop.example"));
    let sent = forwarded(&origin, &proxy, "GET http://shop.example/ HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!((sent.asks(), sent.header("host")), ("GET /", Some("payments.internal:8080")));
    let sent = forwarded(&origin, &proxy, "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(sent.header("host"), Some("payments.internal:8080"));
}

#[test]
fn options_of_the_whole_server_stays_what_it_is() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "host: shop.example", "path_prefix: /v2");
    let sent = forwarded(&origin, &proxy, "OPTIONS * HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!(sent.asks(), "OPTIONS *");
}

const EDITS: &str =
    "rewrite: { path_prefix: /v2, host: shop.internal }, request_headers: { set: { X-Shop: main } }";

fn is_edited(request: &Message) {
    assert_eq!(request.asks(), "GET /v2/a?b");
    assert_eq!((request.header("host"), request.header("x-shop")), (Some("shop.internal"), Some("main")));
}

#[test]
fn a_request_that_is_sent_again_is_rewritten_once() {
    let broken = Origin::start(|visit| drop(visit.request()));
    let origin = Origin::answering(OK);
    let route = format!("{EDITS}, retry: {{ attempts: 1 }}");
    let proxy = Yaml::before(&[&broken, &origin]).workers(1).route(&route).start();
    let mut client = proxy.client();
    for _ in 0..4 {
        assert_eq!(client.get("/a?b").status(), 200);
    }
    assert!(!broken.requests().is_empty());
    broken.requests().iter().chain(&origin.requests()).for_each(is_edited);
}

#[test]
fn a_copy_is_what_the_endpoint_gets() {
    let (origin, next) = (Origin::answering(OK), Origin::answering(OK));
    let route = format!("{EDITS}, mirror: {{ upstream: next, percent: 100 }}");
    let upstream = format!("next: {{ endpoints: {} }}", endpoints(&[&next]));
    let proxy = Yaml::before(&[&origin]).upstream(&upstream).route(&route).start();
    for request in ["GET /a?b HTTP/1.1\r\nhost: shop.example\r\n\r\n", "GET /a?b HTTP/1.0\r\n\r\n"] {
        assert_eq!(proxy.exchange(request).status(), 200);
    }
    let copies = eventually("copies", || Some(next.requests()).filter(|copies| copies.len() == 2));
    copies.iter().chain(&origin.requests()).for_each(is_edited);
}

#[test]
fn what_the_endpoint_says_of_places_is_left_alone() {
    let origin = Origin::answering(
        "HTTP/1.1 302 Found\r\nlocation: http://shop.internal/v2/b\r\nset-cookie: a=b; path=/v2\r\ncontent-length: 0\r\n\r\n",
    );
    let answer = Yaml::before(&[&origin]).route(EDITS).start().get("/a");
    assert_eq!(answer.header("location"), Some("http://shop.internal/v2/b"));
    assert_eq!(answer.header("set-cookie"), Some("a=b; path=/v2"));
}
