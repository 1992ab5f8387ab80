//! What is agreed on: version, certificate, protocol.

use std::process::Command;

use super::{ok, secured};
use crate::support::{Authority, OK, Origin, Proxy, Yaml, say, shake_hands};

#[test]
fn openssl_gets_through_with_each_version_that_is_spoken() {
    let (authority, origin) = ok();
    let both = secured(&authority, &origin, "");
    let newest = secured(&authority, &origin, ", min_version: \"1.3\"");
    let shakes = |proxy: &Proxy, version| shake_hands(proxy.web(), &authority.ca(), &[version]);
    for version in ["-tls1_2", "-tls1_3"] {
        let seen = shakes(&both, version);
        assert!(seen.done && seen.says("Verification: OK"), "{version}: {}", seen.text);
    }
    assert!(shakes(&newest, "-tls1_3").done);
    assert!(!shakes(&newest, "-tls1_2").done);
    let metrics = newest.metrics();
    assert_eq!(metrics.count("tillgate_tls_handshakes_total", &[("version", "1.3")]), 1);
    assert_eq!(metrics.count("tillgate_tls_handshake_failures_total", &[("reason", "nothing_in_common")]), 1);
    let old = shake_hands(both.web(), &authority.ca(), &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(!old.done, "{}", old.text);
}

#[test]
fn only_ciphers_with_forward_secrecy_are_spoken() {
    let (authority, origin) = ok();
    let proxy = secured(&authority, &origin, "");
    let shakes = |cipher| shake_hands(proxy.web(), &authority.ca(), &["-tls1_2", "-cipher", cipher]);
    for cipher in
        ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    {
        assert!(shakes(cipher).done, "{cipher}");
    }
    for cipher in ["AES128-GCM-SHA256:@SECLEVEL=0", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"] {
        assert!(!shakes(cipher).done, "{cipher}");
    }
}

#[test]
fn keys_of_every_kind_serve_and_the_client_s_choice_counts() {
    let (authority, origin) = ok();
    let kinds = [
        ("rsa", &rcgen::PKCS_RSA_SHA256, "rsa_pss_rsae_sha256"),
        ("ecdsa", &rcgen::PKCS_ECDSA_P384_SHA384, "ecdsa_secp384r1_sha384"),
        ("ed25519", &rcgen::PKCS_ED25519, "ed25519"),
    ];
    for (name, algorithm, _) in kinds {
        authority.issue_with(name, &["shop.example"], algorithm);
    }
    let listener = authority.listener(&["rsa", "ed25519", "ecdsa"], "");
    let proxy = Yaml::before(&[&origin]).listeners(&listener).start();
    for (name, _, scheme) in kinds {
        let trusted = format!("{scheme}:ecdsa_secp256r1_sha256");
        let seen = shake_hands(proxy.web(), &authority.ca(), &["-tls1_3", "-sigalgs", &trusted]);
        assert!(seen.done && seen.says(&format!("0 s:CN = {name}")), "{name}: {}", seen.text);
    }
    let seen = shake_hands(proxy.web(), &authority.ca(), &[]);
    assert!(seen.says("0 s:CN = ecdsa"), "{}", seen.text);
}

#[test]
fn keys_are_read_in_the_forms_that_openssl_writes() {
    let (authority, origin) = ok();
    authority.issue_with("rsa", &["shop.example"], &rcgen::PKCS_RSA_SHA256).issue("ec", &["shop.example"]);
    for (name, begins) in [("rsa", "BEGIN RSA PRIVATE KEY"), ("ec", "BEGIN EC PRIVATE KEY")] {
        let key = authority.path(&format!("{name}.key"));
        let converted = Command::new("openssl")
            .args(["pkey", "-traditional", "-in"])
            .arg(&key)
            .output()
            .expect("run openssl");
        let text = String::from_utf8(converted.stdout).expect("PEM");
        assert!(text.contains(begins), "{text}");
        std::fs::write(&key, text).expect("write");
        let proxy = Yaml::before(&[&origin]).listeners(&authority.listener(&[name], "")).start();
        assert!(shake_hands(proxy.web(), &authority.ca(), &[]).done);
    }
}

#[test]
fn the_certificate_is_the_one_for_the_name_that_is_asked_for() {
    let (authority, origin) = ok();
    authority.issue("first", &["shop.example"]).issue("wild", &["*.shop.example"]);
    let proxy = Yaml::before(&[&origin]).listeners(&authority.listener(&["first", "wild"], "")).start();
    for (arguments, shown) in [
        (&["-servername", "shop.example"][..], "first"),
        (&["-servername", "pay.shop.example"], "wild"),
        (&["-servername", "nobody.example"], "first"),
        (&["-noservername"], "first"),
    ] {
        let seen = shake_hands(proxy.web(), &authority.ca(), arguments);
        assert!(seen.done && seen.says(&format!("0 s:CN = {shown}")), "{arguments:?}: {}", seen.text);
    }
}

#[test]
fn the_protocol_is_agreed_on_in_the_handshake() {
    let (authority, origin) = ok();
    let both = secured(&authority, &origin, "");
    let old = secured(&authority, &origin, ", alpn: [http/1.1]");
    let agreed = |proxy: &Proxy, offered| {
        let seen = shake_hands(proxy.web(), &authority.ca(), &["-alpn", offered]);
        let line = seen.text.lines().find_map(|line| line.strip_prefix("ALPN protocol: ").map(str::to_owned));
        line.unwrap_or_default()
    };
    assert_eq!(agreed(&both, "http/1.1"), "http/1.1");
    assert_eq!(agreed(&old, "h2,http/1.1"), "http/1.1");
    assert_eq!(agreed(&old, "h2"), "", "there is nothing in common");
}

#[test]
fn http_2_that_was_not_agreed_on_is_not_spoken() {
    let (authority, origin) = ok();
    // An empty SETTINGS, then no frame at all, which ends the connection where it is spoken.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    for more in ["", ", alpn: [http/1.1]"] {
        let proxy = secured(&authority, &origin, more);
        let seen = say(preface, proxy.web(), &authority.ca(), &["-quiet"]);
        assert!(seen.says("verify return:1"), "{}", seen.text);
        assert!(!seen.text.contains('\0'), "that is a frame: {:?}", seen.text);
        assert!(shake_hands(proxy.web(), &authority.ca(), &[]).done, "it needs no ALPN for HTTP/1.1");
    }
}

