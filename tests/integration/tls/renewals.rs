//! Certificates that are replaced while the proxy runs.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::ok;
use crate::support::{Authority, DEADLINE, Origin, Proxy, Yaml, eventually, shake_hands};

fn watching(authority: &Authority, origin: &Origin, more: &str) -> Proxy {
    let listener = authority.listener(&["shop"], more);
    Proxy::watching(&Yaml::before(&[origin]).listeners(&listener).to_string())
}

/// A client that trusts the authority, and wants to see a certificate each time.
fn client(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca()).expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions").with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Connection {
    let name = ServerName::try_from("shop.example").expect("a name");
    let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("connect");
    stream.set_read_timeout(Some(DEADLINE)).expect("read timeout");
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).expect("a client"), stream)
}

/// Asks on an open connection, and reads the whole of [`OK`](crate::support::OK).
fn ask(connection: &mut Connection) -> String {
    connection.write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").expect("write");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        let mut bytes = [0; 1024];
        let count = connection.read(&mut bytes).expect("read");
        assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend(&bytes[..count]);
    }
    String::from_utf8(answer).expect("text")
}

/// The certificate that a new connection is shown.
fn shown(address: SocketAddr, config: &Arc<ClientConfig>) -> CertificateDer<'static> {
    let mut connection = connect(address, config);
    ask(&mut connection);
    connection.conn.peer_certificates().expect("a certificate")[0].clone().into_owned()
}

fn der(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("a certificate")
}

fn wait_until_shown(proxy: &Proxy, config: &Arc<ClientConfig>, file: &Path) {
    eventually("the new certificate", || (shown(proxy.web(), config) == der(file)).then_some(()));
}

fn refusals(proxy: &Proxy) -> Vec<String> {
    let status = proxy.admin_json("/api/v1/status");
    let all = status["certificate_refusals"].as_array().expect("a list");
    all.iter().map(|one| one.as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_pair_that_was_replaced_is_shown_and_connections_live_on() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let proxy = watching(&authority, &origin, "");
    let config = client(&authority);
    let mut open = connect(proxy.web(), &config);
    ask(&mut open);
    for _ in 0..3 {
        authority.issue("shop", &["shop.example"]);
        wait_until_shown(&proxy, &config, &authority.path("shop.pem"));
        ask(&mut open);
    }
    assert_eq!(proxy.generation(), 1, "the config is the same");
    let metrics =
        proxy.metrics_when(|metrics| metrics.count("tillgate_certificate_renewals_total", &[]) >= 3);
    assert!(metrics.sum("tillgate_certificate_expiry_timestamp_seconds", &[("name", "shop.example")]) > 1e9);
}

#[test]
fn half_a_pair_is_refused_by_name_until_the_other_half_is_there() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let proxy = watching(&authority, &origin, "");
    let (config, before) = (client(&authority), der(&authority.path("shop.pem")));
    authority.issue("next", &["shop.example"]);
    fs::rename(authority.path("next.pem"), authority.path("shop.pem")).expect("rename");
    let refused = eventually("a refusal", || Some(refusals(&proxy)).filter(|refused| !refused.is_empty()));
    let key = authority.path("shop.key");
    assert!(
        refused[0].starts_with(&format!("listener web: {}: the key does not belong", key.display())),
        "{refused:?}"
    );
    assert_eq!(proxy.metrics().count("tillgate_certificate_renewal_failures_total", &[]), 1);
    assert_eq!(shown(proxy.web(), &config), before);
    fs::rename(authority.path("next.key"), key).expect("rename");
    wait_until_shown(&proxy, &config, &authority.path("shop.pem"));
    assert!(refusals(&proxy).is_empty());
}

/// Writes a pair as the kubelet does: a directory of its own, and `..data` swapped to it.
fn publish(authority: &Authority, volume: &Path, version: &str) {
    authority.issue("next", &["shop.example"]);
    let directory = volume.join(version);
    fs::create_dir(&directory).expect("a directory");
    for ending in ["pem", "key"] {
        fs::rename(authority.path(&format!("next.{ending}")), directory.join(format!("shop.{ending}")))
            .expect("rename");
    }
    symlink(version, volume.join("..data_tmp")).expect("link");
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("swap");
}

#[test]
fn a_secret_that_kubernetes_swaps_takes_effect() {
    let ((authority, origin), volume) = (ok(), tempfile::tempdir().expect("a directory"));
    publish(&authority, volume.path(), "..1");
    for ending in ["pem", "key"] {
        let file = format!("shop.{ending}");
        symlink(Path::new("..data").join(&file), volume.path().join(&file)).expect("link");
        symlink(volume.path().join(&file), authority.path(&file)).expect("link");
    }
    let proxy = watching(&authority, &origin, "");
    let config = client(&authority);
    for version in ["..2", "..3"] {
        publish(&authority, volume.path(), version);
        wait_until_shown(&proxy, &config, &volume.path().join("shop.pem"));
    }
    assert_eq!(proxy.metrics().count("tillgate_certificate_renewal_failures_total", &[]), 0);
}

