//! Files that cannot be used are refused where the config names them.

use std::fs;

use super::ok;
use crate::support::{Program, Proxy, Yaml, shake_hands};

#[test]
fn check_says_what_is_wrong_with_each_file_where_it_is_named() {
    let (authority, _) = ok();
    authority.issue("a", &["a.example"]).issue("b", &["b.example"]).issue_expired("old");
    fs::write(authority.path("empty.pem"), "nothing\n").expect("write");
    let config = authority.path("tillgate.yaml");
    let text = "\
listeners:
  web:
    address: 127.0.0.1:0
    tls:
      certificates:
        - { cert: a.pem, key: b.key }
        - { cert: gone.pem, key: b.key }
        - { cert: empty.pem, key: b.key }
        - { cert: old.pem, key: old.key }
      client_auth: { ca: empty.pem }
upstreams: { shop: { endpoints: [\"127.0.0.1:7001\"] } }
routes: [ { upstream: shop } ]
";
    fs::write(&config, text).expect("write");
    let output = Program::output(&["check", "-c", config.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    for (place, what) in [
        ("6:31", "b.key: the key does not belong to the certificate in"),
        ("7:19", "gone.pem: there is no such file"),
        ("8:19", "empty.pem: there is no certificate in it"),
        ("9:19: warning", "old.pem: the certificate has expired"),
        ("10:26", "empty.pem: there is no certificate in it"),
    ] {
        let found =
            said.lines().any(|line| line.contains(&format!("tillgate.yaml:{place}")) && line.contains(what));
        assert!(found, "{place} {what} in\n{said}");
    }
}

#[test]
fn paths_begin_at_the_directory_of_the_config() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let listener =
        authority.listener(&["shop"], "").replace(&format!("{}/", authority.path("").display()), "");
    let listener = listener.replace(&authority.path("").display().to_string(), "./");
    let config = authority.path("tillgate.yaml");
    fs::write(&config, Yaml::before(&[&origin]).listeners(&listener).to_string()).expect("write");
    let proxy = Proxy::watching_file(&config);
    assert!(shake_hands(proxy.web(), &authority.ca(), &[]).done);
    let tls = &proxy.admin_json("/api/v1/config")["config"]["listeners"]["web"]["tls"];
    assert_eq!(tls["certificates"][0]["key"], authority.path("shop.key").display().to_string());
}

#[test]
fn a_reload_with_a_broken_pair_is_refused_and_the_old_one_serves_on() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]).issue("other", &["other.example"]);
    let yaml = Yaml::before(&[&origin]);
    let proxy = yaml.clone().listeners(&authority.listener(&["shop"], "")).start();
    fs::copy(authority.path("shop.key"), authority.path("other.key")).expect("copy");
    let broken = yaml.listeners(&authority.listener(&["shop", "other"], ""));
    let answer = proxy.reload(&broken.to_string());
    assert_eq!(answer.status(), 422);
    assert!(answer.text().contains("other.key: the key does not belong"), "{}", answer.text());
    assert!(shake_hands(proxy.web(), &authority.ca(), &[]).done);
}

#[test]
fn a_listener_that_gets_tls_has_it_for_the_connections_to_come() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let yaml = Yaml::before(&[&origin]);
    let listener =
        authority.listener(&["shop"], "").replace("127.0.0.1:0", &crate::support::free_address().to_string());
    let secured = yaml.clone().listeners(&listener);
    let (start, _) = listener.split_once(", tls").expect("its TLS");
    let plain = yaml.listeners(&format!("{start} }}"));
    let proxy = plain.start();
    let mut before = proxy.client();
    assert_eq!(before.get("/").status(), 200);
    assert_eq!(proxy.reload(&secured.to_string()).status(), 200);
    assert!(shake_hands(proxy.web(), &authority.ca(), &[]).done);
    assert_eq!(before.get("/").status(), 200, "what was open stays as it is");
    assert_eq!(proxy.get("/").reason(), "plain_http");
    assert_eq!(proxy.reload(&plain.to_string()).status(), 200);
    assert_eq!(proxy.get("/").status(), 200);
}

#[test]
fn explain_tells_who_takes_tls_from_who_does_not() {
    let (authority, _) = ok();
    authority.issue("shop", &["shop.example"]);
    let secure = authority.listener(&["shop"], "").replace("web:", "secure:").replace(":0", ":8443");
    let both = format!("web: {{ address: \"127.0.0.1:8080\" }}, {secure}");
    let config = authority.path("tillgate.yaml");
    fs::write(&config, Yaml::new("endpoints: [\"127.0.0.1:7001\"]").listeners(&both).to_string())
        .expect("write");
    let explain = |url: &str| {
        let config = config.to_str().expect("UTF-8");
        let output = Program::output(&["explain", "--offline", "-c", config, "GET", url]);
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    for (url, listener, proto) in [
        ("https://127.0.0.1:8443/", "secure (127.0.0.1:8443)", "https"),
        ("http://127.0.0.1:8080/", "web (127.0.0.1:8080)", "http"),
        ("https://127.0.0.1:8080/", "none at this address", "https"),
        ("http://127.0.0.1:8443/", "none at this address", "http"),
    ] {
        let said = explain(url);
        let line = said.lines().find(|line| line.starts_with("listener")).expect("a listener");
        assert!(line.contains(listener), "{url}: {said}");
        assert!(said.contains(&format!("x-forwarded-proto: {proto}\n")), "{url}: {said}");
    }
}