fn curl(authority: &Authority, proxy: &Proxy, arguments: &[&str]) -> String {
    let port = proxy.web().port();
    let url = format!("https://shop.example:{port}/a");
    let resolve = format!("shop.example:{port}:127.0.0.1");
    let mut command = Command::new("curl");
    command
        .args(["-sS", "--max-time", "20", "--noproxy", "*", "--resolve", &resolve, "--cacert"])
        .arg(authority.ca());
    let output = command.args(arguments).arg(url).output().expect("run curl");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn curl_is_served_over_http_1_and_http_2() {
    let (authority, origin) = (Authority::new(), Origin::answering(OK));
    let proxy = secured(&authority, &origin, "");
    for (version, wanted) in [("--http1.1", "ok 1.1"), ("--http2", "ok 2")] {
        assert_eq!(curl(&authority, &proxy, &[version, "-w", " %{http_version}"]), wanted);
    }
    for request in origin.requests() {
        assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    }
}

#[test]
fn the_access_log_says_how_a_request_came_in() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let log = authority.path("access.log");
    let proxy = Yaml::before(&[&origin])
        .listeners(&authority.listener(&["shop"], ""))
        .line(&format!("access_log: {{ path: \"{}\" }}", log.display()))
        .start();
    assert!(shake_hands(proxy.web(), &authority.ca(), &["-tls1_2"]).done);
    let line = crate::support::eventually("a line", || {
        std::fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n'))
    });
    assert!(line.contains(r#""tls":"1.2","server_name":"shop.example""#), "{line}");
}
