//! What may not be read in two ways is refused, and nothing of it reaches an endpoint (design, section 10).
//!
//! Every payload drags a second request behind it: whoever reads the first one differently serves the second.

use crate::support::{OK, Origin, Proxy, Yaml};

/// What a payload tries to get past the proxy.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: shop.example\r\n\r\n";

/// A request line and Host, for headers to follow.
const POST: &str = "POST / HTTP/1.1\r\nhost: shop.example\r\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n";

/// A proxy in front of an origin that should never hear of most of what is sent.
struct Gate {
    origin: Origin,
    proxy: Proxy,
}

impl Gate {
    fn open() -> Self {
        Self::with_limits("")
    }

    fn with_limits(yaml: &str) -> Self {
        let origin = Origin::answering(OK);
        let proxy = Yaml::before(&[&origin]).limits(yaml).start();
        Self { origin, proxy }
    }

    /// Sends each head with a smuggled request behind it, and asserts that it is answered `status` and `reason`.
    fn refuses(&self, status: u16, reason: &str, heads: &[(&str, String)]) {
        for (case, head) in heads {
            self.refuses_bytes(status, reason, case, format!("{head}\r\n{SMUGGLED}"));
        }
    }

    fn refuses_bytes(&self, status: u16, reason: &str, case: &str, bytes: impl AsRef<[u8]>) {
        let mut client = self.proxy.client();
        let response = client.send(bytes).response();
        assert_eq!((response.status(), response.reason()), (status, reason), "{case}: {}", response.head);
        assert_eq!(response.header("connection"), Some("close"), "{case}");
        assert!(client.rest().is_empty(), "{case}: more than one answer");
        self.let_nothing_through(case);
    }

    /// A good request that is sent now arrives, and nothing but such requests ever did.
    fn let_nothing_through(&self, case: &str) {
        assert_eq!(self.proxy.get("/witness").status(), 200, "{case}");
        for request in self.origin.requests() {
            assert_eq!(request.asks(), "GET /witness", "{case}: reached the origin");
        }
    }

    /// Sends a request whose body is wrong, and asserts that the origin never takes it for whole.
    fn breaks_off(&self, case: &str, bytes: impl AsRef<[u8]>) {
        let ended = self.origin.connections();
        let mut client = self.proxy.client();
        let response = client.send(bytes).finish().response();
        assert_eq!((response.status(), response.reason()), (400, "body_incomplete"), "{case}");
        assert!(client.rest().is_empty(), "{case}: more than one answer");
        self.origin.wait_for_ends(ended + 1);
        for request in self.origin.requests() {
            assert!(request.truncated, "{case}: the origin took it for whole: {request:?}");
        }
    }
}

/// POST with these headers; the empty line is still to come.
fn post(header: &str) -> String {
    format!("{POST}{header}\r\n")
}

/// GET with these headers; the empty line is still to come.
fn get(header: &str) -> String {
    format!("{GET}{header}\r\n")
}

#[test]
fn conflicting_content_lengths_are_refused() {
    Gate::open().refuses(
        400,
        "malformed_request",
        &[
            ("two lines", post("content-length: 5\r\ncontent-length: 6")),
            ("zero and more", post("content-length: 0\r\ncontent-length: 44")),
            ("a list", post("content-length: 5, 6")),
        ],
    );
}

#[test]
fn a_repeated_content_length_is_refused_even_if_it_says_the_same() {
    let heads = [
        ("twice the same", post("content-length: 5\r\ncontent-length: 5")),
        ("in other letters", post("Content-Length: 5\r\nx-between: 1\r\ncontent-LENGTH: 5")),
    ];
    Gate::open().refuses(400, "repeated_length", &heads);
}

#[test]
fn a_length_that_is_repeated_in_a_pipelined_head_is_sent_on_once() {
    // Such a head is not looked at; RFC 9110 section 8.6 allows to take the two for one, and re-framing makes it so.
    let gate = Gate::open();
    let mut client = gate.proxy.client();
    client.send(format!(
        "{}\r\n{}\r\nhello",
        get("x-first: 1"),
        post("content-length: 5\r\ncontent-length: 5")
    ));
    assert_eq!((client.response().status(), client.response().status()), (200, 200));
    let second = &gate.origin.requests()[1];
    assert_eq!((second.all("content-length"), second.text().as_str()), (vec!["5"], "hello"));
}

