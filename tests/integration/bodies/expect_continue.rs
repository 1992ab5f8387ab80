//! A client that waits to be told to continue is told so when an endpoint takes its request, and not before.

use super::{POST, echoing};
use crate::support::{OK, Origin, Proxy, Refuser, Yaml};

#[test]
fn the_client_is_told_to_continue_once_an_endpoint_takes_its_request() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 5\r\nexpect: 100-continue\r\n\r\n"));
    assert_eq!(client.response().start_line(), "HTTP/1.1 100 Continue");
    assert_eq!(client.send("hello").response().text(), "hello");
    assert_eq!(client.post("/", "again").text(), "again", "the connection goes on");
    assert_eq!(origin.requests()[0].all("expect"), [""; 0], "the promise is the proxy's to keep");
}

#[test]
fn the_client_is_not_told_to_continue_when_no_endpoint_takes_its_request() {
    let nobody = Refuser::bind();
    let proxy = Yaml::before_address(nobody.address()).start();
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 5\r\nexpect: 100-continue\r\n\r\n"));
    let response = client.response();
    assert_eq!((response.status(), response.reason()), (502, "connect_failed"));
}

#[test]
fn the_client_is_not_told_to_continue_with_a_body_that_is_too_large() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("max_body: 4").start();
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 5\r\nexpect: 100-continue\r\n\r\n"));
    assert_eq!(client.response().status(), 413);
}

/// What a client that waits to be told is answered, and whether anything was said before.
fn refused(proxy: &Proxy) -> (u16, String) {
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 5\r\nexpect: 100-continue\r\n\r\n"));
    let answer = client.response();
    (answer.status(), answer.reason().to_owned())
}

#[test]
fn no_refusal_comes_after_a_100() {
    let origin = Origin::answering(OK);
    let drained = format!("endpoints: [{{ address: \"{}\", weight: 0 }}]", origin.address());
    assert_eq!(refused(&Yaml::new(&drained).start()), (503, "no_endpoint".into()));
    let elsewhere = Yaml::before(&[&origin]).routes("{ match: { path: /elsewhere }, upstream: shop }");
    assert_eq!(refused(&elsewhere.start()), (404, "no_route".into()));
    let aborting = Yaml::before(&[&origin]).route("fault: { abort: { status: 503 } }");
    assert_eq!(refused(&aborting.start()), (503, "fault_injected".into()));
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_client_that_does_not_wait_to_be_told_is_served_all_the_same() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 5\r\nexpect: 100-continue\r\n\r\nhello"));
    let first = client.response();
    let answer = if first.status() == 100 { client.response() } else { first };
    assert_eq!(answer.text(), "hello");
    assert_eq!(client.post("/", "again").text(), "again");
}

#[test]
fn a_client_of_http_2_is_told_nothing_and_served() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let said = std::process::Command::new("curl")
        .args([
            "-sS",
            "--http2-prior-knowledge",
            "--max-time",
            "20",
            "--expect100-timeout",
            "0.1",
            "-d",
            "hello",
        ])
        .args(["-H", "Expect: 100-continue", &format!("http://{}/", proxy.web())])
        .output()
        .expect("curl runs");
    assert_eq!(String::from_utf8_lossy(&said.stdout), "hello", "{}", String::from_utf8_lossy(&said.stderr));
}
