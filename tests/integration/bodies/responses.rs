//! The body of a response on its way to the client, and responses that have none.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::closing_after;
use crate::support::{DEADLINE, Origin, Proxy, Yaml};

#[test]
fn a_response_streams_while_it_is_still_being_made() {
    let (go_on, told) = channel();
    let told = Mutex::new(told);
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst");
        told.lock().expect("lock").recv_timeout(DEADLINE).expect("the client has the first piece");
        visit.send("later");
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    let mut got = Vec::new();
    while !got.ends_with(b"first") {
        got.extend(client.read_some(100));
    }
    go_on.send(()).expect("the origin waits");
    while !got.ends_with(b"firstlater") {
        got.extend(client.read_some(100));
    }
}

#[test]
fn a_chunked_response_stays_chunked_and_its_trailers_arrive() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
         5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 42\r\n\r\n",
    );
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    // A server may only send trailers to a client that says it takes them (RFC 9110 section 6.5.1).
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: te\r\nte: trailers\r\n\r\n");
    let response = client.response();
    assert_eq!(response.all("transfer-encoding"), ["chunked"]);
    assert_eq!(response.header("trailer"), Some("x-sum"));
    assert_eq!(
        (response.text().as_str(), response.trailers.as_slice()),
        ("hello world", &["x-sum: 42".into()][..])
    );
    assert_eq!(client.get("/").text(), "hello world", "the connection goes on");
}

#[test]
fn a_response_that_ends_with_its_connection_is_framed_anew() {
    let origin = closing_after("HTTP/1.1 200 OK\r\n\r\nhello");
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    let response = client.get("/");
    assert_eq!((response.text().as_str(), response.all("transfer-encoding")), ("hello", vec!["chunked"]));
    assert!(!response.truncated);
    assert_eq!(client.get("/").text(), "hello", "the client's connection goes on");
}

#[test]
fn a_response_to_head_has_its_length_and_no_body_and_the_connection_goes_on() {
    for framing in ["content-length: 1000", "transfer-encoding: chunked"] {
        let origin = Origin::answering(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
        let proxy = Yaml::before(&[&origin]).workers(1).start();
        let mut client = proxy.client();
        for _ in 0..3 {
            client.send("HEAD / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
            let response = client.response_to("HEAD").expect("a response");
            let length = framing.strip_prefix("content-length: ");
            assert_eq!(response.header("content-length"), length, "{}", response.head);
        }
        assert_eq!((origin.requests().len(), origin.connections()), (3, 1), "{framing}");
    }
}

#[test]
fn responses_that_have_no_body_have_none_whatever_they_say() {
    // RFC 9112 section 6.3, item 1.
    let heads = [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n",
    ];
    for head in heads {
        let origin = Origin::answering(head);
        let proxy = Yaml::before(&[&origin]).workers(1).start();
        let mut client = proxy.client();
        for _ in 0..3 {
            let response = client.get("/");
            assert_eq!(response.start_line(), head.lines().next().expect("a line"));
            assert_eq!(response.all("transfer-encoding"), [""; 0], "{head}");
        }
        assert_eq!((origin.requests().len(), origin.connections()), (3, 1), "{head}");
    }
}

#[test]
fn an_empty_response_keeps_its_length_of_zero() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let response = Proxy::before(&[&origin]).get("/");
    assert_eq!((response.header("content-length"), response.all("transfer-encoding").len()), (Some("0"), 0));
}
