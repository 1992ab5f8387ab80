use super::*;
use crate::config::Coding::Gzip;

const GZIP: Wish = Wish { coding: Some(Gzip), refuses_plain: false };
const NONE: Wish = Wish { coding: None, refuses_plain: false };

fn response(status: u16, headers: &[(&str, &str)]) -> Response<()> {
    let start = Response::builder().status(status);
    headers.iter().fold(start, |all, (name, value)| all.header(*name, *value)).body(()).expect("a response")
}

fn page(headers: &[(&str, &str)]) -> Response<()> {
    response(200, &[&[("content-type", "text/html")], headers].concat())
}

fn verdict(response: &Response<()>) -> Verdict {
    judge(&Compress::default(), GZIP, response, None)
}

#[test]
fn what_is_worth_it_is_compressed_for_those_who_can_read_it() {
    assert_eq!(verdict(&page(&[])), Verdict::Encode(Gzip));
    assert_eq!(judge(&Compress::default(), NONE, &page(&[]), None), Verdict::Plain);
    assert_eq!(verdict(&page(&[("content-encoding", "identity")])), Verdict::Encode(Gzip));
    for status in [200, 201, 400, 404, 500, 503] {
        assert_eq!(verdict(&response(status, &[("content-type", "text/html")])), Verdict::Encode(Gzip));
    }
}

#[test]
fn what_is_no_whole_body_is_left() {
    for status in [101, 204, 205, 206, 304] {
        assert_eq!(verdict(&response(status, &[("content-type", "text/html")])), Verdict::Leave, "{status}");
    }
    assert_eq!(verdict(&page(&[("content-range", "bytes 0-4/10")])), Verdict::Leave);
}

#[test]
fn what_somebody_has_encoded_or_forbids_to_change_is_left() {
    for value in ["gzip", "br", "aes128gcm", "identity, gzip"] {
        assert_eq!(verdict(&page(&[("content-encoding", value)])), Verdict::Leave, "{value}");
    }
    assert_eq!(verdict(&page(&[("cache-control", "public, No-Transform")])), Verdict::Leave);
    assert_eq!(
        verdict(&page(&[("cache-control", "public"), ("cache-control", "no-transform")])),
        Verdict::Leave
    );
}

#[test]
fn what_sets_cookies_is_left_unless_the_config_says_otherwise() {
    let page = page(&[("set-cookie", "session=1")]);
    assert_eq!(verdict(&page), Verdict::Leave);
    let settings = Compress { with_cookies: true, ..Compress::default() };
    assert_eq!(judge(&settings, GZIP, &page, None), Verdict::Encode(Gzip));
}

#[test]
fn what_is_short_is_left_unless_the_client_refuses_it_as_it_is() {
    let judged = |wish, length| judge(&Compress::default(), wish, &page(&[]), Some(length));
    assert_eq!(judged(GZIP, 1023), Verdict::Leave);
    assert_eq!(judged(GZIP, 1024), Verdict::Encode(Gzip));
    assert_eq!(judged(NONE, 1023), Verdict::Leave);
    assert_eq!(judged(NONE, 1024), Verdict::Plain);
    let strict = Wish { refuses_plain: true, ..GZIP };
    assert_eq!(judged(strict, 1023), Verdict::Encode(Gzip));
    assert_eq!(judged(strict, 0), Verdict::Leave);
    let any = Compress { min_size: 0, ..Compress::default() };
    assert_eq!(judge(&any, GZIP, &page(&[]), Some(1)), Verdict::Encode(Gzip));
    assert_eq!(judge(&any, GZIP, &page(&[]), Some(0)), Verdict::Leave);
}

