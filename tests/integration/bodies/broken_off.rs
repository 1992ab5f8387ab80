//! What is cut short or malformed on one side never looks whole on the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{CHUNKED_POST, closing_after};
use crate::support::{Message, OK, Origin, Proxy};

#[test]
fn a_sized_response_that_is_cut_anywhere_never_looks_whole() {
    never_looks_whole("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world");
}

#[test]
fn a_chunked_response_that_is_cut_anywhere_never_looks_whole() {
    never_looks_whole(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 1\r\n\r\n",
    );
}

fn never_looks_whole(response: &str) {
    let head = response.find("\r\n\r\n").expect("the end of the head") + 4;
    cut_everywhere(response, |length, got| {
        if length < head {
            assert_eq!(got.status(), 502, "cut at {length}: {}", got.head);
            assert_ne!(got.reason(), "", "cut at {length}");
        } else {
            assert!(got.truncated, "cut at {length} and yet whole: {got:?}");
        }
    });
}

/// Every way to cut this response short, and what the client makes of it.
fn cut_everywhere(response: &str, check: impl Fn(usize, &Message)) {
    let cut = Arc::new(AtomicU64::new(0));
    let (bytes, until) = (response.to_owned(), Arc::clone(&cut));
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send(&bytes.as_bytes()[..usize::try_from(until.load(Ordering::SeqCst)).expect("small")]);
    });
    let proxy = Proxy::before(&[&origin]);
    for length in 0..response.len() {
        cut.store(length as u64, Ordering::SeqCst);
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        check(length, &client.response());
    }
}

#[test]
fn a_response_that_is_cut_does_not_look_whole_to_an_http_1_0_client_either() {
    // It has nothing but the end of the connection to go by, so that end has to be a reset.
    let origin = closing_after("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo");
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    let response = client.send("GET / HTTP/1.0\r\n\r\n").response();
    assert!(response.truncated, "{response:?}");
}

#[test]
fn a_chunked_response_that_is_malformed_never_looks_whole() {
    for body in
        ["zz\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"]
    {
        let origin = closing_after(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}"));
        let response = Proxy::before(&[&origin]).get("/");
        assert!(response.truncated || response.status() == 502, "{body}: {response:?}");
    }
}

#[test]
fn a_request_that_is_cut_anywhere_never_looks_whole_to_the_origin() {
    let request = format!("{CHUNKED_POST}\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 1\r\n\r\n");
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    for length in 0..request.len() {
        let mut client = proxy.client();
        client.send(&request[..length]).finish();
        drop(client.rest());
    }
    origin.wait_for_ends(origin.connections());
    for request in origin.requests() {
        assert!(request.truncated, "{request:?}");
    }
}
