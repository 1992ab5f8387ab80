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
