//! Clients that are sent elsewhere.

use crate::support::{Message, OK, Origin, Proxy, Yaml};

/// A route that redirects, then one that serves.
fn with(origin: &Origin, redirect: &str) -> Proxy {
    let shop = "{ name: all, match: { path_prefix: / }, upstream: shop }";
    Yaml::before(&[origin]).routes(&format!("{{ name: away, {redirect} }}, {shop}")).start()
}

fn ask(proxy: &Proxy, asks: &str, lines: &str) -> Message {
    let mut client = proxy.client();
    let method = asks.split(' ').next().expect("a method");
    client.send(format!("{asks} HTTP/1.1\r\n{lines}\r\n")).response_to(method).expect("a response")
}

fn location(proxy: &Proxy, target: &str, host: &str) -> String {
    let answer = ask(proxy, &format!("GET {target}"), &format!("host: {host}\r\n"));
    assert_eq!((answer.status(), answer.reason()), (308, "redirect"), "{}", answer.head);
    answer.header("location").expect("a location").to_owned()
}

#[test]
fn plain_http_is_sent_to_https_and_asks_no_endpoint() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "redirect: { scheme: https }");
    assert_eq!(
        location(&proxy, "/cart/a%2Fb?x=1&y=%20", "Shop.Example:8080"),
        "https://shop.example/cart/a%2Fb?x=1&y=%20"
    );
    assert_eq!(location(&proxy, "/", "[::1]:80"), "https://[::1]/");
    assert!(origin.requests().is_empty());
}

#[test]
fn who_came_by_https_to_a_trusted_proxy_is_served() {
    let origin = Origin::answering(OK);
    let routes = "{ redirect: { scheme: https } }, { match: { path_prefix: / }, upstream: shop }";
    let yaml = Yaml::before(&[&origin]).routes(routes);
    let secure = "host: shop.example\r\nx-forwarded-proto: https\r\n";
    let trusting = yaml.clone().line("trusted_proxies: [127.0.0.0/8]").start();
    assert_eq!(ask(&trusting, "GET /", secure).status(), 200);
    assert_eq!(ask(&trusting, "GET /", "host: shop.example\r\nx-forwarded-proto: http\r\n").status(), 308);
    assert_eq!(ask(&yaml.start(), "GET /", secure).status(), 308, "anybody can say so");
}

#[test]
fn a_more_specific_route_is_an_exception() {
    let origin = Origin::answering(OK);
    let challenge = "{ match: { path_prefix: /.well-known/acme-challenge }, upstream: shop }";
    let routes = format!("{{ match: {{ path_prefix: / }}, redirect: {{ scheme: https }} }}, {challenge}");
    let proxy = Yaml::before(&[&origin]).routes(&routes).start();
    assert_eq!(proxy.get("/.well-known/acme-challenge/x").status(), 200);
    assert_eq!(proxy.get("/other").status(), 308);
    let all = format!("{{ match: {{ scheme: http }}, redirect: {{ scheme: https }} }}, {challenge}");
    let proxy = Yaml::before(&[&origin]).routes(&all).start();
    assert_eq!(proxy.get("/.well-known/acme-challenge/x").status(), 308, "a route for one scheme goes first");
}

#[test]
fn host_port_and_path_may_change() {
    let origin = Origin::answering(OK);
    let to = |matches: &str, redirect: &str, target: &str| {
        let keys = format!("match: {{ {matches} }}, redirect: {{ {redirect} }}");
        location(&with(&origin, &keys), target, "shop.example:8080")
    };
    assert_eq!(to("path: /a", "host: www.shop.example", "/a?b"), "http://www.shop.example:8080/a?b");
    assert_eq!(to("path: /a", "port: 80", "/a"), "http://shop.example/a");
    assert_eq!(to("path: /a", "path: /b", "/a?b=c"), "http://shop.example:8080/b?b=c");
    assert_eq!(
        to("path_prefix: /a", "path_prefix: /b/c", "/a/x%20y/"),
        "http://shop.example:8080/b/c/x%20y/"
    );
    assert_eq!(
        to("path_prefix: /a", "path_regex: { pattern: '^/a/([0-9]+)$', replacement: /item-$1 }", "/a/17?q"),
        "http://shop.example:8080/item-17?q"
    );
}

#[test]
fn no_request_can_choose_the_host_by_its_path_or_end_the_line() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "match: { path_prefix: / }, redirect: { path_prefix: / , scheme: https }");
    assert_eq!(location(&proxy, "//evil.example/x", "shop.example"), "https://shop.example/evil.example/x");
    assert_eq!(
        location(&proxy, "/%0d%0aset-cookie:x", "shop.example"),
        "https://shop.example/%0d%0aset-cookie:x"
    );
    assert_eq!(location(&proxy, "/a?%0d%0ax", "shop.example"), "https://shop.example/a?%0d%0ax");
    let scheme = with(&origin, "redirect: { scheme: https }");
    assert_eq!(location(&scheme, "//evil.example/..", "shop.example"), "https://shop.example//");
    assert_eq!(location(&scheme, "/é", "shop.example"), "https://shop.example/%C3%A9");
    for host in ["shop.example@evil.example", "evil.example/x", "a b", "evil.example\\x"] {
        assert_eq!(ask(&scheme, "GET /", &format!("host: {host}\r\n")).status(), 400, "{host}");
    }
    assert_eq!(ask(&scheme, "GET /\\evil.example", "host: shop.example\r\n").status(), 400);
}

