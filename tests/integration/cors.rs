//! Pages of other origins (the CORS protocol of the Fetch standard).

use crate::support::{Message, OK, Origin, Proxy, Yaml, free_address};

const POLICY: &str = "cors: { allow_origins: [\"https://www.shop.example\", \"https://*.app.example\"], \
    allow_methods: [GET, PUT], allow_headers: [Content-Type, X-Cart], expose_headers: [X-Page], \
    allow_credentials: true, max_age: 1h }";

const PAGE: &str = "https://www.shop.example";

fn ask(proxy: &Proxy, asks: &str, lines: &str) -> Message {
    proxy.exchange(format!("{asks} HTTP/1.1\r\nhost: api.example\r\n{lines}\r\n"))
}

fn preflight(proxy: &Proxy, path: &str, origin: &str, method: &str) -> Message {
    let lines = format!(
        "origin: {origin}\r\naccess-control-request-method: {method}\r\naccess-control-request-headers: x-cart\r\n"
    );
    ask(proxy, &format!("OPTIONS {path}"), &lines)
}

/// The CORS headers of an answer, without their prefix, and Vary.
fn told(answer: &Message) -> Vec<String> {
    let lines = answer.head.lines().map(str::to_ascii_lowercase);
    let told = lines.filter_map(|line| match line.strip_prefix("access-control-") {
        Some(rest) => Some(rest.to_owned()),
        None => line.starts_with("vary").then_some(line),
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

#[test]
fn a_preflight_is_answered_here() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route(POLICY).start();
    let answer = preflight(&proxy, "/cart", PAGE, "PUT");
    assert_eq!((answer.status(), answer.reason()), (204, "cors_preflight"));
    assert_eq!(
        told(&answer),
        [
            "allow-credentials: true",
            "allow-headers: content-type, x-cart",
            "allow-methods: get, put",
            "allow-origin: https://www.shop.example",
            "max-age: 3600",
            "vary: origin",
        ]
    );
    for absent in ["content-type", "content-length", "transfer-encoding", "x-tillgate-upstream-sent"] {
        assert_eq!(answer.header(absent), None, "{absent}");
    }
    assert!(origin.requests().is_empty());
    let metrics = proxy.metrics_when(|metrics| metrics.count("tillgate_own_answers_total", &[]) == 1);
    assert_eq!(metrics.count("tillgate_own_answers_total", &[("reason", "cors_preflight")]), 1);
    assert_eq!(metrics.count("tillgate_requests_total", &[("route", "all"), ("code", "2xx")]), 1);
}

#[test]
fn a_connection_serves_on_after_a_preflight() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route(POLICY).start();
    let mut client = proxy.client();
    let request = format!(
        "OPTIONS / HTTP/1.1\r\nhost: a\r\norigin: {PAGE}\r\naccess-control-request-method: PUT\r\n\r\n"
    );
    for _ in 0..2 {
        assert_eq!(client.send(&request).response().status(), 204);
    }
    assert_eq!(client.get("/").status(), 200);
}

#[test]
fn an_origin_that_is_not_allowed_is_told_nothing() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route(POLICY).start();
    for stranger in ["https://evil.example", "http://www.shop.example", "null", "https://app.example"] {
        let answer = preflight(&proxy, "/", stranger, "PUT");
        assert_eq!((answer.status(), told(&answer)), (204, vec!["vary: origin".to_owned()]), "{stranger}");
        let answer = ask(&proxy, "GET /", &format!("origin: {stranger}\r\n"));
        assert_eq!((answer.status(), told(&answer)), (200, vec!["vary: origin".to_owned()]), "{stranger}");
    }
    assert_eq!(origin.requests().len(), 4, "who is no browser is not kept away by it");
}

#[test]
fn what_the_endpoint_says_of_it_is_replaced() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\naccess-control-allow-origin: https://evil.example\r\n\
         access-control-allow-methods: DELETE\r\nvary: Accept-Encoding\r\ncontent-length: 2\r\n\r\nok",
    );
    let proxy = Yaml::before(&[&origin]).route(POLICY).start();
    let answer = ask(&proxy, "GET /", "origin: https://a.b.app.example\r\n");
    assert_eq!(
        told(&answer),
        [
            "allow-credentials: true",
            "allow-origin: https://a.b.app.example",
            "expose-headers: x-page",
            "vary: accept-encoding",
            "vary: origin",
        ]
    );
    assert_eq!(origin.request().header("origin"), Some("https://a.b.app.example"));
    assert_eq!(told(&ask(&proxy, "GET /", "")), ["vary: accept-encoding", "vary: origin"]);
}

