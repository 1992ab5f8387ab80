//! What of a head goes through, and what is said about it on the way (design, section 10; RFC 9110 section 7.6).

use crate::support::{Message, OK, Origin, Proxy, Yaml};

/// What an origin is sent for a GET with these lines.
fn forwarded(lines: &str) -> Message {
    forwarded_by("", "GET /", lines)
}

fn forwarded_by(top: &str, asks: &str, lines: &str) -> Message {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).line(top).start();
    let response = proxy.exchange(format!("{asks} HTTP/1.1\r\nhost: shop.example\r\n{lines}\r\n"));
    assert_eq!(response.status(), 200, "{}", response.head);
    origin.request()
}

/// What a client gets when an origin answers a GET with these bytes.
fn passed_back(response: &str) -> Message {
    let origin = Origin::answering(response);
    Proxy::before(&[&origin]).get("/")
}

const TRUSTING: &str = "trusted_proxies: [127.0.0.0/8]";

const FORGED: &str = "x-forwarded-for: 192.0.2.1\r\nx-forwarded-for: 192.0.2.2\r\nx-forwarded-proto: https\r\n\
    x-forwarded-host: bank.example\r\nx-forwarded-port: 444\r\nx-real-ip: 192.0.2.3\r\nforwarded: for=192.0.2.4\r\n\
    x-request-id: forged\r\n";

#[test]
fn what_an_untrusted_client_says_of_its_origin_is_overwritten() {
    let request = forwarded(FORGED);
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert_eq!(request.header("x-forwarded-host"), Some("shop.example"));
    assert_eq!(request.header("x-forwarded-port"), Some("80"));
    assert_eq!(request.header("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(request.header("forwarded"), Some("for=127.0.0.1;proto=http;host=\"shop.example\""));
    assert_ne!(request.header("x-request-id"), Some("forged"));
}

#[test]
fn what_could_pass_for_a_forwarding_header_does_not_pass_from_an_untrusted_client() {
    let lines = "X_Forwarded_For: 192.0.2.1\r\nX-Forwarded-Prefix: /admin\r\nX-Forwarded-Ssl: on\r\n\
        X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX_Tenant: kept\r\n";
    let names =
        ["x_forwarded_for", "x-forwarded-prefix", "x-forwarded-ssl", "x-original-url", "x-rewrite-url"];
    let (stranger, trusted) = (forwarded(lines), forwarded_by(TRUSTING, "GET /", lines));
    for name in names {
        assert_eq!(stranger.all(name), [""; 0], "{name}");
        assert_eq!(trusted.all(name).len(), 1, "{name}");
    }
    assert_eq!(stranger.header("x_tenant"), Some("kept"));
}

#[test]
fn what_a_trusted_proxy_says_is_kept_and_the_proxy_is_added_to_it() {
    let request = forwarded_by(TRUSTING, "GET /", FORGED);
    assert_eq!(request.header("x-forwarded-for"), Some("192.0.2.1, 192.0.2.2, 127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    assert_eq!(request.header("x-forwarded-host"), Some("bank.example"));
    assert_eq!(request.header("x-forwarded-port"), Some("444"));
    assert_eq!(request.header("x-real-ip"), Some("192.0.2.3"));
    let element = "for=192.0.2.4, for=127.0.0.1;proto=http;host=\"shop.example\"";
    assert_eq!(request.header("forwarded"), Some(element));
    assert_eq!(request.header("x-request-id"), Some("forged"));
}

#[test]
fn who_asked_is_said_where_nobody_said_so_before() {
    for top in ["", TRUSTING] {
        let request = forwarded_by(top, "GET /", "");
        assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"), "{top}");
        assert_eq!(request.header("x-forwarded-proto"), Some("http"), "{top}");
        assert_eq!(request.header("x-forwarded-host"), Some("shop.example"), "{top}");
        assert_eq!(request.header("forwarded"), None, "{top}");
    }
}

#[test]
fn a_request_id_is_given_to_each_request_and_to_no_two_the_same() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    for _ in 0..20 {
        client.get("/");
    }
    let requests = origin.requests();
    let ids: std::collections::HashSet<_> =
        requests.iter().map(|request| request.header("x-request-id").expect("an id")).collect();
    assert_eq!(ids.len(), 20);
    assert!(
        ids.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())),
        "{ids:?}"
    );
}

