//! A route's own edits of headers.

use crate::support::{Message, OK, Origin, Proxy, Yaml, free_address};

fn with(origin: &Origin, keys: &str) -> Proxy {
    Yaml::before(&[origin]).route(keys).start()
}

#[test]
fn request_headers_are_removed_then_set_then_added_to() {
    let origin = Origin::answering(OK);
    let edits = "remove: [X-Debug, Link, Cookie], set: { X-Shop: main, Accept: text/html }, add: { Link: [a, b], Via: 1.1 shop }";
    let proxy = with(&origin, &format!("request_headers: {{ {edits} }}"));
    let request = "GET / HTTP/1.1\r\nhost: shop.example\r\nx-debug: 1\r\nX-DEBUG: 2\r\nlink: c\r\nx-shop: forged\r\n\
                   accept: a\r\naccept: b\r\nvia: 1.0 client\r\ncookie: a=b\r\nx-kept: d\r\n\r\n";
    assert_eq!(proxy.exchange(request).status(), 200);
    let sent = origin.request();
    for (name, wanted) in [
        ("x-debug", &[][..]),
        ("cookie", &[]),
        ("link", &["a", "b"]),
        ("x-shop", &["main"]),
        ("accept", &["text/html"]),
        ("via", &["1.0 client", "1.1 shop"]),
        ("x-kept", &["d"]),
        ("host", &["shop.example"]),
    ] {
        assert_eq!(sent.all(name), wanted, "{name}");
    }
}

#[test]
fn a_client_cannot_have_a_header_dropped_that_the_route_sets() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "request_headers: { set: { X-Shop: main } }");
    proxy.exchange("GET / HTTP/1.1\r\nhost: a\r\nconnection: x-shop\r\n\r\n");
    assert_eq!(origin.request().header("x-shop"), Some("main"));
}

#[test]
fn a_body_is_framed_as_before() {
    let origin = Origin::answering(OK);
    let proxy = with(&origin, "request_headers: { set: { X-Shop: main, Content-Type: text/plain } }");
    assert_eq!(proxy.client().post("/", "hello").status(), 200);
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(proxy.exchange(chunked).status(), 200);
    let bodies: Vec<String> = origin.requests().iter().map(Message::text).collect();
    assert_eq!(bodies, ["hello", "abc"]);
}

#[test]
fn response_headers_are_removed_then_set_then_added_to() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nserver: nginx/1.2.3\r\nx-powered-by: PHP\r\nx-powered-by: more\r\ncache-control: private\r\n\
         set-cookie: a=b\r\ncontent-length: 2\r\n\r\nok",
    );
    let edits = "remove: [Server, X-Powered-By], set: { Strict-Transport-Security: max-age=31536000, Cache-Control: no-cache }, \
                 add: { Set-Cookie: c=d }";
    let answer = with(&origin, &format!("response_headers: {{ {edits} }}")).get("/");
    for (name, wanted) in [
        ("server", &[][..]),
        ("x-powered-by", &[]),
        ("strict-transport-security", &["max-age=31536000"]),
        ("cache-control", &["no-cache"]),
        ("set-cookie", &["a=b", "c=d"]),
    ] {
        assert_eq!(answer.all(name), wanted, "{name}");
    }
    assert_eq!(answer.text(), "ok");
}

