use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use super::rendering::survives;
use super::{MINIMAL, bad, good, hint, listed, upstream};
use crate::config::{Loaded, Problems, Protocol, UpstreamTls, load, to_json};

fn tls(yaml: &str) -> UpstreamTls {
    good(&upstream(&format!("tls: {yaml}"))).config.upstreams.remove(0).tls.expect("it is on")
}

fn warned(lines: &str) -> Vec<String> {
    listed(&good(&upstream(lines)).warnings)
}

/// With an endpoint that has a name.
fn named(lines: &str) -> String {
    upstream(lines).replace("127.0.0.1:7001", "orders.internal:443")
}

#[test]
fn without_a_word_endpoints_speak_http1_in_the_clear() {
    let shop = good(MINIMAL).config.upstreams.remove(0);
    assert_eq!((shop.protocol, &shop.tls), (Protocol::Http1, &None));
    assert_eq!(shop.connection.max_streams, 100);
    assert_eq!(shop.connection.ping_interval, Some(Duration::from_secs(20)));
    let json = &to_json(&good(MINIMAL).config)["upstreams"]["shop"];
    assert_eq!((json["protocol"].as_str(), json["tls"].as_str()), (Some("http1"), Some("off")));
}

#[test]
fn tls_is_on_with_all_defaults_by_a_word_or_an_empty_map() {
    for on in ["on", "{}"] {
        assert_eq!(tls(on), UpstreamTls::default());
    }
    assert_eq!(good(&upstream("tls: off")).config.upstreams[0].tls, None);
}

#[test]
fn everything_about_tls_can_be_said_and_reads_back() {
    let all = "{ server_name: Orders.Internal., ca: /etc/ca.pem, client_certificate: { cert: a.pem, key: a.key }, min_version: \"1.3\" }";
    let read = tls(all);
    assert_eq!(read.server_name.as_deref(), Some("orders.internal"));
    assert_eq!(read.min_version.name(), "1.3");
    assert!(read.verify);
    survives(&upstream(&format!("tls: {all}\nprotocol: auto")));
    survives(&upstream(
        "tls: on\nprotocol: h2\nconnection: { max_streams: 7, ping_interval: off, ping_timeout: 2s }",
    ));
    survives(&upstream("tls: { verify: false }"));
}

#[test]
fn a_version_may_stand_there_without_quotes() {
    assert_eq!(tls("{ min_version: 1.3 }").min_version.name(), "1.3");
    assert_eq!(bad(&named("tls: { min_version: 1.1 }")), ["5:25 TLS 1.1 is broken, and not spoken here"]);
}

#[test]
fn what_is_no_name_a_file_or_a_protocol_is_refused() {
    for name in ["https://orders", "orders:443", "*.orders", "-a", "a..b"] {
        let text = named(&format!("tls: {{ server_name: \"{name}\" }}"));
        assert_eq!(bad(&text), [format!("5:25 `{name}` is no host name")]);
    }
    assert_eq!(bad(&named("tls: { ca: \"\" }")), ["5:16 `ca` must be the path of a file, found ``"]);
    assert_eq!(
        bad(&named("tls: { client_certificate: { cert: a.pem } }")),
        ["5:12 `key` is missing in `client_certificate`"]
    );
    assert_eq!(hint(&upstream("protocol: http2")), "did you mean `http1`?");
    assert_eq!(bad(&upstream("tls: 1")).len(), 1);
    assert_eq!(bad(&upstream("connection: { max_streams: 0 }")).len(), 1);
    assert_eq!(bad(&upstream("connection: { ping_interval: 10ms }")).len(), 1);
}

#[test]
fn an_endpoint_that_is_believed_unseen_is_pointed_at() {
    let warnings = warned("tls: { verify: false }");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("whoever answers at the endpoint's address is believed"), "{warnings:?}");
}

#[test]
fn an_address_whose_certificate_has_to_be_for_it_is_pointed_at() {
    assert_eq!(warned("tls: on"), ["5:10 the certificate of `127.0.0.1:7001` has to be for that address"]);
    assert!(warned("tls: { server_name: orders.internal }").is_empty());
    assert!(good(&named("tls: on")).warnings.is_empty());
}

