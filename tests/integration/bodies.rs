//! Bodies pass byte for byte, are never gathered, and what was cut short never looks whole.

use std::thread;

use crate::support::{Client, Origin, Proxy, ok_with};

mod broken_off;
mod expect_continue;
mod http_1_0;
mod large;
mod responses;
mod uploads;

const POST: &str = "POST / HTTP/1.1\r\nhost: shop.example\r\n";
const CHUNKED_POST: &str = "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n";

/// Answers each request with its own body, by length.
fn echoing() -> Origin {
    Origin::start(|visit| {
        while let Some(request) = visit.request() {
            visit.send(ok_with(&request.text()));
        }
    })
}

/// Answers one request with these bytes, then closes.
fn closing_after(response: impl Into<Vec<u8>>) -> Origin {
    let response = response.into();
    Origin::start(move |visit| {
        visit.request();
        visit.send(&response);
    })
}

fn chunked(pieces: &[&str]) -> String {
    let chunks: String = pieces.iter().map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).collect();
    format!("{chunks}0\r\n\r\n")
}

#[test]
fn every_byte_value_passes_in_both_directions() {
    let all: Vec<u8> = (0..=255).collect();
    let answer = [b"HTTP/1.1 200 OK\r\ncontent-length: 256\r\n\r\n".as_slice(), &all].concat();
    let origin = Origin::answering(answer);
    let proxy = Proxy::before(&[&origin]);
    let response = proxy.exchange([format!("{POST}content-length: 256\r\n\r\n").as_bytes(), &all].concat());
    assert_eq!(response.body, all);
    assert_eq!(origin.request().body, all);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|visit| {
        while let Some(request) = visit.request() {
            visit.send(ok_with(&format!("{} {}", request.asks(), request.text())));
        }
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    let sized = "POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
    let streamed = "POST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nho\r\n0\r\n\r\n";
    let bare = "GET /3 HTTP/1.1\r\nhost: a\r\n\r\n";
    client.send([sized, streamed, bare, sized].concat());
    for expected in ["POST /1 hi", "POST /2 ho", "GET /3 ", "POST /1 hi"] {
        assert_eq!(client.response().text(), expected);
    }
}

#[test]
fn many_bodies_at_once_do_not_mix() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let web = proxy.web();
    let talk = |number: usize| {
        let mut client = Client::connect(web);
        for round in 0..20 {
            let body = format!("{number}-{round};").repeat(1 + 997 * round);
            assert_eq!(client.post("/", &body).text(), body);
        }
    };
    thread::scope(|scope| (0..8).for_each(|number| drop(scope.spawn(move || talk(number)))));
    assert_eq!(origin.requests().len(), 8 * 20);
}
