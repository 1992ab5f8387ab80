//! A client of HTTP/1.0 knows no chunks, and keeps its connection only if it asks to.

use super::chunked;
use crate::support::{OK, Origin, Proxy};

#[test]
fn an_http_1_0_client_gets_one_response_and_the_end() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    let response = client.send("GET / HTTP/1.0\r\nhost: shop.example\r\n\r\n").response();
    assert_eq!(response.text(), "ok");
    client.expect_closed();
}

#[test]
fn an_http_1_0_client_that_asks_may_keep_its_connection() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    for _ in 0..3 {
        client.send("GET / HTTP/1.0\r\nhost: shop.example\r\nconnection: keep-alive\r\n\r\n");
        let response = client.response();
        assert_eq!((response.header("connection"), response.text().as_str()), (Some("keep-alive"), "ok"));
    }
}

#[test]
fn an_http_1_0_client_gets_a_chunked_response_without_chunks() {
    let answer =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", chunked(&["hello ", "world"]));
    let origin = Origin::answering(answer);
    let proxy = Proxy::before(&[&origin]);
    for connection in ["", "connection: keep-alive\r\n"] {
        let mut client = proxy.client();
        let response = client.send(format!("GET / HTTP/1.0\r\n{connection}\r\n")).response();
        assert_eq!(response.all("transfer-encoding"), [""; 0]);
        assert_eq!(response.text(), "hello world", "delimited by the end of the connection");
    }
}
