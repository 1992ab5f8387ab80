//! Transfer-Encoding is one `chunked` and nothing else, on HTTP/1.1 and without a length beside it.

use super::{Gate, SMUGGLED, get, post};

#[test]
fn a_transfer_encoding_other_than_one_chunked_is_refused() {
    let gate = Gate::open();
    let malformed = ["gzip", "identity", "xchunked", "chunked;q=1", "chunked, gzip", "", "\"chunked\""];
    let heads = malformed.map(|value| (value, post(&format!("transfer-encoding: {value}"))));
    gate.refuses(400, "malformed_request", &heads);
    let unsupported = [
        "gzip, chunked",
        "chunked, chunked",
        "identity, chunked",
        "chunked\r\ntransfer-encoding: chunked",
        "gzip\r\ntransfer-encoding: chunked",
        ", chunked",
    ];
    let heads = unsupported.map(|value| (value, post(&format!("transfer-encoding: {value}"))));
    gate.refuses(400, "unsupported_transfer_encoding", &heads);
}

#[test]
fn transfer_encoding_on_http_1_0_is_refused() {
    let head = "POST / HTTP/1.0\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n";
    Gate::open().refuses(400, "malformed_request", &[("HTTP/1.0", head.into())]);
}

#[test]
fn a_length_beside_transfer_encoding_is_refused() {
    let heads = [
        ("CL.TE", post("content-length: 50\r\ntransfer-encoding: chunked")),
        ("TE.CL", post("transfer-encoding: chunked\r\ncontent-length: 3")),
        ("two lengths", post("content-length: 3\r\ntransfer-encoding: chunked\r\ncontent-length: 9")),
    ];
    Gate::open().refuses(400, "conflicting_length", &heads);
}

#[test]
fn of_chunked_and_content_length_in_a_pipelined_head_chunked_wins_and_the_connection_closes() {
    // Such a head is not looked at before the library sees it. RFC 9112 section 6.3, item 3. Either order, and both
    // ways that a front and a back could disagree.
    let clte = "0\r\n\r\n";
    chunks_win("CL.TE", "content-length: 50\r\ntransfer-encoding: chunked", clte, "");
    chunks_win("TE before CL", "transfer-encoding: chunked\r\ncontent-length: 50", clte, "");
    let tecl = "c\r\nGET /b HTTP/\r\n0\r\n\r\n";
    chunks_win("TE.CL", "transfer-encoding: chunked\r\ncontent-length: 3", tecl, "GET /b HTTP/");
    let twice = "transfer-encoding: chunked\r\ncontent-length: 3\r\ncontent-length: 9";
    chunks_win("TE and two lengths", twice, tecl, "GET /b HTTP/");
}

/// Sends bytes with both framings behind another request, and asserts that chunks count, that the other length is
/// gone, and that what comes after is not served.
fn chunks_win(case: &str, headers: &str, body: &str, expected: &str) {
    let gate = Gate::open();
    let mut client = gate.proxy.client();
    client.send(format!("{}\r\n{}\r\n{body}{SMUGGLED}", get("x-first: 1"), post(headers)));
    assert_eq!(client.response().status(), 200, "{case}");
    let response = client.response();
    assert_eq!(response.status(), 200, "{case}");
    assert_eq!(response.header("connection"), Some("close"), "{case}");
    assert!(client.rest().is_empty(), "{case}: more than one answer");
    let request = &gate.origin.requests()[1];
    assert_eq!(request.all("content-length"), [""; 0], "{case}");
    assert_eq!(request.all("transfer-encoding"), ["chunked"], "{case}");
    assert_eq!((request.text().as_str(), request.truncated), (expected, false), "{case}");
}
