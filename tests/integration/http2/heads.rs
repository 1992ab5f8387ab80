//! Heads that client, proxy and endpoint could read differently are refused, each on its own stream.

use super::shop;
use crate::support::frames::{
    END_HEADERS, END_STREAM, Frames, HEADERS, PROTOCOL_ERROR, RST_STREAM, block, field, frame, get,
};
use crate::support::{Origin, Proxy};

/// A request of these fields.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

fn like<'a>(method: &'a str, scheme: &'a str, path: &'a str, authority: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)]
}

/// What became of a request on a connection that goes on: its status and its reason, or the code of its reset.
fn outcome(proxy: &Proxy, block: &[u8]) -> Result<u16, u32> {
    let mut client = Frames::connect(proxy.web());
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block));
    let first = client.next_on(1).expect("an answer, not the end of the connection");
    let outcome = if first.kind == RST_STREAM { Err(first.code()) } else { Ok(first.status()) };
    client.send(get(3, "/"));
    assert_eq!(client.status(3), 200, "the connection goes on");
    outcome
}

fn arrived(origin: &Origin) -> usize {
    origin.requests().iter().filter(|request| request.asks() != "GET /").count()
}

#[test]
fn heads_that_break_a_rule_of_http_2_are_reset() {
    let (origin, proxy) = shop();
    let good = like("GET", "http", "/bad", "shop.example");
    let more = [
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        (":path", "/again"),
        (":status", "200"),
        ("content-length", "5"),
    ];
    for field in more {
        let fields = fields(&[&good[..], &[field]].concat());
        assert_eq!(outcome(&proxy, &fields), Err(PROTOCOL_ERROR), "{field:?}");
    }
    for left_out in 0..3 {
        let some: Vec<_> = good
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != left_out)
            .map(|(_, field)| *field)
            .collect();
        assert_eq!(outcome(&proxy, &fields(&some)), Err(PROTOCOL_ERROR), "without {:?}", good[left_out]);
    }
    assert_eq!(outcome(&proxy, &fields(&like("GET", "http", "", "shop.example"))), Err(PROTOCOL_ERROR));
    let late = fields(&[&good[..3], &[("x-before", "a")], &good[3..]].concat());
    assert_eq!(outcome(&proxy, &late), Err(PROTOCOL_ERROR), "a pseudo-header after a header");
    assert_eq!(arrived(&origin), 0);
}

/// To the library, such a block is no header compression: nothing that follows could be read.
#[test]
fn fields_that_are_none_end_the_connection() {
    let (origin, proxy) = shop();
    for field in [
        (":unknown", "a"),
        ("X-Upper", "a"),
        ("x-space ", "a"),
        ("x-line", "a\r\nb"),
        ("x-nul", "a\0b"),
        ("", "a"),
    ] {
        let mut client = Frames::connect(proxy.web());
        let more = fields(&[&like("GET", "http", "/bad", "shop.example")[..], &[field]].concat());
        client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, more));
        let goodbye = client.goodbye().expect("a GOAWAY");
        assert_eq!(goodbye.code(), PROTOCOL_ERROR, "{field:?}");
    }
    assert_eq!(arrived(&origin), 0);
}

#[test]
fn heads_that_could_be_read_in_two_ways_are_answered_400() {
    let (origin, proxy) = shop();
    let with =
        |more: &[(&str, &str)]| fields(&[&like("GET", "http", "/bad", "shop.example")[..], more].concat());
    let refused = [
        ("host disagrees", with(&[("host", "other.example")])),
        ("host twice", with(&[("host", "shop.example"), ("host", "shop.example")])),
        ("no host at all", fields(&like("GET", "http", "/bad", "")[..3])),
        ("userinfo", fields(&like("GET", "http", "/bad", "user@shop.example"))),
        ("bad port", fields(&like("GET", "http", "/bad", "shop.example:x"))),
        ("bad name", fields(&like("GET", "http", "/bad", "shop..example"))),
        ("scheme", fields(&like("GET", "ftp", "/bad", "shop.example"))),
        ("relative path", fields(&like("GET", "http", "bad", "shop.example"))),
        ("asterisk", fields(&like("GET", "http", "*", "shop.example"))),
        ("absolute path", fields(&like("GET", "http", "http://other.example/", "shop.example"))),
        ("backslash", fields(&like("GET", "http", "/a/%5c../bad", "shop.example"))),
    ];
    for (what, block) in refused {
        let outcome = outcome(&proxy, &block);
        assert!(matches!(outcome, Ok(400) | Err(PROTOCOL_ERROR)), "{what}: {outcome:?}");
    }
    assert_eq!(arrived(&origin), 0);
}

#[test]
fn connect_is_refused() {
    let (origin, proxy) = shop();
    let connect = fields(&[(":method", "CONNECT"), (":authority", "shop.example:443")]);
    assert_eq!(outcome(&proxy, &connect), Ok(405));
    assert_eq!(arrived(&origin), 0);
}

#[test]
fn the_asterisk_of_options_goes_through() {
    let (origin, proxy) = shop();
    assert_eq!(outcome(&proxy, &block("OPTIONS", "*", &[])), Ok(200));
    assert_eq!(origin.requests()[0].asks(), "OPTIONS *");
}

#[test]
fn a_host_header_will_do_in_place_of_the_authority() {
    let (origin, proxy) = shop();
    let some = fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/a"), ("host", "shop.example")]);
    assert_eq!(outcome(&proxy, &some), Ok(200));
    assert_eq!(origin.requests()[0].header("host"), Some("shop.example"));
}

#[test]
fn an_authority_and_a_host_that_agree_are_one() {
    let (origin, proxy) = shop();
    let some =
        fields(&[&like("GET", "http", "/a", "shop.example:80")[..], &[("host", "Shop.example")]].concat());
    assert_eq!(outcome(&proxy, &some), Ok(200));
    assert_eq!(origin.requests()[0].all("host").len(), 1);
}

#[test]
fn the_scheme_a_client_claims_is_not_believed() {
    let (origin, proxy) = shop();
    assert_eq!(outcome(&proxy, &fields(&like("GET", "https", "/a", "shop.example"))), Ok(200));
    let request = &origin.requests()[0];
    assert_eq!((request.asks(), request.header("x-forwarded-proto")), ("GET /a", Some("http")));
}
