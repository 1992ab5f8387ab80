//! What goes through byte for byte although its route compresses.

use super::{asking, before, decoded, get, page, response, text};
use crate::support::{Origin, Refuser, Yaml};

/// Asserts that a client that accepts everything gets this as the endpoint sent it.
fn passes(answer: &str) {
    let origin = Origin::answering(answer);
    let proxy = before(&origin, "on");
    let found = get(&proxy, "gzip, br, zstd");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    assert_eq!(found.text(), body, "{answer}");
    assert_eq!(found.header("content-length"), Some(body.len().to_string().as_str()), "{}", found.head);
    assert_eq!(found.header("etag"), Some("\"v1\""));
}

#[test]
fn what_is_encoded_already_or_must_not_change_passes_as_it_is() {
    for headers in [
        "content-encoding: gzip\r\n",
        "content-encoding: br\r\n",
        "cache-control: max-age=60, no-transform\r\n",
        "set-cookie: session=1\r\n",
        "content-range: bytes 0-4999/9000\r\n",
    ] {
        passes(&text(&format!("etag: \"v1\"\r\n{headers}")));
    }
}

#[test]
fn what_would_gain_nothing_passes_as_it_is() {
    for kind in
        ["image/jpeg", "application/zip", "application/grpc", "application/grpc+json", "text/event-stream"]
    {
        passes(&response(&format!("etag: \"v1\"\r\ncontent-type: {kind}\r\n"), &page(5000)));
    }
    passes(&response("etag: \"v1\"\r\n", &page(5000)));
    passes(&response("etag: \"v1\"\r\ncontent-type: text/html\r\n", &page(1023)));
    passes(&response("etag: \"v1\"\r\ncontent-type: text/html\r\n", ""));
}

#[test]
fn a_range_passes_as_it_is() {
    passes(&text("etag: \"v1\"\r\n").replace("200 OK", "206 Partial Content"));
}

#[test]
fn a_short_body_of_unknown_length_passes_as_it_is_where_all_of_it_is_here() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let answer = get(&before(&origin, "on"), "gzip");
    assert_eq!(decoded(&answer), "hello");
}

#[test]
fn the_size_the_types_and_the_cookies_are_the_config_s_to_say() {
    let origin = Origin::answering(response("content-type: x/y\r\nset-cookie: a=1\r\n", &page(100)));
    let proxy = before(&origin, "{ min_size: 100, types: [x/y], with_cookies: true }");
    assert_eq!(get(&proxy, "gzip").header("content-encoding"), Some("gzip"));
}

#[test]
fn a_client_that_wants_nothing_changed_gets_it_as_it_is() {
    let origin = Origin::answering(text(""));
    let proxy = before(&origin, "on");
    let unchanged = asking("gzip").replace("\r\n\r\n", "\r\ncache-control: no-transform\r\n\r\n");
    assert_eq!(proxy.exchange(unchanged).header("content-encoding"), None);
    let silent = proxy.exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((silent.header("content-encoding"), silent.header("vary")), (None, Some("Accept-Encoding")));
}

#[test]
fn a_client_of_http_1_0_gets_it_with_its_length() {
    let origin = Origin::answering(text(""));
    let proxy = before(&origin, "on");
    let answer = proxy.exchange(asking("gzip").replace("HTTP/1.1", "HTTP/1.0"));
    assert_eq!((answer.header("content-encoding"), answer.header("content-length")), (None, Some("5000")));
}

#[test]
fn responses_without_a_body_have_none_and_the_connection_goes_on() {
    for status in ["204 No Content", "304 Not Modified"] {
        let origin = Origin::answering(format!("HTTP/1.1 {status}\r\ncontent-type: text/html\r\n\r\n"));
        let proxy = before(&origin, "{ min_size: 0 }");
        let mut client = proxy.client();
        for _ in 0..3 {
            let answer = client.send(asking("gzip")).response();
            assert_eq!((answer.header("content-encoding"), answer.header("transfer-encoding")), (None, None));
        }
        assert_eq!(origin.connections(), 1);
    }
}

#[test]
fn an_answer_of_the_proxy_s_own_is_not_compressed() {
    let nobody = Refuser::bind();
    let proxy = Yaml::before_address(nobody.address()).line("compress: { min_size: 0 }").start();
    let answer = get(&proxy, "gzip, *;q=0");
    assert_eq!((answer.status(), answer.header("content-encoding")), (502, None));
    assert!(answer.text().contains("connect_failed"), "{}", answer.text());
}
