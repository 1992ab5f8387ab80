use std::borrow::Cow;

use http::Method;

use super::*;
use crate::config::{HashKey, Scheme};
use crate::policy::route::Head;

#[test]
fn only_a_trusted_peer_says_how_the_client_speaks() {
    let (http, https) = (Scheme::Http, Scheme::Https);
    let said =
        |words: &[&str]| map(&words.iter().map(|word| ("x-forwarded-proto", *word)).collect::<Vec<_>>());
    for (words, wanted) in [
        (&["HTTPS"][..], https),
        (&["http"], http),
        (&[], http),
        (&["https, http"], http),
        (&["https", "http"], http),
    ] {
        assert_eq!(client_scheme(http, true, &said(words)), wanted, "{words:?}");
        assert_eq!(client_scheme(http, false, &said(words)), http, "{words:?}");
    }
    assert_eq!(client_scheme(https, true, &said(&["http"])), http);
}

const PEER: &str = "192.0.2.7";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

/// What an endpoint gets of these headers; the client asked for `shop.example:8080` over http.
fn sent(peer_trusted: bool, lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = map(lines);
    let (host, request_id) =
        (HeaderValue::from_static("shop.example:8080"), HeaderValue::from_static("new-id"));
    let ctx = ForwardContext {
        client: ip(PEER),
        peer_trusted,
        client_certificate: None,
        scheme: "http",
        host: Some(&host),
        request_id: &request_id,
    };
    prepare_request(&mut headers, &ctx);
    headers
}

fn sent_by_stranger(lines: &[(&'static str, &str)]) -> HeaderMap {
    sent(false, lines)
}

fn answered(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = map(lines);
    prepare_response(&mut headers);
    headers
}

fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().expect("ascii")).collect()
}