#[test]
fn every_status_is_answered_as_configured_whatever_the_method() {
    let origin = Origin::answering(OK);
    for status in [301, 302, 303, 307, 308] {
        let proxy = with(&origin, &format!("redirect: {{ scheme: https, status: {status} }}"));
        for asks in ["GET /", "HEAD /", "POST /", "OPTIONS /"] {
            let answer = ask(&proxy, asks, "host: shop.example\r\ncontent-length: 0\r\n");
            assert_eq!(
                (answer.status(), answer.header("location")),
                (status, Some("https://shop.example/")),
                "{asks}"
            );
        }
    }
}

#[test]
fn a_redirect_says_that_tillgate_made_it_and_no_more() {
    let origin = Origin::answering(OK);
    let answer = with(&origin, "redirect: { scheme: https }").get("/");
    assert_eq!(answer.reason(), "redirect");
    for absent in ["x-tillgate-upstream-sent", "cache-control", "connection"] {
        assert_eq!(answer.header(absent), None, "{absent}");
    }
    assert!(answer.header("date").is_some(), "so that a cache knows how old it is");
    assert_eq!(answer.text(), "This is found at the place that Location names. (redirect)\n");
}

#[test]
fn a_redirect_is_counted_and_logged_as_other_requests_are() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    let routes = "{ name: away, redirect: { scheme: https } }";
    let line = format!("access_log: {{ path: \"{}\", format: json }}", log.display());
    let proxy = Yaml::before(&[&origin]).routes(routes).line(&line).start();
    let mut client = proxy.client();
    assert_eq!(client.get("/a").status(), 308);
    assert_eq!(client.get("/b").status(), 308, "on the same connection");
    let metrics = proxy.metrics_when(|metrics| metrics.count("tillgate_own_answers_total", &[]) == 2);
    assert_eq!(metrics.count("tillgate_own_answers_total", &[("reason", "redirect")]), 2);
    assert_eq!(metrics.count("tillgate_requests_total", &[("route", "away"), ("code", "3xx")]), 2);
    let written = crate::support::eventually("a line of the log", || {
        std::fs::read_to_string(&log).ok().filter(|text| text.lines().count() == 2)
    });
    let entry: serde_json::Value =
        serde_json::from_str(written.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&entry["status"], &entry["reason"]), (&308.into(), &"redirect".into()));
    assert_eq!((&entry["route"], &entry["endpoint"]), (&"away".into(), &serde_json::Value::Null));
}

#[test]
fn an_http_1_0_client_without_a_host_needs_one_that_is_configured() {
    let origin = Origin::answering(OK);
    let answer = with(&origin, "redirect: { scheme: https }").exchange("GET /a HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status(), answer.reason()), (400, "missing_host"));
    let proxy = with(&origin, "redirect: { host: shop.example }");
    let answer = proxy.exchange("GET /a HTTP/1.0\r\n\r\n");
    assert_eq!(answer.header("location"), Some("http://shop.example/a"));
}

#[test]
fn a_body_is_not_waited_for() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "redirect: { scheme: https }");
    let request = "POST /pay HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 100\r\n\r\n";
    assert_eq!(proxy.exchange(request).status(), 308);
    assert!(origin.requests().is_empty());
}

#[test]
fn rate_limits_and_response_headers_are_a_redirect_s_too() {
    let origin = Origin::answering(OK);
    let keys = "redirect: { scheme: https }, rate_limit: { key: client_ip, rate: 1/h }, \
                response_headers: { set: { Cache-Control: max-age=60 } }";
    let proxy = with(&origin, keys);
    let answer = proxy.get("/");
    assert_eq!((answer.status(), answer.header("cache-control")), (308, Some("max-age=60")));
    let refused = proxy.get("/");
    assert_eq!((refused.status(), refused.header("location")), (429, None));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
}

#[test]
fn a_reload_turns_a_route_into_a_redirect_and_back() {
    let origin = Origin::answering(OK);
    let serving = Yaml::before(&[&origin]);
    let sending = serving.clone().routes("{ name: all, redirect: { scheme: https } }");
    let proxy = serving.start();
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(proxy.reload(&sending.to_string()).status(), 200);
    assert_eq!(proxy.get("/").status(), 308);
    assert_eq!(proxy.reload(&serving.to_string()).status(), 200);
    assert_eq!(proxy.get("/").status(), 200);
}
