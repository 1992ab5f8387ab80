use std::path::Path;

use super::rendering::survives;
use super::{MINIMAL, bad, good, hint};
use crate::config::{Alpn, ClientAuthMode, ListenerTls, TlsVersion};

/// A small config whose listener has this TLS; it begins in line 2, column 42.
fn listener(tls: &str) -> String {
    MINIMAL.replace("8080\" }", &format!("8080\", tls: {tls} }}"))
}

const PAIR: &str = "certificates: [ { cert: a.pem, key: a.key } ]";

fn tls(more: &str) -> ListenerTls {
    let config = good(&listener(&format!("{{ {PAIR}{more} }}"))).config;
    config.listeners[0].tls.clone().expect("TLS")
}

#[test]
fn a_listener_has_no_tls_unless_it_is_told_to() {
    assert_eq!(good(MINIMAL).config.listeners[0].tls, None);
    assert_eq!(good(&listener("off")).config.listeners[0].tls, None);
}

#[test]
fn a_certificate_and_a_key_are_enough() {
    let tls = tls("");
    assert_eq!((tls.min_version, tls.client_auth, tls.session_tickets), (TlsVersion::V1_2, None, true));
    assert_eq!(tls.alpn, [Alpn::H2, Alpn::Http1]);
    assert_eq!(tls.certificates[0].ocsp, None);
}

#[test]
fn paths_are_absolute_whatever_they_begin_with() {
    let tls = tls(", client_auth: { ca: /etc/clients.pem }");
    assert!(tls.certificates[0].cert.is_absolute() && tls.certificates[0].cert.ends_with("a.pem"));
    let auth = tls.client_auth.expect("client_auth");
    assert_eq!((auth.ca.as_path(), auth.mode), (Path::new("/etc/clients.pem"), ClientAuthMode::Require));
}

#[test]
fn versions_may_stand_without_quotes() {
    for text in ["1.3", "\"1.3\""] {
        assert_eq!(tls(&format!(", min_version: {text}")).min_version, TlsVersion::V1_3);
    }
}

#[test]
fn mistakes_are_told_where_they_stand() {
    let with = |more: &str| listener(&format!("{{ {PAIR}, {more} }}"));
    let cases = [
        (listener("{ }"), "2:37 `certificates` is missing in `tls`"),
        (listener("{ certificates: [] }"), "2:58 there is no certificate"),
        (listener("{ certificates: [ { cert: a } ] }"), "2:60 `key` is missing in `certificate`"),
        (
            listener("{ certificates: [ { cert: \"\", key: a } ] }"),
            "2:68 `cert` must be the path of a file, found ``",
        ),
        (with("min_version: 1.1"), "2:104 TLS 1.1 is broken, and not spoken here"),
        (with("min_version: 1.0"), "2:104 TLS 1.0 is broken, and not spoken here"),
        (with("min_version: 2"), "2:104 `min_version` must be one of 1.2, 1.3"),
        (with("client_auth: { mode: require }"), "2:91 `ca` is missing in `client_auth`"),
        (
            with("client_auth: { ca: a, mode: maybe }"),
            "2:119 `mode` must be one of require, optional, found `maybe`",
        ),
        (with("alpn: []"), "2:97 `alpn` names no protocol"),
        (with("alpn: [h2, h2]"), "2:102 `h2` stands there already"),
        (with("alpn: [h3]"), "2:98 `protocol` must be one of h2, http/1.1, found `h3`"),
        (with("ciphers: all"), "2:91 unknown key `ciphers`"),
    ];
    for (text, told) in cases {
        assert_eq!(bad(&text), [told], "{text}");
    }
    let twice = "{ certificates: [ { cert: /a, key: /b }, { cert: /a, key: /b } ] }";
    assert_eq!(bad(&listener(twice)), ["2:83 /a stands there already"]);
    assert_eq!(hint(&with("min_versoin: 1.2")), "did you mean `min_version`?");
}

#[test]
fn what_is_printed_reads_back() {
    survives(&listener(&format!("{{ {PAIR} }}")));
    survives(&listener(
        "{ certificates: [ { cert: /a, key: /b, ocsp: /c }, { cert: /d, key: /e } ], min_version: 1.3, \
         client_auth: { ca: /f, mode: optional }, alpn: [http/1.1], session_tickets: false }",
    ));
}
