//! Chunks are what the grammar says they are, and are written anew.

use super::{Gate, post};

#[test]
fn a_malformed_chunked_body_is_never_whole_at_the_origin() {
    let gate = Gate::open();
    let bodies = [
        ("no hexadecimal digit", "xyz\r\nhello\r\n0\r\n\r\n"),
        ("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
        ("a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("no size", "\r\nhello\r\n0\r\n\r\n"),
        ("a size of 65 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("a size that nothing follows", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("no line end after the data", "5\r\nhello0\r\n\r\n"),
        ("data longer than its size", "5\r\nhello world\r\n0\r\n\r\n"),
        ("a bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("a bare CR after the size", "5\rx\nhello\r\n0\r\n\r\n"),
        ("no last chunk", "5\r\nhello\r\n"),
        ("half a chunk", "5\r\nhel"),
        ("half a last chunk", "5\r\nhello\r\n0\r\n"),
        ("a second chunk that is wrong", "5\r\nhello\r\nzz\r\n0\r\n\r\n"),
    ];
    for (case, body) in bodies {
        let head = post("transfer-encoding: chunked");
        gate.breaks_off(case, format!("{head}\r\n{body}"));
    }
}

#[test]
fn chunk_extensions_are_dropped() {
    let gate = Gate::open();
    let body = "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n";
    let response = gate.proxy.exchange(format!("{}\r\n{body}", post("transfer-encoding: chunked")));
    assert_eq!(response.status(), 200);
    let request = gate.origin.request();
    assert_eq!((request.text().as_str(), request.truncated), ("hello", false));
}