#[test]
fn a_page_may_read_why_tillgate_refuses() {
    let proxy = Yaml::before_address(free_address()).route(POLICY).start();
    let answer = ask(&proxy, "GET /", &format!("origin: {PAGE}\r\n"));
    assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (502, Some(PAGE)));
}

#[test]
fn everybody_may_be_allowed_without_credentials() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("cors: { allow_origins: \"*\" }").start();
    assert_eq!(told(&ask(&proxy, "GET /", "")), ["allow-origin: *"]);
    let answer = preflight(&proxy, "/", "null", "GET");
    assert_eq!(told(&answer), ["allow-methods: get, head, post", "allow-origin: *", "max-age: 600"]);
}

#[test]
fn a_preflight_goes_by_the_route_of_the_method_that_it_asks_for() {
    let origin = Origin::answering(OK);
    let route = |name: &str, keys: &str| {
        format!("{{ name: {name}, match: {{ path_prefix: /api, {keys} }}, upstream: shop ")
    };
    let routes = format!(
        "{}, cors: {{ allow_origins: https://a.example }} }}, {}, cors: {{ allow_origins: https://b.example }} }}, {} }}",
        route("put", "methods: PUT"),
        route("get", "methods: GET"),
        route("post", "methods: POST")
    );
    let proxy = Yaml::before(&[&origin]).routes(&routes).start();
    let allowed = |origin: &str, method: &str| {
        let answer = preflight(&proxy, "/api/x", origin, method);
        (answer.status(), answer.header("access-control-allow-methods").map(str::to_owned))
    };
    assert_eq!(allowed("https://a.example", "PUT"), (204, Some("PUT".to_owned())));
    assert_eq!(allowed("https://b.example", "PUT"), (204, None));
    assert_eq!(allowed("https://b.example", "GET"), (204, Some("GET".to_owned())));
    assert_eq!(allowed("https://b.example", "POST"), (404, None), "no policy, and no route takes OPTIONS");
    assert_eq!(allowed("https://b.example", "DELETE"), (404, None));
}

#[test]
fn a_preflight_for_a_route_without_a_policy_is_the_endpoint_s_and_no_other_policy_lets_it_through() {
    let origin = Origin::answering(
        "HTTP/1.1 204 No Content\r\naccess-control-allow-origin: *\r\naccess-control-allow-methods: POST\r\n\r\n",
    );
    let plain = "{ match: { path_prefix: / , methods: POST }, upstream: shop }";
    let policy = format!("{{ match: {{ path_prefix: / }}, upstream: shop, {POLICY} }}");
    let proxy = Yaml::before(&[&origin]).routes(&format!("{plain}, {policy}")).start();
    let answer = preflight(&proxy, "/", PAGE, "POST");
    assert_eq!((origin.requests().len(), told(&answer)), (1, vec!["vary: origin".to_owned()]));
    let alone = Yaml::before(&[&origin]).start();
    assert_eq!(told(&preflight(&alone, "/", PAGE, "POST")), ["allow-methods: post", "allow-origin: *"]);
}

#[test]
fn options_that_is_no_preflight_is_the_endpoint_s() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route(POLICY).start();
    for lines in [
        format!("origin: {PAGE}\r\n"),
        "access-control-request-method: PUT\r\n".to_owned(),
        format!("origin: {PAGE}\r\naccess-control-request-method: \"\r\n"),
    ] {
        assert_eq!(ask(&proxy, "OPTIONS /", &lines).status(), 200, "{lines}");
    }
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn a_redirect_is_for_pages_too_and_its_preflight_is_answered() {
    let origin = Origin::answering(OK);
    let routes = format!("{{ match: {{ path_prefix: /a }}, redirect: {{ path_prefix: /b }}, {POLICY} }}");
    let proxy = Yaml::before(&[&origin]).routes(&routes).start();
    assert_eq!(preflight(&proxy, "/a", PAGE, "PUT").status(), 204);
    let answer = ask(&proxy, "GET /a", &format!("origin: {PAGE}\r\n"));
    assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (308, Some(PAGE)));
}