#[test]
fn a_content_length_that_is_not_digits_only_is_refused() {
    let values =
        ["+5", "-1", "0x5", "5a", "", "5, 5", "5 5", "1e1", "\"5\"", ",5", "99999999999999999999999"];
    let heads = values.map(|value| (value, post(&format!("content-length: {value}"))));
    let gate = Gate::open();
    gate.refuses(400, "malformed_request", &heads);
    // The library counts it as too large before it asks what it is.
    let most = post(&format!("content-length: {}", u64::MAX));
    gate.refuses(431, "headers_too_large", &[("more than anybody can count down", most)]);
}

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
fn a_request_without_exactly_one_good_host_is_refused() {
    let gate = Gate::open();
    let head = |hosts: &str| format!("GET / HTTP/1.1\r\n{hosts}");
    gate.refuses(400, "missing_host", &[("none", head(""))]);
    gate.refuses(
        400,
        "repeated_host",
        &[
            ("two", head("host: shop.example\r\nhost: other.example\r\n")),
            ("two equal", head("host: shop.example\r\nhost: shop.example\r\n")),
        ],
    );
    let malformed = [
        "",
        "shop example",
        "shop.example:http",
        "shop.example:99999",
        "shop.example:+80",
        "user@shop.example",
        "shop.example/path",
        "shop.example?a",
        "shop..example",
        "[::1",
        "a, b",
        "shop.example:80:80",
        "h\u{f6}st",
    ];
    let heads = malformed.map(|host| (host, head(&format!("host: {host}\r\n"))));
    gate.refuses(400, "malformed_host", &heads);
}

#[test]
fn a_host_that_disagrees_with_an_absolute_target_is_refused() {
    let gate = Gate::open();
    let head = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n");
    gate.refuses(
        400,
        "host_disagrees",
        &[
            ("another host", head("http://shop.example/", "other.example")),
            ("another port", head("http://shop.example:8080/", "shop.example")),
        ],
    );
    gate.refuses(400, "malformed_host", &[("userinfo", head("http://shop.example@evil/", "shop.example"))]);
    gate.refuses(400, "unsupported_scheme", &[("ftp", head("ftp://shop.example/", "shop.example"))]);
}

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
fn a_target_too_long_for_any_endpoint_is_refused_with_414() {
    let gate = Gate::with_limits("max_header_bytes: 128KiB");
    let head = format!("GET /{} HTTP/1.1\r\nhost: shop.example\r\n", "x".repeat(70_000));
    gate.refuses(414, "uri_too_long", &[("70,000 bytes", head)]);
}

#[test]
fn an_expectation_other_than_100_continue_is_refused_with_417() {
    let gate = Gate::open();
    let values = ["200-ok", "100-continue, 200-ok", "100-continue\r\nexpect: magic", ""];
    let heads = values.map(|value| (value, post(&format!("content-length: 2\r\nexpect: {value}"))));
    gate.refuses(417, "unknown_expectation", &heads);
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
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    gate.let_nothing_through("the preface");
}

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
fn a_body_shorter_than_its_length_is_never_whole_at_the_origin() {
    let gate = Gate::open();
    for cut in 0..5 {
        let head = post("content-length: 5");
        gate.breaks_off(&format!("{cut} of 5 bytes"), format!("{head}\r\n{}", &"hello"[..cut]));
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

#[test]
fn a_length_beside_transfer_encoding_is_refused() {
    let heads = [
        ("CL.TE", post("content-length: 50\r\ntransfer-encoding: chunked")),
        ("TE.CL", post("transfer-encoding: chunked\r\ncontent-length: 3")),
        ("two lengths", post("content-length: 3\r\ntransfer-encoding: chunked\r\ncontent-length: 9")),
    ];
    Gate::open().refuses(400, "conflicting_length", &heads);
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

#[test]
fn of_chunked_and_content_length_in_a_pipelined_head_chunked_wins_and_the_connection_closes() {
    // Such a head is not looked at before the library sees it. RFC 9112 section 6.3, item 3. Either order, and both ways that a front and a back could disagree.
    let clte = "0\r\n\r\n";
    chunks_win("CL.TE", "content-length: 50\r\ntransfer-encoding: chunked", clte, "");
    chunks_win("TE before CL", "transfer-encoding: chunked\r\ncontent-length: 50", clte, "");
    let tecl = "c\r\nGET /b HTTP/\r\n0\r\n\r\n";
    chunks_win("TE.CL", "transfer-encoding: chunked\r\ncontent-length: 3", tecl, "GET /b HTTP/");
    let twice = "transfer-encoding: chunked\r\ncontent-length: 3\r\ncontent-length: 9";
    chunks_win("TE and two lengths", twice, tecl, "GET /b HTTP/");
}

#[test]
fn what_follows_a_sized_body_is_the_next_request_and_nothing_else() {
    let gate = Gate::open();
    let mut client = gate.proxy.client();
    client.send(format!("{}\r\nhello{}", post("content-length: 5"), "GET /next HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert_eq!((client.response().status(), client.response().status()), (200, 200));
    let seen: Vec<String> = gate.origin.requests().iter().map(|request| request.asks().to_owned()).collect();
    assert_eq!(seen, ["POST /", "GET /next"]);
}

#[test]
fn a_get_with_a_body_is_forwarded_with_it() {
    let gate = Gate::open();
    let bytes = format!("{}\r\n{SMUGGLED}", get(&format!("content-length: {}", SMUGGLED.len())));
    assert_eq!(gate.proxy.exchange(bytes).status(), 200);
    assert_eq!(gate.origin.request().text(), SMUGGLED);
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