#[test]
fn a_config_that_was_refused_for_a_broken_pair_takes_effect_when_the_pair_is_whole() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]).issue("next", &["shop.example"]);
    let listener = authority.listener(&["shop"], "");
    let proxy = Proxy::watching(&Yaml::before(&[&origin]).listeners(&listener).to_string());
    fs::rename(authority.path("next.pem"), authority.path("shop.pem")).expect("rename");
    eventually("a refusal", || (!refusals(&proxy).is_empty()).then_some(()));
    proxy.edit(&Yaml::of("random", &[&origin]).listeners(&listener).to_string());
    proxy.admin_when("/api/v1/status", |status| !status["last_refusal"].is_null());
    fs::rename(authority.path("next.key"), authority.path("shop.key")).expect("rename");
    proxy.admin_when("/api/v1/upstreams", |page| page["upstreams"][0]["strategy"] == "random");
    assert!(proxy.admin_json("/api/v1/status")["last_refusal"].is_null());
    wait_until_shown(&proxy, &client(&authority), &authority.path("shop.pem"));
}

/// Says that it is done, also where the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn renewals_under_load_lose_no_request() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]);
    let proxy = watching(&authority, &origin, "");
    let (config, done, asked) = (client(&authority), AtomicBool::new(false), AtomicUsize::new(0));
    let (done, asked) = (&done, &asked);
    thread::scope(|scope| {
        for number in 0..4 {
            let (address, config) = (proxy.web(), &config);
            scope.spawn(move || {
                let mut kept = connect(address, config);
                while !done.load(Ordering::Relaxed) {
                    // Half of them on a connection that stays, half on one each.
                    match number % 2 {
                        0 => ask(&mut kept),
                        _ => ask(&mut connect(address, config)),
                    };
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stop = Stop(done);
        for _ in 0..4 {
            authority.issue("shop", &["shop.example"]);
            wait_until_shown(&proxy, &config, &authority.path("shop.pem"));
        }
    });
    assert!(asked.load(Ordering::Relaxed) > 100, "{asked:?}");
}

/// Has openssl answer for the certificate of this name, for so many days.
fn staple(authority: &Authority, name: &str, days: &str) {
    let path = |file: &str| authority.path(file).display().to_string();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().expect("run openssl");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        String::from_utf8(output.stdout).expect("text")
    };
    let cert = path(&format!("{name}.pem"));
    let serial = openssl(&["x509", "-noout", "-serial", "-in", &cert]);
    let serial = serial.trim().trim_start_matches("serial=");
    fs::write(authority.path("index.txt"), format!("V\t330101000000Z\t\t{serial}\tunknown\t/CN={name}\n"))
        .expect("write");
    let (ca, request) = (path("ca.pem"), path("request.der"));
    openssl(&["ocsp", "-issuer", &ca, "-cert", &cert, "-reqout", &request]);
    let (index, key, response) = (path("index.txt"), path("ca.key"), path("next.der"));
    openssl(&[
        "ocsp", "-index", &index, "-CA", &ca, "-rsigner", &ca, "-rkey", &key, "-reqin", &request, "-respout",
        &response, "-ndays", days,
    ]);
    fs::rename(response, authority.path("shop.der")).expect("rename");
}

#[test]
fn a_staple_is_shown_to_who_asks_and_followed_like_its_certificate() {
    let (authority, origin) = ok();
    authority.issue("shop", &["shop.example"]).issue("other", &["other.example"]);
    staple(&authority, "shop", "5");
    let listener = authority.listener(&["shop"], "");
    let ocsp = format!(", ocsp: \"{}\" }} ]", authority.path("shop.der").display());
    let listener = listener.replace(" } ]", &ocsp);
    let proxy = Proxy::watching(&Yaml::before(&[&origin]).listeners(&listener).to_string());
    let stapled = || {
        let seen = shake_hands(proxy.web(), &authority.ca(), &["-status"]);
        assert!(seen.done, "{}", seen.text);
        seen.says("OCSP Response Status: successful")
    };
    assert!(stapled());
    assert!(proxy.admin_json("/api/v1/status")["listeners"][0]["tls"]["certificates"][0]["stapled"] == true);
    staple(&authority, "other", "5");
    let refused = eventually("a refusal", || Some(refusals(&proxy)).filter(|refused| !refused.is_empty()));
    assert!(refused[0].ends_with("shop.der: the OCSP response is about another certificate"), "{refused:?}");
    assert!(stapled(), "the one before stays");
    staple(&authority, "shop", "7");
    eventually("the end of the refusal", || refusals(&proxy).is_empty().then_some(()));
    assert!(stapled());
}