#[test]
fn a_request_id_of_a_trusted_proxy_is_replaced_when_it_would_spoil_a_log() {
    for bad in ["two words", &"x".repeat(129), "one\r\nx-request-id: two"] {
        let request = forwarded_by(TRUSTING, "GET /", &format!("x-request-id: {bad}\r\n"));
        assert_eq!(request.header("x-request-id").map(str::len), Some(32), "{bad}");
    }
}

#[test]
fn the_host_of_the_client_is_kept() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    proxy.exchange("GET / HTTP/1.1\r\nhost: Shop.Example:8080\r\n\r\n");
    assert_eq!(origin.request().header("host"), Some("Shop.Example:8080"));
}

#[test]
fn an_http_1_0_request_without_host_is_given_the_address_of_the_endpoint() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    assert_eq!(proxy.exchange("GET / HTTP/1.0\r\n\r\n").status(), 200);
    let request = origin.request();
    assert_eq!(request.start_line(), "GET / HTTP/1.1");
    assert_eq!(request.header("host"), Some(origin.address().to_string().as_str()));
}

#[test]
fn headers_of_the_connection_do_not_reach_the_origin() {
    let request = forwarded(
        "connection: keep-alive, x-secret, X-Other\r\nconnection: x-third\r\nx-secret: a\r\nx-other: b\r\n\
         x-third: c\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nproxy-authorization: Basic eA==\r\n\
         te: gzip\r\nupgrade: websocket\r\nx-kept: d\r\n",
    );
    let gone = [
        "connection",
        "x-secret",
        "x-other",
        "x-third",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
    ];
    for name in gone {
        assert_eq!(request.all(name), [""; 0], "{name}");
    }
    assert_eq!(request.header("x-kept"), Some("d"));
}

#[test]
fn headers_of_the_connection_do_not_reach_the_client() {
    let response = passed_back(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x-secret, keep-alive\r\nx-secret: a\r\n\
         keep-alive: timeout=5\r\nproxy-authenticate: Basic\r\nupgrade: h2c\r\nx-kept: b\r\n\r\nok",
    );
    for name in ["connection", "x-secret", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(response.all(name), [""; 0], "{name}");
    }
    assert_eq!((response.header("x-kept"), response.text().as_str()), (Some("b"), "ok"));
}

#[test]
fn connection_may_not_name_what_an_endpoint_decides_by() {
    let names =
        "host, content-length, cookie, authorization, x-forwarded-for, x-forwarded-proto, x-forwarded-host";
    let lines = format!(
        "connection: {names}\r\ncookie: cart=1\r\nauthorization: Bearer x\r\ncontent-length: 2\r\n\r\nok"
    );
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    proxy.exchange(format!("POST / HTTP/1.1\r\nhost: shop.example\r\n{lines}"));
    let request = origin.request();
    for name in names.split(", ") {
        assert!(request.header(name).is_some(), "{name} is gone");
    }
    assert_eq!(request.text(), "ok");
}

#[test]
fn end_to_end_headers_pass_untouched_and_in_order() {
    let lines = "accept: text/html\r\nvia: 1.1 cache\r\nmax-forwards: 3\r\nx-a: 1\r\nx-a: 2\r\nx-empty:\r\n\
        x-bytes: caf\u{e9}\r\ncookie: a=1\r\ncookie: b=2\r\n";
    let request = forwarded(lines);
    for name in ["accept", "via", "max-forwards"] {
        assert_eq!(request.all(name).len(), 1, "{name}");
    }
    assert_eq!(request.all("x-a"), ["1", "2"]);
    assert_eq!(request.all("cookie"), ["a=1", "b=2"]);
    assert_eq!((request.header("x-empty"), request.header("x-bytes")), (Some(""), Some("caf\u{e9}")));
}

