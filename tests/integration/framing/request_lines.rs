//! The first line: a method, a target and HTTP/1.x, or it is no request at all.

use super::Gate;

#[test]
fn a_request_line_that_is_not_http_1_is_refused() {
    let line = |line: &str| format!("{line}\r\nhost: shop.example\r\n");
    Gate::open().refuses(
        400,
        "malformed_request",
        &[
            ("HTTP/1.2", line("GET / HTTP/1.2")),
            ("HTTP/2.0", line("GET / HTTP/2.0")),
            ("HTTP/0.9 with a version", line("GET / HTTP/0.9")),
            ("no version", line("GET /")),
            ("lower case", line("GET / http/1.1")),
            ("one digit", line("GET / HTTP/1")),
            ("another protocol", line("GET / ICAP/1.1")),
            ("two spaces", line("GET / x HTTP/1.1")),
            ("at sign in the method", line("G@T / HTTP/1.1")),
            ("NUL in the method", line("GET\0 / HTTP/1.1")),
            ("no method", line(" / HTTP/1.1")),
            ("NUL in the target", line("GET /\0 HTTP/1.1")),
            ("control character in the target", line("GET /\x7f HTTP/1.1")),
        ],
    );
}

#[test]
fn a_target_that_is_no_path_is_refused() {
    let gate = Gate::open();
    let line = |line: &str| format!("{line} HTTP/1.1\r\nhost: shop.example\r\n");
    let cases = [
        ("asterisk without OPTIONS", line("GET *")),
        ("authority form without CONNECT", line("GET shop.example:80")),
    ];
    gate.refuses(400, "malformed_target", &cases);
}

#[test]
fn a_target_too_long_for_any_endpoint_is_refused_with_414() {
    let gate = Gate::with_limits("max_header_bytes: 128KiB");
    let head = format!("GET /{} HTTP/1.1\r\nhost: shop.example\r\n", "x".repeat(70_000));
    gate.refuses(414, "uri_too_long", &[("70,000 bytes", head)]);
}

#[test]
fn connect_is_refused_with_405_and_the_methods_that_are_not() {
    let gate = Gate::open();
    let authority = "CONNECT shop.example:443 HTTP/1.1\r\nhost: shop.example:443\r\n";
    gate.refuses(405, "connect_refused", &[("authority form", authority.into())]);
    let response = gate.proxy.exchange(format!("{authority}\r\n"));
    assert!(response.header("allow").is_some_and(|allowed| allowed.contains("GET")), "{}", response.head);
}

#[test]
fn bytes_that_are_not_http_are_refused() {
    let gate = Gate::open();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".as_slice();
    gate.refuses_bytes(400, "malformed_request", "a TLS ClientHello", hello);
    gate.refuses_bytes(400, "malformed_request", "noise", [0xff; 64]);
    gate.refuses_bytes(400, "malformed_request", "a PROXY header", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n");
    gate.refuses_bytes(400, "malformed_request", "SSH", "SSH-2.0-OpenSSH_9.7\r\n");
}

#[test]
fn the_preface_of_http_2_is_not_taken_for_a_request() {
    let gate = Gate::open();
    let mut client = gate.proxy.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").finish();
    let answer = client.rest();
    let settings = 0x04;
    assert_eq!(answer.get(3), Some(&settings), "{answer:?}");
    gate.let_nothing_through("the preface");
}

#[test]
fn what_only_begins_like_the_preface_of_http_2_is_refused() {
    let gate = Gate::open();
    gate.refuses_bytes(400, "malformed_request", "half a preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX");
}