#[test]
fn auto_without_tls_is_pointed_at() {
    assert_eq!(warned("protocol: auto"), ["5:15 without `tls`, `protocol: auto` is HTTP/1.1"]);
    assert!(warned("protocol: h2").is_empty());
}

#[test]
fn files_are_looked_for_beside_the_config() {
    let directory = directory();
    let absolute = directory.path().join("a.pem").display().to_string();
    let pair = format!("{{ cert: \"{absolute}\", key: a.key }}");
    let loaded = loaded(&directory, &format!("{{ server_name: a, ca: ca.pem, client_certificate: {pair} }}"));
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let tls = loaded.config.upstreams[0].tls.clone().expect("it is on");
    assert_eq!(tls.ca, Some(directory.path().join("ca.pem")));
    let pair = tls.client_certificate.expect("a pair");
    assert_eq!((&*pair.cert, pair.key), (Path::new(&absolute), directory.path().join("a.key")));
}

#[test]
fn files_that_are_of_no_use_are_told_where_they_are_named() {
    let directory = directory();
    fs::write(directory.path().join("empty.pem"), "nothing\n").expect("write");
    let fifo = directory.path().join("fifo.pem");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).expect("a FIFO");
    let pair =
        |cert, key| format!("{{ server_name: a, client_certificate: {{ cert: {cert}, key: {key} }} }}");
    for (tls, place, message) in [
        ("{ ca: gone.pem }".to_owned(), "5:16", "gone.pem: there is no such file"),
        ("{ ca: empty.pem }".to_owned(), "5:16", "empty.pem: there is no certificate in it"),
        ("{ ca: fifo.pem }".to_owned(), "5:16", "fifo.pem: this is not a file"),
        (pair("gone.pem", "a.key"), "5:56", "gone.pem: there is no such file"),
        (pair("fifo.pem", "a.key"), "5:56", "fifo.pem: this is not a file"),
        (pair("a.pem", "fifo.pem"), "5:68", "fifo.pem: this is not a file"),
        (pair("a.pem", "a.pem"), "5:68", "a.pem: there is no private key in it"),
        (pair("a.pem", "b.key"), "5:68", "b.key: the key does not belong to the certificate in"),
    ] {
        let told = listed(&loaded(&directory, &tls).expect_err("a problem"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(&format!("{place} ")) && told[0].contains(message), "{told:?}");
    }
}

#[test]
fn a_certificate_for_endpoints_that_has_expired_is_pointed_at() {
    let directory = directory();
    let tls = "{ server_name: a, client_certificate: { cert: old.pem, key: old.key } }";
    let loaded = loaded(&directory, tls).unwrap_or_else(|problems| panic!("{problems}"));
    let warning = loaded.warnings.iter().next().expect("a warning");
    assert_eq!((loaded.warnings.len(), warning.line, warning.column), (1, 5, 56), "{}", loaded.warnings);
    assert!(warning.message.ends_with("old.pem: the certificate has expired"), "{warning:?}");
    assert_eq!(warning.hint.as_deref(), Some("endpoints that ask for it will not accept it"));
}

/// With `ca.pem` and `NAME.pem` with `NAME.key` for a, b and old. None of them names a host.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["ca", "a", "b", "old"] {
        let (key, mut params) = (KeyPair::generate().expect("a key"), CertificateParams::default());
        if name == "old" {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let path = directory.path().join(name);
        fs::write(path.with_extension("pem"), certificate).expect("write");
        fs::write(path.with_extension("key"), key.serialize_pem()).expect("write");
        fs::set_permissions(path.with_extension("key"), Permissions::from_mode(0o600)).expect("mode");
    }
    directory
}

/// What becomes of a config with this `tls` that stands beside those files.
fn loaded(directory: &TempDir, tls: &str) -> Result<Loaded, Problems> {
    let path = directory.path().join("shop.yaml");
    fs::write(&path, named(&format!("tls: {tls}"))).expect("write");
    load(&path)
}
