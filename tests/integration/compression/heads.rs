//! What the head says of a response that is compressed, and of one that might have been.

use super::{ALL, asking, before, decoded, get, page, response, text};
use crate::support::{Message, Origin, Yaml};

#[test]
fn the_head_of_a_compressed_response_speaks_of_what_is_sent() {
    let origin = Origin::answering(text(
        "etag: \"v1\"\r\naccept-ranges: bytes\r\ncontent-md5: x\r\ndigest: x\r\nvary: Cookie\r\nlast-modified: x\r\n",
    ));
    let proxy = before(&origin, "on");
    let answer = get(&proxy, "gzip");
    for gone in ["content-length", "accept-ranges", "content-md5", "digest"] {
        assert_eq!(answer.header(gone), None, "{}", answer.head);
    }
    assert_eq!(answer.header("etag"), Some("W/\"v1\""));
    assert_eq!(answer.header("vary"), Some("Cookie, Accept-Encoding"));
    assert_eq!(answer.header("last-modified"), Some("x"));
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
}

#[test]
fn a_response_that_might_have_been_compressed_says_so_and_is_otherwise_as_it_was() {
    let origin = Origin::answering(text("etag: \"v1\"\r\naccept-ranges: bytes\r\n"));
    let proxy = before(&origin, "on");
    for accepts in ["identity", "", "gzip;q=0, br;q=0, zstd;q=0", "deflate", "gzip;q=0.1, identity;q=0.2"] {
        let answer = get(&proxy, accepts);
        assert_eq!(answer.header("content-encoding"), None, "{accepts}");
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        assert_eq!((answer.header("etag"), answer.header("accept-ranges")), (Some("\"v1\""), Some("bytes")));
        assert_eq!((answer.header("content-length"), answer.text()), (Some("5000"), page(5000)));
    }
}

#[test]
fn a_response_that_is_compressed_for_nobody_does_not_vary() {
    let origin = Origin::answering(response("content-type: image/png\r\n", &page(5000)));
    let answer = get(&before(&origin, "on"), "gzip");
    assert_eq!((answer.header("vary"), answer.header("content-length")), (None, Some("5000")));
}

#[test]
fn head_is_answered_like_get_and_without_a_body() {
    for framing in ["content-length: 5000\r\n", "transfer-encoding: chunked\r\n"] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\netag: \"v1\"\r\n{framing}\r\n");
        let origin = Origin::answering(head);
        let proxy = before(&origin, "on");
        let mut client = proxy.client();
        for _ in 0..3 {
            client.send(asking("gzip").replace("GET", "HEAD"));
            let answer = client.response_to("HEAD").expect("an answer");
            assert_eq!(answer.header("content-encoding"), Some("gzip"), "{}", answer.head);
            assert_eq!(answer.header("etag"), Some("W/\"v1\""));
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
            assert_eq!(answer.header("content-length"), None);
        }
        assert_eq!(origin.connections(), 1);
    }
}

#[test]
fn head_of_what_is_too_short_keeps_its_length() {
    let origin =
        Origin::answering("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 500\r\n\r\n");
    let proxy = before(&origin, "on");
    let mut client = proxy.client();
    let answer = client.send(asking("gzip").replace("GET", "HEAD")).response_to("HEAD").expect("an answer");
    assert_eq!((answer.header("content-encoding"), answer.header("content-length")), (None, Some("500")));
}

/// An endpoint that compares tags as RFC 9110 section 13.1.2 says: weakly.
fn comparing() -> Origin {
    Origin::start(|visit| {
        while let Some(request) = visit.request() {
            let knows = request.header("if-none-match").is_some_and(|tag| tag.contains("\"v1\""));
            let answer = match knows {
                true => "HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\n\r\n".to_owned(),
                false => text("etag: \"v1\"\r\n"),
            };
            if !visit.send(answer) {
                return;
            }
        }
    })
}

#[test]
fn a_client_that_comes_back_with_the_weak_tag_is_told_that_it_has_the_page() {
    let origin = comparing();
    let proxy = before(&origin, "on");
    let mut client = proxy.client();
    let mut ask = |accepts: &str, known: &str| -> Message {
        let known = format!("if-none-match: {known}\r\n\r\n");
        client.send(asking(accepts).replace("\r\n\r\n", &format!("\r\n{known}"))).response()
    };
    let first = ask("br", "\"v0\"");
    let tag = first.header("etag").expect("a tag").to_owned();
    assert_eq!((first.status(), tag.as_str()), (200, "W/\"v1\""));
    let again = ask("br", &tag);
    assert_eq!((again.status(), again.header("etag")), (304, Some("W/\"v1\"")), "by the name it knows");
    assert_eq!(again.header("vary"), Some("Accept-Encoding"));
    let plain = ask("identity", "\"v1\"");
    assert_eq!((plain.status(), plain.header("etag")), (304, Some("\"v1\"")));
    assert_eq!(origin.requests()[1].header("if-none-match"), Some("W/\"v1\""), "passed as it came");
}

#[test]
fn an_error_page_is_compressed_like_any_other() {
    let page = text("").replace("200 OK", "404 Not Found");
    let origin = Origin::answering(page);
    let proxy = before(&origin, "on");
    for coding in ALL {
        let answer = get(&proxy, coding);
        assert_eq!((answer.status(), answer.header("content-encoding")), (404, Some(coding)));
        assert_eq!(decoded(&answer).len(), 5000);
    }
}

#[test]
fn a_route_s_own_edits_do_not_take_vary_away() {
    let origin = Origin::answering(text("vary: Cookie\r\n"));
    for edits in ["set: { Vary: Origin }", "remove: [Vary]"] {
        let route = format!("compress: on, response_headers: {{ {edits} }}");
        let proxy = Yaml::before(&[&origin]).route(&route).start();
        for accepts in ["gzip", "identity"] {
            let vary = get(&proxy, accepts).header("vary").expect("a line").to_owned();
            assert!(vary.ends_with("Accept-Encoding") && !vary.contains("Cookie"), "{vary}");
        }
    }
}
