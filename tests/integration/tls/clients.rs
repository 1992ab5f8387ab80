//! Clients that show certificates, and those who would like to have.

use super::{ok, secured};
use crate::support::{Authority, Client, Origin, Proxy, Yaml, shake_hands};

const HEADER: &str = "x-forwarded-client-cert";
const SPELLINGS: [&str; 3] =
    ["X-Forwarded-Client-Cert", "x_forwarded_client_cert", "X-Forwarded_Client-Cert"];

fn asking(authority: &Authority, origin: &Origin, mode: &str) -> Proxy {
    let ca = authority.ca();
    secured(authority, origin, &format!(", client_auth: {{ ca: \"{}\", mode: {mode} }}", ca.display()))
}

/// Whether openssl is let in with the certificate of this name.
fn lets_in(proxy: &Proxy, authority: &Authority, client: &Authority, name: &str) -> bool {
    let [cert, key] =
        ["pem", "key"].map(|ending| client.path(&format!("{name}.{ending}")).display().to_string());
    shake_hands(proxy.web(), &authority.ca(), &["-cert", &cert, "-key", &key]).done
}

#[test]
fn where_a_certificate_is_required_nobody_gets_in_without_a_good_one() {
    let ((authority, origin), stranger) = (ok(), Authority::new());
    let proxy = asking(&authority, &origin, "require");
    authority.issue("till", &["till-7.example"]).issue_expired("old");
    stranger.issue("till", &["till-7.example"]);
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(!shake_hands(proxy.web(), &authority.ca(), &[version]).done);
    }
    assert!(!lets_in(&proxy, &authority, &stranger, "till"));
    assert!(!lets_in(&proxy, &authority, &authority, "old"));
    assert!(origin.requests().is_empty());
    assert!(lets_in(&proxy, &authority, &authority, "till"));
    let failed = [("reason", "client_certificate")];
    assert_eq!(proxy.metrics().count("tillgate_tls_handshake_failures_total", &failed), 4);
}

#[test]
fn where_it_is_optional_who_has_none_gets_in_unnamed() {
    let ((authority, origin), stranger) = (ok(), Authority::new());
    let proxy = asking(&authority, &origin, "optional");
    authority.issue("till", &["till-7.example"]);
    stranger.issue("till", &["till-7.example"]);
    assert!(shake_hands(proxy.web(), &authority.ca(), &[]).done);
    assert_eq!(origin.request().header(HEADER), None);
    assert!(!lets_in(&proxy, &authority, &stranger, "till"));
    assert!(lets_in(&proxy, &authority, &authority, "till"));
    let named = origin.requests()[1].header(HEADER).expect("a name").to_owned();
    let (hash, rest) = named.split_once(';').expect("parts");
    assert!(hash.starts_with("Hash=") && hash.len() == 69, "{named}");
    assert_eq!(rest, "Subject=\"CN=till\";DNS=till-7.example");
}

#[test]
fn nobody_names_himself() {
    let (_, origin) = ok();
    let yaml = Yaml::before(&[&origin]);
    let proxies = [yaml.start(), yaml.line("trusted_proxies: [127.0.0.0/8]").start()];
    for proxy in &proxies {
        for name in SPELLINGS {
            let request = format!(
                "GET / HTTP/1.1\r\nhost: shop.example\r\n{name}: Hash=1;Subject=\"CN=admin\"\r\n{name}: Hash=2\r\n\r\n"
            );
            assert_eq!(Client::connect(proxy.web()).send(request).response().status(), 200);
        }
    }
    let requests = origin.requests();
    assert_eq!(requests.len(), 6);
    for request in requests {
        assert!(!request.head.to_lowercase().contains("client"), "{}", request.head);
    }
}

#[test]
fn routes_go_by_the_certificate_that_was_verified_and_by_no_other() {
    let (authority, origin) = ok();
    authority.issue("till", &["till-7.example"]).issue("desk", &["desk-1.example"]);
    assert!(lets_in(&asking(&authority, &origin, "require"), &authority, &authority, "till"));
    let named = origin.request().header(HEADER).expect("a name").to_owned();
    let optional = format!(", client_auth: {{ ca: \"{}\", mode: optional }}", authority.ca().display());
    let listeners = authority.listener(&["shop"], &optional) + ", plain: { address: \"127.0.0.1:0\" }";
    let route =
        format!("{{ match: {{ path_prefix: /, headers: {{ {HEADER}: '{named}' }} }}, upstream: shop }}");
    let proxy = Yaml::before(&[&origin]).listeners(&listeners).routes(&route).start();
    assert!(lets_in(&proxy, &authority, &authority, "till"));
    assert!(!lets_in(&proxy, &authority, &authority, "desk"));
    assert!(!shake_hands(proxy.web(), &authority.ca(), &[]).done);
    for name in SPELLINGS {
        let request = format!("GET / HTTP/1.1\r\nhost: shop.example\r\n{name}: {named}\r\n\r\n");
        let plain = proxy.listener("plain").expect("a listener");
        assert_eq!(Client::connect(plain).send(request).response().reason(), "no_route", "{name}");
    }
    assert_eq!(origin.requests().len(), 2);
}