#[test]
fn the_status_and_headers_of_a_response_pass_untouched() {
    let response = passed_back(
        "HTTP/1.1 418 I'm a teapot\r\ncontent-length: 0\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
         date: Tue, 15 Nov 1994 08:12:31 GMT\r\nserver: pot\r\n\r\n",
    );
    assert_eq!(response.status(), 418);
    assert_eq!(response.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(response.header("date"), Some("Tue, 15 Nov 1994 08:12:31 GMT"));
    assert_eq!((response.header("server"), response.reason()), (Some("pot"), ""));
}

#[test]
fn a_response_without_a_date_is_given_one() {
    // RFC 9110 section 6.6.1.
    let response = passed_back("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let date = response.header("date").expect("a date");
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
}

#[test]
fn an_http_1_0_response_reaches_the_client_as_http_1_1() {
    let response = passed_back("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!((response.start_line(), response.text().as_str()), ("HTTP/1.1 200 OK", "ok"));
}

#[test]
fn an_upgrade_to_h2c_is_stripped() {
    let request = forwarded(
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    );
    for name in ["connection", "upgrade", "http2-settings"] {
        assert_eq!(request.all(name), [""; 0], "{name}");
    }
}

#[test]
fn a_101_that_nobody_asked_for_is_a_bad_response() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nsmuggled");
        assert!(visit.closes(), "the proxy kept a connection that had switched");
    });
    let proxy = Proxy::before(&[&origin]);
    let response = proxy.client().get("/");
    assert_eq!((response.status(), response.reason()), (502, "bad_response"));
    assert_eq!(response.header("x-tillgate-upstream-sent"), Some("yes"));
    origin.wait_for_ends(1);
}

#[test]
fn a_103_before_the_response_does_not_disturb_it() {
    let response = passed_back(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    assert_eq!((response.status(), response.text().as_str()), (200, "ok"));
}

#[test]
fn an_absolute_target_is_forwarded_as_a_path() {
    let request = forwarded_by("", "GET http://SHOP.example/a/b?c=d", "");
    assert_eq!(request.start_line(), "GET /a/b?c=d HTTP/1.1");
    assert_eq!(request.header("host"), Some("shop.example"));
}

#[test]
fn options_for_the_whole_server_stays_an_asterisk() {
    let request = forwarded_by("", "OPTIONS *", "");
    assert_eq!(request.start_line(), "OPTIONS * HTTP/1.1");
}

#[test]
fn a_method_of_its_own_is_forwarded_as_it_is() {
    assert_eq!(forwarded_by("", "PROPFIND /dav", "").asks(), "PROPFIND /dav");
}

#[test]
fn dot_segments_are_resolved_and_all_else_in_a_target_is_kept() {
    let spellings = [
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a//b", "/a//b"),
        ("/caf%C3%A9/%7e", "/caf%C3%A9/%7e"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a?x=../y&z=%00", "/a?x=../y&z=%00"),
        ("/a;b=c/d", "/a;b=c/d"),
    ];
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    for (sent, expected) in spellings {
        assert_eq!(client.get(sent).status(), 200, "{sent}");
        let requests = origin.requests();
        assert_eq!(requests.last().expect("a request").asks(), format!("GET {expected}"), "{sent}");
    }
}

#[test]
fn no_spelling_of_a_path_escapes_the_prefix_of_its_route() {
    let origin = Origin::answering(OK);
    let route = "{ match: { path_prefix: /public }, upstream: shop }";
    let proxy = Yaml::before(&[&origin]).routes(route).start();
    let tries = [
        ("/public/../admin", 404),
        ("/public/%2e%2e/admin", 404),
        ("/public/x/../../admin", 404),
        ("/publicity", 404),
        ("/admin", 404),
        ("/public/..%2fadmin", 400),
        ("/public/%2e%2e%2fadmin", 400),
        ("/public/..;/admin", 400),
        ("/public/..%5cadmin", 400),
        ("/public/..\\admin", 400),
        ("/public/%00/../admin", 400),
        ("/../admin", 400),
        ("/public/%zz", 400),
        ("/public%2f..%2fadmin", 400),
    ];
    for (path, expected) in tries {
        let response = proxy.get(path);
        assert_eq!(response.status(), expected, "{path}: {}", response.reason());
    }
    assert!(origin.requests().is_empty(), "{:?}", origin.requests());
    assert_eq!(proxy.get("/public/x").status(), 200);
}

#[test]
fn that_trailers_are_welcome_is_passed_on() {
    let request = forwarded("connection: te\r\nte: trailers, gzip;q=0.5\r\n");
    assert_eq!(request.header("te"), Some("trailers"));
    assert_eq!(forwarded("te: gzip\r\n").header("te"), None);
}
