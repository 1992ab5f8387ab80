//! The body of a request on its way to the endpoint.

use std::io::{self, Read};
use std::sync::mpsc::channel;

use super::{CHUNKED_POST, POST, chunked, echoing};
use crate::support::{DEADLINE, OK, Origin, Proxy, Yaml};

#[test]
fn a_sized_upload_arrives_byte_for_byte_with_its_length() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let body: String = ('a'..='z').cycle().take(200_000).collect();
    let response = proxy.client().post("/", &body);
    assert_eq!(response.text(), body);
    assert_eq!(origin.request().header("content-length"), Some("200000"));
    assert_eq!(origin.request().all("transfer-encoding"), [""; 0]);
}

#[test]
fn a_chunked_upload_stays_chunked_and_arrives_byte_for_byte() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let response = proxy.exchange(format!("{CHUNKED_POST}\r\n{}", chunked(&["hello ", "wor", "ld"])));
    assert_eq!(response.text(), "hello world");
    let request = origin.request();
    assert_eq!(request.all("transfer-encoding"), ["chunked"]);
    assert_eq!(request.all("content-length"), [""; 0]);
}

#[test]
fn an_upload_streams_while_it_is_still_being_sent() {
    let (heard, first) = channel();
    let origin = Origin::start(move |visit| {
        visit.request_head();
        let mut piece = [0; 5];
        visit.reader.read_exact(&mut piece).expect("the first piece");
        heard.send(piece).expect("the test waits");
        visit.reader.read_exact(&mut piece).expect("the second piece");
        visit.send(OK);
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 10\r\n\r\nfirst"));
    assert_eq!(&first.recv_timeout(DEADLINE).expect("the first piece before the second is sent"), b"first");
    assert_eq!(client.send("later").response().status(), 200);
}

#[test]
fn the_trailers_of_a_request_arrive() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let body = "5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n";
    let response = proxy.exchange(format!("{CHUNKED_POST}trailer: x-sum\r\n\r\n{body}"));
    assert_eq!(response.text(), "hello");
    let request = origin.request();
    assert_eq!(request.trailers, ["x-sum: 42"]);
    assert!(!request.truncated);
}

#[test]
fn what_a_client_may_not_say_in_a_header_it_may_not_say_in_a_trailer() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let forged =
        ["X-Forwarded-For", "x-forwarded-client-cert", "x_forwarded_proto", "X-Tillgate-Mirror", "cookie"];
    let lines = forged.map(|name| format!("{name}: forged\r\n")).concat();
    let body = format!("5\r\nhello\r\n0\r\n{lines}x-sum: 42\r\n\r\n");
    let mut client = proxy.client();
    for announced in [forged.join(", ") + ", x-sum", forged.join(",")] {
        client.send(format!("{CHUNKED_POST}trailer: {announced}\r\n\r\n{body}"));
        assert_eq!(client.response().text(), "hello");
    }
    let [mixed, bare] = &origin.requests()[..] else { panic!("two requests") };
    assert_eq!((mixed.header("trailer"), mixed.trailers.concat().as_str()), (Some("x-sum"), "x-sum: 42"));
    assert_eq!((bare.header("trailer"), bare.trailers.len()), (None, 0));
    assert!(!mixed.truncated && !bare.truncated);
}

#[test]
fn an_empty_post_keeps_its_length_of_zero() {
    let origin = Origin::answering(OK);
    Proxy::before(&[&origin]).client().post("/", "");
    assert_eq!(origin.request().header("content-length"), Some("0"));
}

#[test]
fn a_get_without_a_body_says_nothing_of_one() {
    let origin = Origin::answering(OK);
    Proxy::before(&[&origin]).get("/");
    assert_eq!(origin.request().all("content-length"), [""; 0]);
    assert_eq!(origin.request().all("transfer-encoding"), [""; 0]);
}

#[test]
fn a_response_that_comes_before_the_upload_ends_reaches_the_client() {
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.send("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
        // Reads on, so that nothing is reset, until the proxy has had enough.
        drop(io::copy(&mut visit.reader, &mut io::sink()));
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 100000000\r\n\r\nbegun"));
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (401, "no"));
    // What is left of the upload can neither be skipped nor taken for a request.
    let _ = client.try_send("GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n");
    client.finish().expect_closed();
    origin.wait_for_ends(1);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_connection_with_half_an_upload_on_it_is_not_used_again() {
    let origin = Origin::start(|visit| {
        let head = visit.request_head();
        if head.is_some_and(|head| head.asks() == "POST /") {
            visit.send("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
            drop(io::copy(&mut visit.reader, &mut io::sink()));
        } else {
            visit.send(OK);
        }
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut uploading = proxy.client();
    uploading.send(format!("{POST}content-length: 100000000\r\n\r\nbegun"));
    assert_eq!(uploading.response().status(), 401);
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_body_larger_than_the_route_allows_is_refused_with_413_before_it_is_sent() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("max_body: 5").start();
    let mut client = proxy.client();
    assert_eq!(client.post("/", "hello").status(), 200, "as much as is allowed");
    let response = client.post("/", "hello!");
    assert_eq!((response.status(), response.reason()), (413, "body_too_large"));
    client.expect_closed();
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_chunked_body_larger_than_the_route_allows_is_refused_with_413_and_never_whole() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("max_body: 5").workers(1).start();
    let mut client = proxy.client();
    let post = |pieces: &[&str]| format!("{CHUNKED_POST}\r\n{}", chunked(pieces));
    assert_eq!(client.send(post(&["hel", "lo"])).response().status(), 200, "as much as is allowed");
    let response = client.send(post(&["hel", "lo!"])).response();
    assert_eq!((response.status(), response.reason()), (413, "body_too_large"));
    client.expect_closed();
    origin.wait_for_ends(1);
    let requests = origin.requests();
    assert!(requests[1..].iter().all(|request| request.truncated), "{requests:?}");
}
