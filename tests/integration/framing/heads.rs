//! Header lines that are read in one way only, and no more of them than are allowed.

use super::{GET, Gate, get, post};

#[test]
fn header_lines_that_can_be_read_in_two_ways_are_refused() {
    Gate::open().refuses(
        400,
        "malformed_request",
        &[
            ("obs-fold", get("x-a: one\r\n two")),
            ("obs-fold of a length", post("content-length:\r\n 44")),
            ("obs-fold with a tab", get("x-a: one\r\n\ttwo")),
            ("folded first line", "GET / HTTP/1.1\r\n x-a: b\r\nhost: shop.example\r\n".into()),
            ("bare CR in a value", get("x-a: one\rtwo")),
            ("bare CR before a header", get("x-a: one\rcontent-length: 44")),
            ("bare CR in a name", get("x-\ra: b")),
            ("NUL in a value", get("x-a: one\0two")),
            ("NUL in a name", get("x-\0a: b")),
            ("space before the colon", post("content-length : 44")),
            ("tab before the colon", post("transfer-encoding\t: chunked")),
            ("space in a name", get("x a: b")),
            ("no colon", get("x-a")),
            ("no name", get(": b")),
            ("control character in a value", get("x-a: \x01")),
            ("vertical tab before chunked", post("transfer-encoding: \x0bchunked")),
        ],
    );
}

#[test]
fn line_ends_without_a_carriage_return_are_written_anew() {
    let gate = Gate::open();
    let response = gate.proxy.exchange("GET /lf HTTP/1.1\nhost: shop.example\nx-a: b\n\n");
    assert_eq!(response.status(), 200);
    let request = gate.origin.request();
    assert_eq!((request.asks(), request.header("x-a")), ("GET /lf", Some("b")));
    assert!(!request.head.replace("\r\n", "").contains('\n'), "{:?}", request.head);
}

#[test]
fn a_head_larger_than_the_listener_allows_is_refused_with_431() {
    let gate = Gate::with_limits("max_header_bytes: 8KiB");
    let filler = "x".repeat(9 * 1024);
    let many: String = (0..101).map(|number| format!("x-{number}: a\r\n")).collect();
    gate.refuses(431, "headers_too_large", &[("one long line", get(&format!("x-filler: {filler}")))]);
    gate.refuses(431, "headers_too_large", &[("a hundred and one lines", get(many.trim_end()))]);
}

#[test]
fn a_head_without_an_end_is_refused_with_431() {
    let gate = Gate::with_limits("max_header_bytes: 8KiB");
    let mut client = gate.proxy.client();
    client.send(GET);
    let line = format!("x-filler: {}\r\n", "x".repeat(1000));
    // A megabyte, unless the proxy hangs up earlier.
    let _ = (0..1000).all(|_| client.try_send(&line));
    let response = client.response();
    assert_eq!((response.status(), response.reason()), (431, "headers_too_large"));
    gate.let_nothing_through("a head without an end");
}

#[test]
fn an_expectation_other_than_100_continue_is_refused_with_417() {
    let gate = Gate::open();
    let values = ["200-ok", "100-continue, 200-ok", "100-continue\r\nexpect: magic", ""];
    let heads = values.map(|value| (value, post(&format!("content-length: 2\r\nexpect: {value}"))));
    gate.refuses(417, "unknown_expectation", &heads);
}

#[test]
fn a_client_that_still_sends_when_its_head_is_refused_is_not_reset() {
    // More than is read along with a head: closed unread, it would make a reset, and that could overtake the answer.
    let gate = Gate::open();
    for (head, reason) in
        [("GET / HTTP/1.1\r\n\r\n", "missing_host"), ("nonsense\r\n\r\n", "malformed_request")]
    {
        let mut client = gate.proxy.client();
        client.send([head.as_bytes(), &[b'x'; 768 * 1024]].concat());
        assert_eq!(client.response().reason(), reason, "{head}");
        client.expect_orderly_end();
        // Still read, although the proxy has said its last.
        client.send([b'x'; 64 * 1024]).finish();
    }
}