#[test]
fn answers_of_tillgate_s_own_get_what_they_do_not_say_themselves() {
    let edits = "response_headers: { remove: [X-Tillgate, Content-Type, Retry-After], \
                 set: { Strict-Transport-Security: max-age=1, Cache-Control: \"public, max-age=60\" }, add: { Content-Type: a/b } }";
    let answer = Yaml::before_address(free_address()).route(edits).start().get("/");
    assert_eq!((answer.status(), answer.reason()), (502, "connect_failed"));
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=1"));
    assert_eq!(answer.header("cache-control"), Some("no-store"), "nobody keeps an error for an answer");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn another_route_s_answers_and_those_of_none_are_left_alone() {
    let origin = Origin::answering(OK);
    let routes = "{ match: { path_prefix: /a }, upstream: shop, response_headers: { set: { X-A: b } } }, \
                  { match: { path_prefix: /b }, upstream: shop }";
    let proxy = Yaml::before(&[&origin]).routes(routes).start();
    let of = |path: &str| {
        let answer = proxy.get(path);
        (answer.status(), answer.header("x-a").map(str::to_owned))
    };
    assert_eq!(of("/a"), (200, Some("b".to_owned())));
    assert_eq!(of("/b"), (200, None));
    assert_eq!(of("/c"), (404, None));
}

#[test]
fn what_tillgate_tells_a_client_itself_comes_after_the_route_s_edits() {
    let origin = Origin::answering(OK);
    let edits = "response_headers: { remove: [Set-Cookie], set: { RateLimit: none } }";
    let yaml = Yaml::new(&format!(
        "sticky: {{ cookie: shop }}, endpoints: {}",
        crate::support::endpoints(&[&origin])
    ));
    let answer =
        yaml.route(&format!("{edits}, rate_limit: {{ key: client_ip, rate: 10/s }}")).start().get("/");
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.starts_with("shop=")), "{}", answer.head);
    assert_eq!(answer.all("ratelimit").len(), 2);
}

#[test]
fn an_answer_that_is_compressed_is_edited_first() {
    let body = "tillgate ".repeat(1000);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nvary: Cookie\r\n";
    let origin = Origin::answering(format!("{head}content-length: {}\r\n\r\n{body}", body.len()));
    let edits = "compress: {}, response_headers: { remove: [Vary], set: { ETag: '\"v1\"' } }";
    let request = "GET / HTTP/1.1\r\nhost: shop.example\r\naccept-encoding: gzip\r\n\r\n";
    let answer = with(&origin, edits).exchange(request);
    assert_eq!(answer.header("content-encoding"), Some("gzip"), "{}", answer.head);
    assert_eq!(answer.header("vary").map(str::to_ascii_lowercase).as_deref(), Some("accept-encoding"));
    assert_eq!(answer.header("etag"), Some("W/\"v1\""));
    let plain = with(
        &origin,
        &edits
            .replace("remove: [Vary]", "set: { Cache-Control: no-transform }")
            .replace(", set: { ETag: '\"v1\"' }", ""),
    );
    assert_eq!(plain.exchange(request).header("content-encoding"), None);
}

#[test]
fn what_is_said_of_caching_goes_through_as_it_is() {
    let head = "HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\ncache-control: public, max-age=60\r\nage: 7\r\n\
                expires: Wed, 21 Oct 2026 07:28:00 GMT\r\nvary: Accept-Encoding\r\nlast-modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n";
    let origin = Origin::answering(head);
    let proxy = Proxy::before(&[&origin]);
    let validators = "if-none-match: \"v1\", \"v0\"\r\nif-modified-since: Wed, 21 Oct 2015 07:28:00 GMT\r\ncache-control: no-cache\r\n";
    let answer = proxy.exchange(format!("GET / HTTP/1.1\r\nhost: shop.example\r\n{validators}\r\n"));
    assert_eq!(answer.status(), 304);
    for (name, wanted) in [
        ("etag", "\"v1\""),
        ("cache-control", "public, max-age=60"),
        ("age", "7"),
        ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
        ("vary", "Accept-Encoding"),
        ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ] {
        assert_eq!(answer.header(name), Some(wanted), "{name}");
    }
    let sent = origin.request();
    assert_eq!(sent.header("if-none-match"), Some("\"v1\", \"v0\""));
    assert_eq!(sent.header("if-modified-since"), Some("Wed, 21 Oct 2015 07:28:00 GMT"));
    assert_eq!(sent.header("cache-control"), Some("no-cache"));
}