const HOP_BY_HOP: [(&str, &str); 9] = [
    ("connection", "keep-alive"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("transfer-encoding", "chunked"),
    ("upgrade", "h2c"),
    ("http2-settings", "AAMAAABk"),
    ("proxy-authenticate", "Basic"),
    ("proxy-authorization", "Basic x"),
    ("te", "gzip"),
];

#[test]
fn hop_by_hop_headers_go_both_ways_out() {
    let (request, response) = (sent_by_stranger(&HOP_BY_HOP), answered(&HOP_BY_HOP));
    for (name, _) in HOP_BY_HOP {
        assert!(!request.contains_key(name), "{name}");
        assert!(!response.contains_key(name), "{name}");
    }
}

#[test]
fn headers_that_connection_names_go_both_ways_out() {
    let named = [
        ("connection", "close, X-Secret"),
        ("connection", ",x-other ,b@d,"),
        ("x-secret", "1"),
        ("x-other", "2"),
    ];
    for headers in [sent_by_stranger(&named), answered(&named)] {
        assert!(!headers.contains_key("x-secret") && !headers.contains_key("x-other"));
    }
}

#[test]
fn connection_may_not_name_what_an_endpoint_decides_by() {
    for name in ["host", "content-length", "cookie", "authorization"] {
        let headers = sent_by_stranger(&[("connection", name), (name, "5")]);
        assert_eq!(lines(&headers, name), ["5"], "{name}");
    }
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"]
    {
        let headers = sent(true, &[("connection", name), (name, "10.0.0.1")]);
        assert!(lines(&headers, name)[0].starts_with("10.0.0.1"), "{name}");
    }
}

#[test]
fn other_headers_pass_untouched() {
    let kept = [
        ("trailer", "x-sum"),
        ("via", "1.0 a"),
        ("cookie", "a=1"),
        ("x-a", "1"),
        ("x-a", "2"),
        ("content-length", "5"),
    ];
    for headers in [sent_by_stranger(&kept), answered(&kept)] {
        assert_eq!(lines(&headers, "x-a"), ["1", "2"]);
        assert_eq!(lines(&headers, "trailer"), ["x-sum"]);
        assert_eq!(lines(&headers, "via"), ["1.0 a"]);
        assert_eq!(lines(&headers, "content-length"), ["5"]);
    }
}

#[test]
fn content_length_does_not_outlive_the_transfer_encoding_it_came_with() {
    let both =
        [("content-length", "5"), ("connection", "transfer-encoding"), ("transfer-encoding", "chunked")];
    for headers in [sent_by_stranger(&both), answered(&both)] {
        assert!(!headers.contains_key("content-length") && !headers.contains_key("transfer-encoding"));
    }
}

#[test]
fn te_passes_for_trailers_only() {
    assert_eq!(lines(&sent_by_stranger(&[("te", "gzip, Trailers")]), "te"), ["trailers"]);
    assert!(!sent_by_stranger(&[("te", "gzip;q=0.5")]).contains_key("te"));
    assert!(!answered(&[("te", "trailers")]).contains_key("te"));
}

#[test]
fn expect_is_not_passed_on() {
    assert!(!sent_by_stranger(&[("expect", "100-continue")]).contains_key("expect"));
}

const FORGED: [(&str, &str); 7] = [
    ("x-forwarded-for", "6.6.6.6"),
    ("x-forwarded-for", "7.7.7.7"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "admin.example"),
    ("x-forwarded-port", "443"),
    ("x-real-ip", "6.6.6.6"),
    ("forwarded", "for=6.6.6.6"),
];

#[test]
fn forwarding_headers_of_a_stranger_are_overwritten() {
    let headers = sent_by_stranger(&FORGED);
    assert_eq!(lines(&headers, "x-forwarded-for"), [PEER]);
    assert_eq!(lines(&headers, "x-real-ip"), [PEER]);
    assert_eq!(lines(&headers, "x-forwarded-proto"), ["http"]);
    assert_eq!(lines(&headers, "x-forwarded-host"), ["shop.example:8080"]);
    assert_eq!(lines(&headers, "x-forwarded-port"), ["8080"]);
    assert_eq!(lines(&headers, "forwarded"), ["for=192.0.2.7;proto=http;host=\"shop.example:8080\""]);
}

#[test]
fn forwarding_headers_of_a_trusted_peer_are_kept_and_the_peer_is_added() {
    let headers = sent(true, &FORGED);
    assert_eq!(lines(&headers, "x-forwarded-for"), ["6.6.6.6, 7.7.7.7, 192.0.2.7"]);
    assert_eq!(lines(&headers, "x-real-ip"), ["6.6.6.6"]);
    assert_eq!(lines(&headers, "x-forwarded-proto"), ["https"]);
    assert_eq!(lines(&headers, "x-forwarded-host"), ["admin.example"]);
    assert_eq!(lines(&headers, "x-forwarded-port"), ["443"]);
    let forwarded = "for=6.6.6.6, for=192.0.2.7;proto=http;host=\"shop.example:8080\"";
    assert_eq!(lines(&headers, "forwarded"), [forwarded]);
}

const LOOK_ALIKES: [(&str, &str); 8] = [
    ("x_forwarded_for", "6.6.6.6"),
    ("x-forwarded_proto", "https"),
    ("x-forwarded-prefix", "/admin"),
    ("x-forwarded-ssl", "on"),
    ("x-original-url", "/admin"),
    ("x-rewrite-url", "/admin"),
    ("x_real_ip", "6.6.6.6"),
    ("content_length", "0"),
];

#[test]
fn what_could_pass_for_a_forwarding_header_passes_from_a_trusted_peer_only() {
    let (stranger, trusted) = (sent_by_stranger(&LOOK_ALIKES), sent(true, &LOOK_ALIKES));
    for (name, value) in LOOK_ALIKES {
        assert!(!stranger.contains_key(name), "{name}");
        assert_eq!(lines(&trusted, name), [value], "{name}");
    }
    assert_eq!(lines(&stranger, "x-forwarded-for"), [PEER]);
}

#[test]
fn for_proto_and_host_are_set_where_there_were_none_and_the_others_are_not() {
    for headers in [sent(true, &[]), sent(false, &[])] {
        assert_eq!(lines(&headers, "x-forwarded-for"), [PEER]);
        assert_eq!(lines(&headers, "x-forwarded-proto"), ["http"]);
        assert_eq!(lines(&headers, "x-forwarded-host"), ["shop.example:8080"]);
        for name in ["x-forwarded-port", "x-real-ip", "forwarded"] {
            assert!(!headers.contains_key(name), "{name}");
        }
    }
}

#[test]
fn a_request_without_host_says_nothing_about_the_host() {
    let mut headers = map(&[
        ("x-forwarded-host", "admin.example"),
        ("x-forwarded-port", "80"),
        ("forwarded", "host=admin.example"),
    ]);
    let request_id = HeaderValue::from_static("id");
    let client = ip("::ffff:192.0.2.7");
    let ctx = ForwardContext {
        client,
        peer_trusted: false,
        scheme: "https",
        client_certificate: None,
        host: None,
        request_id: &request_id,
    };
    prepare_request(&mut headers, &ctx);
    assert!(!headers.contains_key("x-forwarded-host") && !headers.contains_key("host"));
    assert_eq!(lines(&headers, "x-forwarded-for"), [PEER]);
    assert_eq!(lines(&headers, "x-forwarded-port"), ["443"]);
    assert_eq!(lines(&headers, "forwarded"), ["for=192.0.2.7;proto=https"]);
}

#[test]
fn host_stays_the_clients() {
    assert_eq!(lines(&sent_by_stranger(&[("host", "Shop.example:8080")]), "host"), ["Shop.example:8080"]);
    assert_eq!(lines(&sent_by_stranger(&[]), "host"), ["shop.example:8080"]);
}

#[test]
fn a_request_id_is_kept_from_a_trusted_peer_only_and_if_it_is_short_and_printable() {
    assert_eq!(lines(&sent(true, &[("x-request-id", "theirs")]), "x-request-id"), ["theirs"]);
    assert_eq!(lines(&sent(false, &[("x-request-id", "theirs")]), "x-request-id"), ["new-id"]);
    for bad in ["", "a b", &"x".repeat(129)] {
        assert_eq!(lines(&sent(true, &[("x-request-id", bad)]), "x-request-id"), ["new-id"], "{bad}");
    }
    let twice = [("x-request-id", "a"), ("x-request-id", "b")];
    assert_eq!(lines(&sent(true, &twice), "x-request-id"), ["new-id"]);
}

/// Who the client is behind the peer 10.0.0.1, when 10.0.0.0/8 and 2001:db8::/32 are trusted.
fn client(lines: &[(&'static str, &str)]) -> IpAddr {
    client_behind("10.0.0.1", lines)
}

fn client_behind(peer: &str, lines: &[(&'static str, &str)]) -> IpAddr {
    let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().expect("a network"));
    client_address(ip(peer), &TrustedProxies::new(&networks), &map(lines))
}

#[test]
fn the_client_is_the_rightmost_address_that_is_not_trusted() {
    assert_eq!(client(&[("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.2")]), ip("203.0.113.9"));
    assert_eq!(
        client(&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "203.0.113.9")]),
        ip("203.0.113.9")
    );
    assert_eq!(client(&[("x-forwarded-for", "10.0.0.3, 10.0.0.2")]), ip("10.0.0.3"));
    assert_eq!(client(&[]), ip("10.0.0.1"));
}

#[test]
fn a_stranger_is_the_client_whatever_it_says() {
    assert_eq!(client_behind("203.0.113.9", &[("x-forwarded-for", "10.0.0.2")]), ip("203.0.113.9"));
    assert_eq!(client_behind("203.0.113.9", &[("forwarded", "for=10.0.0.2")]), ip("203.0.113.9"));
}

#[test]
fn a_mapped_address_is_the_address_it_maps() {
    assert_eq!(
        client_behind("::ffff:10.0.0.1", &[("x-forwarded-for", "::ffff:203.0.113.9")]),
        ip("203.0.113.9")
    );
}

#[test]
fn addresses_may_have_ports_and_brackets() {
    for entry in ["203.0.113.9:4711", "203.0.113.9", " 203.0.113.9\t"] {
        assert_eq!(client(&[("x-forwarded-for", entry)]), ip("203.0.113.9"), "{entry}");
    }
    for entry in ["2001:4860::8", "[2001:4860::8]", "[2001:4860::8]:4711"] {
        assert_eq!(client(&[("x-forwarded-for", entry)]), ip("2001:4860::8"), "{entry}");
    }
}

#[test]
fn an_entry_that_is_no_address_ends_the_walk() {
    for entry in ["unknown", "", "_hidden", "203.0.113.9.1"] {
        assert_eq!(client(&[("x-forwarded-for", &format!("6.6.6.6, {entry}, 10.0.0.2"))]), ip("10.0.0.2"));
    }
}

#[test]
fn the_walk_back_is_bounded() {
    let chain: Vec<String> = (0..200).rev().map(|hop| format!("10.1.0.{hop}")).collect();
    assert_eq!(client(&[("x-forwarded-for", &chain.join(","))]), ip("10.1.0.31"));
}

#[test]
fn forwarded_is_read_when_there_is_no_x_forwarded_for() {
    let element = "for=6.6.6.6, For=\"[2001:4860::8]:4711\";proto=https, by=x; for=10.0.0.2";
    assert_eq!(client(&[("forwarded", element)]), ip("2001:4860::8"));
    assert_eq!(client(&[("forwarded", element), ("x-forwarded-for", "203.0.113.9")]), ip("203.0.113.9"));
    assert_eq!(client(&[("forwarded", "for=6.6.6.6;x=\", for=203.0.113.9")]), ip("203.0.113.9"));
    assert_eq!(client(&[("forwarded", "for=unknown")]), ip("10.0.0.1"));
}

fn sticky(key: &HashKey, query: Option<&str>, lines: &[(&'static str, &str)]) -> Option<Vec<u8>> {
    let headers = map(lines);
    let head = Head {
        scheme: Scheme::Http,
        host: "",
        path: "/cart/7",
        query,
        method: &Method::GET,
        headers: &headers,
    };
    sticky_value(key, &head, ip("192.0.2.7")).map(Cow::into_owned)
}

#[test]
fn a_cookie_is_found_in_any_line_by_its_whole_name() {
    let cart = HashKey::Cookie("cart".to_owned());
    let found = Some(b"7=x".to_vec());
    assert_eq!(sticky(&cart, None, &[("cookie", "a=1; cart=7=x; b=2")]), found);
    assert_eq!(sticky(&cart, None, &[("cookie", "a=1"), ("cookie", "cart=7=x")]), found);
    for other in ["xcart=1", "cart2=1", "Cart=1", "cart", "a=\"cart=1\"", "cart="] {
        assert_eq!(sticky(&cart, None, &[("cookie", other)]), None, "{other}");
    }
}

#[test]
fn the_other_keys_are_header_query_address_and_path() {
    let header = HashKey::Header(HeaderName::from_static("x-tenant"));
    assert_eq!(sticky(&header, None, &[("x-tenant", "t1")]), Some(b"t1".to_vec()));
    assert_eq!(sticky(&header, None, &[]), None);
    let query = HashKey::Query("user".to_owned());
    assert_eq!(sticky(&query, Some("x=1&user=a%20b"), &[]), Some(b"a b".to_vec()));
    assert_eq!(sticky(&query, Some("user="), &[]), None);
    assert_eq!(sticky(&HashKey::ClientIp, None, &[]), Some(vec![192, 0, 2, 7]));
    assert_eq!(sticky(&HashKey::Path, None, &[]), Some(b"/cart/7".to_vec()));
}
