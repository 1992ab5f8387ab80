//! Sessions that are resumed.

use std::path::Path;

use super::{ok, secured};
use crate::support::{Authority, Openssl, Proxy, Yaml, shake_hands};

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

fn first(proxy: &Proxy, authority: &Authority, version: &str, session: &Path, more: &[&str]) -> Openssl {
    let session = session.to_str().expect("UTF-8");
    shake_hands(proxy.web(), &authority.ca(), &[&[version, "-sess_out", session], more].concat())
}

fn again(proxy: &Proxy, authority: &Authority, version: &str, session: &Path, more: &[&str]) -> Openssl {
    let session = session.to_str().expect("UTF-8");
    shake_hands(proxy.web(), &authority.ca(), &[&[version, "-sess_in", session], more].concat())
}

#[test]
fn a_session_goes_on_at_every_worker() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let listener = authority.listener(&["shop"], "");
    let proxy = Yaml::before(&[&origin]).listeners(&listener).workers(4).start();
    for version in VERSIONS {
        let session = authority.path("session");
        assert!(first(&proxy, &authority, version, &session, &[]).says("New, "));
        // Of four workers, the chance that one alone is met is one in a million.
        for _ in 0..10 {
            let seen = again(&proxy, &authority, version, &session, &[]);
            assert!(seen.done && seen.says("Reused, "), "{}", seen.text);
        }
    }
    let resumed = [("resumed", "true")];
    assert_eq!(proxy.metrics().count("tillgate_tls_handshakes_total", &resumed), 20);
}

#[test]
fn a_session_goes_on_after_a_reload_and_after_a_renewal() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let yaml = Yaml::before(&[&origin]).listeners(&authority.listener(&["shop"], ""));
    let proxy = yaml.start();
    for version in VERSIONS {
        let session = authority.path("session");
        assert!(first(&proxy, &authority, version, &session, &[]).done);
        assert_eq!(proxy.reload(&yaml.clone().drain_timeout("6s").to_string()).status(), 200);
        assert!(again(&proxy, &authority, version, &session, &[]).says("Reused, "));
        authority.issue("shop", &["shop.example"]);
        assert_eq!(proxy.reload(&yaml.to_string()).status(), 200);
        assert!(again(&proxy, &authority, version, &session, &[]).says("Reused, "));
    }
}

#[test]
fn no_session_goes_on_where_tickets_are_off() {
    let (authority, origin) = ok();
    let proxy = secured(&authority, &origin, ", session_tickets: false");
    for version in VERSIONS {
        let session = authority.path(&format!("session{version}"));
        assert!(first(&proxy, &authority, version, &session, &[]).done);
        // Without a ticket there may be no file at all.
        if session.exists() {
            assert!(!again(&proxy, &authority, version, &session, &[]).says("Reused, "));
        }
    }
}

#[test]
fn a_session_without_a_certificate_does_not_go_on_where_one_is_required() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let open = Yaml::before(&[&origin]).listeners(&authority.listener(&["shop"], ""));
    let ca = authority.ca();
    let closed = format!(", client_auth: {{ ca: \"{}\" }}", ca.display());
    let closed = Yaml::before(&[&origin]).listeners(&authority.listener(&["shop"], &closed));
    for version in VERSIONS {
        let proxy = open.start();
        let session = authority.path("session");
        assert!(first(&proxy, &authority, version, &session, &[]).done);
        assert!(again(&proxy, &authority, version, &session, &[]).says("Reused, "));
        assert_eq!(proxy.reload(&closed.to_string()).status(), 200);
        let seen = again(&proxy, &authority, version, &session, &[]);
        assert!(!seen.done && !seen.says("Reused, "), "{}", seen.text);
    }
}

#[test]
fn a_client_that_resumes_is_named_to_the_endpoint_all_the_same() {
    let (authority, origin) = ok();
    authority.issue("till", &["till-7.example"]);
    let [cert, key] = ["till.pem", "till.key"].map(|file| authority.path(file).display().to_string());
    let more = format!(", client_auth: {{ ca: \"{}\" }}", authority.ca().display());
    let proxy = secured(&authority, &origin, &more);
    let client = ["-cert", &cert, "-key", &key];
    for version in VERSIONS {
        let session = authority.path("session");
        assert!(first(&proxy, &authority, version, &session, &client).done);
        assert!(again(&proxy, &authority, version, &session, &[]).says("Reused, "));
    }
    let named: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| request.header("x-forwarded-client-cert").expect("a name").to_owned())
        .collect();
    assert_eq!(named.len(), 4);
    assert!(named.iter().all(|name| *name == named[0] && name.contains("DNS=till-7.example")), "{named:?}");
}
