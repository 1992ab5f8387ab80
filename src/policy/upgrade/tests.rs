use http::{Method, Request};

use super::*;

/// The pair of RFC 6455 section 1.3.
const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
const ACCEPT: (&str, &str) = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

fn parts(headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(Method::GET).uri("/chat");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

fn headers(headers: &[(&str, &str)]) -> HeaderMap {
    parts(headers).headers
}

fn asked(upgrade: &str, allowed: &[&str]) -> Option<Upgrade> {
    let parts = parts(&[("connection", "keep-alive, Upgrade"), ("upgrade", upgrade), KEY]);
    let allowed = Upgrades::of(allowed.iter().map(|&protocol| protocol.to_owned()).collect());
    Upgrade::asked(&parts, Framing::None, &allowed)
}

fn offered(upgrade: &Upgrade) -> HeaderMap {
    let mut made = headers(&[("connection", "te"), ("te", "trailers")]);
    upgrade.offer(&mut made);
    made
}

#[test]
fn what_is_allowed_is_offered_to_the_endpoint_and_nothing_else() {
    let made = offered(&asked("h2c, WebSocket, chat/2", &["websocket", "chat/2"]).expect("asked"));
    assert_eq!(made, headers(&[("connection", "Upgrade"), ("upgrade", "WebSocket, chat/2")]));
    assert_eq!(asked("websocket", &[]), None);
    assert_eq!(asked("h2c", &["websocket"]), None);
    assert_eq!(asked("", &["websocket"]), None);
}

#[test]
fn an_upgrade_is_asked_for_over_http_1_1_with_connection_and_without_a_body() {
    let allowed = Upgrades::default();
    let whole = parts(&[("connection", "upgrade"), ("upgrade", "websocket"), KEY]);
    assert!(Upgrade::asked(&whole, Framing::Length(0), &allowed).is_some());
    assert!(Upgrade::asked(&whole, Framing::Length(1), &allowed).is_none());
    assert!(Upgrade::asked(&whole, Framing::Chunked, &allowed).is_none());
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let mut other = whole.clone();
        other.version = version;
        assert!(Upgrade::asked(&other, Framing::None, &allowed).is_none(), "{version:?}");
    }
    for connection in [("x", "upgrade"), ("connection", "close"), ("connection", "upgraded")] {
        let other = parts(&[connection, ("upgrade", "websocket"), KEY]);
        assert!(Upgrade::asked(&other, Framing::None, &allowed).is_none(), "{connection:?}");
    }
}

#[test]
fn a_websocket_is_granted_by_the_hash_of_its_key_only() {
    let upgrade = asked("websocket", &["websocket"]).expect("asked");
    let is_granted = |made: &[(&str, &str)]| upgrade.is_granted(&headers(made));
    assert!(is_granted(&[("upgrade", "WebSocket"), ACCEPT]));
    assert!(!is_granted(&[("upgrade", "websocket")]));
    assert!(!is_granted(&[ACCEPT]));
    assert!(!is_granted(&[("upgrade", "h2c"), ACCEPT]));
    assert!(!is_granted(&[("upgrade", "websocket, h2c"), ACCEPT]));
    assert!(!is_granted(&[("upgrade", "websocket"), ACCEPT, ACCEPT]));
    assert!(!is_granted(&[
        ("upgrade", "websocket"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=")
    ]));
    let keyless = Upgrade { key: None, ..upgrade.clone() };
    assert!(!keyless.is_granted(&headers(&[("upgrade", "websocket"), ACCEPT])));
}

#[test]
fn another_protocol_is_granted_by_its_name() {
    let upgrade = asked("chat/2, chat/1", &["chat/1", "chat/2"]).expect("asked");
    assert!(upgrade.is_granted(&headers(&[("upgrade", "chat/1")])));
    assert!(!upgrade.is_granted(&headers(&[("upgrade", "chat/3")])));
    assert!(!upgrade.is_granted(&headers(&[])));
}

#[test]
fn the_client_is_told_in_the_way_it_asked() {
    let made = || headers(&[("content-length", "5"), ACCEPT, ("sec-websocket-protocol", "mqtt")]);
    let chosen = HeaderValue::from_static("websocket");
    let mut told = made();
    let upgrade = asked("websocket", &["websocket"]).expect("asked");
    assert_eq!(upgrade.grant(chosen.clone(), &mut told), StatusCode::SWITCHING_PROTOCOLS);
    let wanted =
        [ACCEPT, ("sec-websocket-protocol", "mqtt"), ("connection", "upgrade"), ("upgrade", "websocket")];
    assert_eq!(told, headers(&wanted));
    let mut told = made();
    let connect = Upgrade::connect("websocket", 0, &Upgrades::default()).expect("allowed");
    assert_eq!(connect.grant(chosen, &mut told), StatusCode::OK);
    assert_eq!(told, headers(&[("sec-websocket-protocol", "mqtt")]));
}

#[test]
fn a_connect_brings_a_key_of_its_own() {
    let nonce = u128::from_be_bytes(*b"the sample nonce");
    let upgrade = Upgrade::connect("websocket", nonce, &Upgrades::default()).expect("allowed");
    assert_eq!(offered(&upgrade), headers(&[("connection", "Upgrade"), ("upgrade", "websocket"), KEY]));
    assert!(upgrade.is_granted(&headers(&[("upgrade", "websocket"), ACCEPT])));
    assert_eq!(Upgrade::connect("connect-udp", nonce, &Upgrades::default()), None);
}