#[test]
fn only_what_is_listed_is_compressed() {
    let of = |value: &str| verdict(&response(200, &[("content-type", value)])) != Verdict::Leave;
    for yes in [
        "text/html",
        "Text/HTML; charset=utf-8",
        "text/css",
        "application/json",
        "application/problem+json",
        "APPLICATION/LD+JSON",
        "image/svg+xml",
        "application/rss+xml;charset=x",
    ] {
        assert!(of(yes), "{yes}");
    }
    for no in [
        "",
        "text",
        "text/event-stream",
        "Text/Event-Stream",
        "image/png",
        "image/jpeg",
        "video/mp4",
        "application/zip",
        "application/octet-stream",
        "xml",
        "application/+jso",
        "font/woff2",
    ] {
        assert!(!of(no), "{no}");
    }
    assert_eq!(verdict(&response(200, &[])), Verdict::Leave);
    let two = [("content-type", "text/html"), ("content-type", "text/html")];
    assert_eq!(verdict(&response(200, &two)), Verdict::Leave);
}

#[test]
fn an_event_stream_is_compressed_where_it_is_named_and_grpc_never() {
    let types = ["text/event-stream", "application/*", "application/*+proto"];
    let types = types.iter().filter_map(|text| MediaPattern::parse(text)).collect();
    let settings = Compress { types, ..Compress::default() };
    let of = |value: &str| judge(&settings, GZIP, &response(200, &[("content-type", value)]), None);
    assert_eq!(of("text/event-stream"), Verdict::Encode(Gzip));
    assert_eq!(of("application/anything"), Verdict::Encode(Gzip));
    for grpc in
        ["application/grpc", "application/gRPC+proto", "application/grpc-web-text", "application/grpc;x"]
    {
        assert_eq!(of(grpc), Verdict::Leave, "{grpc}");
    }
}

#[test]
fn the_head_speaks_of_the_compressed_form() {
    let mut response = page(&[
        ("content-length", "5000"),
        ("etag", "\"v1\""),
        ("accept-ranges", "bytes"),
        ("content-md5", "x"),
        ("digest", "x"),
        ("content-digest", "x"),
        ("repr-digest", "x"),
        ("last-modified", "then"),
    ]);
    mark(response.headers_mut(), Gzip);
    let expected = page(&[("etag", "W/\"v1\""), ("last-modified", "then"), ("content-encoding", "gzip")]);
    assert_eq!(response.headers(), expected.headers());
}

#[test]
fn a_weak_tag_stays_as_it_is() {
    for tag in ["W/\"v1\"", "v1"] {
        let mut response = page(&[("etag", tag)]);
        mark(response.headers_mut(), Gzip);
        assert_eq!(response.headers()["etag"], tag);
    }
}

#[test]
fn vary_is_added_to_what_is_there_once() {
    let varied = |before: &[(&str, &str)]| {
        let mut response = response(200, before);
        vary(response.headers_mut());
        let all = response.headers().get_all("vary").iter();
        all.map(|line| line.to_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(varied(&[]), ["Accept-Encoding"]);
    assert_eq!(varied(&[("vary", "")]), ["Accept-Encoding"]);
    assert_eq!(varied(&[("vary", "Cookie")]), ["Cookie, Accept-Encoding"]);
    assert_eq!(varied(&[("vary", "Cookie"), ("vary", "Origin")]), ["Cookie, Origin, Accept-Encoding"]);
    assert_eq!(varied(&[("vary", "Cookie, accept-encoding")]), ["Cookie, accept-encoding"]);
    assert_eq!(varied(&[("vary", "*")]), ["*"]);
}

#[test]
fn a_304_names_the_tag_as_the_client_knows_it() {
    let named = |tag: &'static str, known: &'static str| {
        let mut response = response(304, &[("etag", tag)]);
        mark_not_modified(response.headers_mut(), &HeaderValue::from_static(known));
        let headers = response.headers();
        (headers["etag"].to_str().expect("text").to_owned(), headers.contains_key("vary"))
    };
    assert_eq!(named("\"v1\"", "W/\"v1\""), ("W/\"v1\"".to_owned(), true));
    assert_eq!(named("\"v1\"", "\"v0\", W/\"v1\""), ("W/\"v1\"".to_owned(), true));
    assert_eq!(named("\"v1\"", "\"v1\""), ("\"v1\"".to_owned(), false));
    assert_eq!(named("\"v1\"", "W/\"v11\""), ("\"v1\"".to_owned(), false));
    assert_eq!(named("W/\"v1\"", "W/\"v1\""), ("W/\"v1\"".to_owned(), false));
}
