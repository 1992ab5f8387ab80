//! What an endpoint says before its response.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use crate::support::{DEADLINE, OK, Origin, Proxy, Yaml};

const ASK: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n";
const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style\r\nset-cookie: a=1\r\nx-own: 1\r\n\r\n";

/// Sends `before`, then waits to be told, and answers.
fn hinting(before: String) -> (Origin, Sender<()>) {
    let (go_on, told) = channel();
    let told = Mutex::new(told);
    let origin = Origin::start(move |visit| {
        while visit.request().is_some() {
            visit.send(&before);
            told.lock().expect("lock").recv_timeout(DEADLINE).expect("the test goes on");
            if !visit.send(OK) {
                return;
            }
        }
    });
    (origin, go_on)
}

fn passing(origin: &Origin) -> Proxy {
    Yaml::before(&[origin]).route("early_hints: on").workers(1).start()
}

#[test]
fn hints_arrive_while_the_endpoint_makes_the_page() {
    let (origin, go_on) = hinting(HINT.into());
    let proxy = passing(&origin);
    let mut client = proxy.client();
    for _ in 0..3 {
        let hint = client.send(ASK).response();
        assert_eq!(hint.head, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style");
        go_on.send(()).expect("the origin waits");
        assert_eq!(client.response().text(), "ok", "the connection goes on");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn every_hint_arrives() {
    let second = "HTTP/1.1 103 Early Hints\r\nlink: </b.js>\r\nlink: </c.js>\r\n\r\n";
    let (origin, go_on) = hinting(format!("{HINT}HTTP/1.1 102 Processing\r\n\r\n{second}"));
    let proxy = passing(&origin);
    let mut client = proxy.client();
    client.send(ASK);
    assert_eq!(client.response().all("link"), ["</a.css>; rel=preload; as=style"]);
    assert_eq!(client.response().all("link"), ["</b.js>", "</c.js>"]);
    go_on.send(()).expect("the origin waits");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn nobody_gets_hints_where_the_route_does_not_say_so() {
    let (origin, go_on) = hinting(HINT.into());
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(ASK);
    origin.wait_for(1);
    go_on.send(()).expect("the origin waits");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn a_client_of_http_1_0_gets_no_hints() {
    let (origin, go_on) = hinting(HINT.into());
    let proxy = passing(&origin);
    let mut client = proxy.client();
    client.send(ASK.replace("HTTP/1.1", "HTTP/1.0"));
    origin.wait_for(1);
    go_on.send(()).expect("the origin waits");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn an_interim_response_without_links_is_not_passed_on() {
    let (origin, go_on) = hinting(
        "HTTP/1.1 103 Early Hints\r\nx-own: 1\r\n\r\nHTTP/1.1 102 Processing\r\nlink: </a>\r\n\r\n".into(),
    );
    let proxy = passing(&origin);
    let mut client = proxy.client();
    client.send(ASK);
    origin.wait_for(1);
    go_on.send(()).expect("the origin waits");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn a_flood_of_hints_is_bounded_and_does_not_harm_the_response() {
    let long = format!("HTTP/1.1 103 Early Hints\r\nlink: </{}>\r\n\r\n", "a".repeat(3000));
    let (origin, go_on) = hinting(long.repeat(300));
    let proxy = passing(&origin);
    let mut client = proxy.client();
    client.send(ASK);
    origin.wait_for(1);
    go_on.send(()).expect("the origin waits");
    let last = std::iter::repeat_with(|| client.response())
        .find(|answer| answer.status() != 103)
        .expect("an answer");
    assert_eq!(last.text(), "ok");
    go_on.send(()).expect("the origin waits");
    client.send(ASK);
    let last = std::iter::repeat_with(|| client.response())
        .find(|answer| answer.status() != 103)
        .expect("an answer");
    assert_eq!(last.text(), "ok");
}

#[test]
fn hints_of_an_endpoint_that_then_fails_do_not_stop_the_next_one() {
    let failing = Origin::start(|visit| {
        visit.request();
        visit.send(HINT);
    });
    let proxy = passing(&failing);
    let mut client = proxy.client();
    client.send(ASK.replace("GET", "POST").replace("\r\n\r\n", "\r\ncontent-length: 0\r\n\r\n"));
    let answer = std::iter::repeat_with(|| client.response())
        .find(|answer| answer.status() != 103)
        .expect("an answer");
    assert_eq!((answer.status(), answer.reason()), (502, "reset"));
    assert_eq!(failing.requests().len(), 1, "a POST leaves once");
}

#[test]
fn a_pipelined_request_gets_its_hints_after_the_answer_before_it() {
    let (origin, go_on) = hinting(HINT.into());
    let proxy = passing(&origin);
    let mut client = proxy.client();
    client.send(ASK.repeat(2));
    for _ in 0..2 {
        assert_eq!(client.response().status(), 103);
        go_on.send(()).expect("the origin waits");
        assert_eq!(client.response().text(), "ok");
    }
}
