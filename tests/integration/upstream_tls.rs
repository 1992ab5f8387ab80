//! TLS to endpoints: who is believed, what is shown, and what is said when it fails.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::support::{Issuer, OK, Origin, Proxy, Shop, Yaml, eventually};

/// One worker before one endpoint, with this `tls`.
fn shop(address: SocketAddr, tls: &str, more: &str) -> Yaml {
    // Long enough for a busy machine.
    let patient = if more.contains("connection:") { "" } else { ", connection: { connect_timeout: 10s }" };
    Yaml::new(&format!("endpoints: [\"{address}\"], tls: {tls}{more}{patient}")).workers(1)
}

/// As `{ ca, ... }`.
fn trusting(issuer: &Issuer, more: &str) -> String {
    format!("{{ ca: \"{}\"{more} }}", issuer.ca().display())
}

/// An endpoint that speaks HTTP/1 within TLS, one request a connection, and notes how each handshake went.
fn http1(config: Arc<ServerConfig>) -> (SocketAddr, Arc<Mutex<Vec<HandshakeKind>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&kinds);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = StreamOwned::new(connection, stream);
            let mut request = Vec::new();
            let mut bytes = [0; 4096];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut bytes) {
                    Ok(count) if count > 0 => request.extend_from_slice(&bytes[..count]),
                    _ => break,
                }
            }
            if let Some(kind) = stream.conn.handshake_kind().filter(|_| !request.is_empty()) {
                seen.lock().expect("kinds").push(kind);
                drop(stream.write_all(OK));
                stream.conn.send_close_notify();
                drop(stream.flush());
            }
        }
    });
    (address, kinds)
}

#[test]
fn an_endpoint_has_to_be_who_it_is_said_to_be() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let named = ", server_name: orders.internal";
    let cases = [
        (issuer.server(&["orders.internal"], &[]), trusting(&issuer, named), ""),
        (issuer.server(&["*.shop.internal"], &[]), trusting(&issuer, ", server_name: a.shop.internal"), ""),
        (issuer.server(&["127.0.0.1"], &[]), trusting(&issuer, ""), ""),
        (other.server(&["orders.internal"], &[]), "{ verify: false }".into(), ""),
        (issuer.server(&["orders.internal"], &[]), trusting(&issuer, ""), "not valid for"),
        (issuer.server(&["stock.internal"], &[]), trusting(&issuer, named), "not valid for"),
        (issuer.expired_server(&["orders.internal"], &[]), trusting(&issuer, named), "expired"),
        (other.server(&["orders.internal"], &[]), trusting(&issuer, named), "give the right one as `ca`"),
        (other.server(&["orders.internal"], &[]), "{ server_name: orders.internal }".into(), "`ca`"),
    ];
    for (number, (server, tls, why)) in cases.into_iter().enumerate() {
        let (address, _) = http1(server);
        let check = ", health_check: { path: /, interval: 5s, timeout: 5s, fall: 1 }";
        let checked = shop(address, &tls, check).start();
        let answer = shop(address, &tls, "").start().client().post("/", "order");
        if why.is_empty() {
            assert_eq!(answer.text(), "ok", "case {number}: {answer:?}");
            continue;
        }
        assert_eq!((answer.status(), answer.reason()), (502, "tls_failed"), "case {number}");
        assert_eq!(answer.header("x-tillgate-upstream-sent"), Some("none"), "case {number}");
        let error = |all: &[Value]| all[0]["health"]["last_error"].as_str().map(str::to_owned);
        let all = checked.endpoints_when("shop", |all| error(all).is_some());
        let said = error(&all).expect("an error");
        assert!(said.contains(why), "case {number}: {said}");
    }
}

#[test]
fn an_endpoint_that_asks_who_calls_is_shown_the_certificate() {
    let issuer = Issuer::new();
    let (address, _) = http1(issuer.asking_server(&["127.0.0.1"], &[]));
    let pair = format!(", client_certificate: {}", issuer.pair());
    assert_eq!(shop(address, &trusting(&issuer, &pair), "").start().get("/").text(), "ok");
    let refused =
        shop(address, &trusting(&issuer, ""), ", connection: { max_idle: 0, connect_timeout: 10s }")
            .start()
            .get("/");
    assert_eq!(refused.status(), 502, "{refused:?}");
}

#[test]
fn the_end_of_the_certificate_that_is_shown_is_told() {
    let issuer = Issuer::new();
    let (address, _) = http1(issuer.asking_server(&["127.0.0.1"], &[]));
    let pair = format!(", client_certificate: {}", issuer.pair());
    let proxy = shop(address, &trusting(&issuer, &pair), "").start();
    let labels = [("upstream", "shop"), ("name", "tillgate.internal"), ("key", "ecdsa")];
    assert!(proxy.metrics().sum("tillgate_certificate_expiry_timestamp_seconds", &labels) > 1e9);
}

#[test]
fn what_is_spoken_is_agreed_on_within_tls() {
    let issuer = Issuer::new();
    for protocol in ["auto", "h2"] {
        let two = Shop::with_tls(issuer.server(&["127.0.0.1"], &["h2", "http/1.1"]));
        let more = format!(", protocol: {protocol}");
        let proxy = shop(two.address(), &trusting(&issuer, ""), &more).start();
        assert_eq!(proxy.client().post("/echo", "order").text(), "order");
        assert_eq!(two.requests(), ["POST https://shop.example/echo; -; 5"]);
    }
    let (address, _) = http1(issuer.server(&["127.0.0.1"], &["http/1.1"]));
    let proxy = shop(address, &trusting(&issuer, ""), ", protocol: auto").start();
    let answers: Vec<String> = (0..3).map(|_| proxy.get("/").text()).collect();
    assert_eq!(answers, ["ok"; 3]);
    // One that does not say what it speaks does not speak HTTP/2.
    for alpn in [&[][..], &["http/1.1"]] {
        let (address, _) = http1(issuer.server(&["127.0.0.1"], alpn));
        let answer = shop(address, &trusting(&issuer, ""), ", protocol: h2").start().get("/");
        assert_eq!(answer.reason(), "tls_failed");
    }
}

#[test]
fn sessions_are_resumed() {
    let issuer = Issuer::new();
    for version in ["1.2", "1.3"] {
        let (address, kinds) = http1(issuer.server(&["127.0.0.1"], &[]));
        let tls = trusting(&issuer, &format!(", min_version: \"{version}\""));
        let proxy = shop(address, &tls, ", connection: { max_idle: 0, connect_timeout: 10s }").start();
        (0..3).for_each(|_| assert_eq!(proxy.get("/").text(), "ok"));
        let kinds = kinds.lock().expect("kinds").clone();
        assert_eq!(kinds.iter().filter(|kind| **kind == HandshakeKind::Resumed).count(), 2, "{kinds:?}");
    }
}

#[test]
fn an_endpoint_that_speaks_no_tls_is_sent_nothing() {
    let origin = Origin::start(|visit| {
        visit.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        while visit.sends() {}
    });
    let answer = shop(origin.address(), "{ verify: false }", "").start().client().post("/", "order");
    assert_eq!((answer.status(), answer.reason()), (502, "tls_failed"));
    assert_eq!(answer.header("x-tillgate-upstream-sent"), Some("none"));
}

#[test]
fn a_handshake_that_hangs_is_given_up_in_time() {
    let origin = Origin::start(|visit| while visit.sends() {});
    let more = ", connection: { connect_timeout: 200ms }";
    let answer = shop(origin.address(), "{ verify: false }", more).start().get("/");
    assert_eq!((answer.status(), answer.reason()), (502, "connect_timeout"));
}

#[test]
fn a_post_whose_handshake_fails_goes_to_another_endpoint() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let (bad, _) = http1(other.server(&["127.0.0.1"], &[]));
    let (good, _) = http1(issuer.server(&["127.0.0.1"], &[]));
    let tls = trusting(&issuer, "");
    let yaml = Yaml::new(&format!("strategy: round_robin, endpoints: [\"{bad}\", \"{good}\"], tls: {tls}"));
    let proxy = yaml.workers(1).start();
    for _ in 0..2 {
        assert_eq!(proxy.client().post("/", "order").text(), "ok");
    }
}

#[test]
fn a_reload_reads_the_files_again() {
    let (old, new) = (Issuer::new(), Issuer::new());
    let (address, _) = http1(new.server(&["127.0.0.1"], &[]));
    let yaml = shop(address, &trusting(&old, ""), "").to_string();
    let proxy = Proxy::start(&yaml);
    assert_eq!(proxy.get("/").reason(), "tls_failed");
    fs::copy(new.ca(), old.ca()).expect("copy");
    assert_eq!(proxy.reload(&yaml).status(), 200);
    eventually("the new authority", || (proxy.get("/").status() == 200).then_some(()));
}

#[test]
fn a_file_that_is_of_no_use_is_named_and_the_config_in_force_stays() {
    let issuer = Issuer::new();
    let (address, _) = http1(issuer.server(&["127.0.0.1"], &[]));
    let good = shop(address, &trusting(&issuer, ""), "");
    let proxy = good.start();
    let missing = issuer.ca().with_file_name("missing.pem");
    let empty = issuer.ca().with_file_name("empty.pem");
    fs::write(&empty, "nothing").expect("write");
    let stranger = Issuer::new();
    let (mine, theirs) = (issuer.pair(), stranger.pair());
    let key = theirs.split("key:").nth(1).expect("a key");
    let mixed = format!("{}, key:{key}", mine.split(", key:").next().expect("a certificate"));
    for (tls, word, what) in [
        (format!("{{ ca: \"{}\" }}", missing.display()), "ca: ", "there is no such file"),
        (format!("{{ ca: \"{}\" }}", empty.display()), "ca: ", "there is no certificate in it"),
        (
            trusting(&issuer, &format!(", client_certificate: {mixed}")),
            "key: ",
            "the key does not belong to the certificate in",
        ),
    ] {
        let yaml = shop(address, &tls, "").to_string();
        let text = refusal(&proxy, &yaml);
        assert!(text.contains(&place(&yaml, word)) && text.contains(what), "{text}");
        assert_eq!(proxy.get("/").text(), "ok");
    }
}

#[test]
fn a_fifo_for_a_file_is_refused_and_holds_no_reload_up() {
    let issuer = Issuer::new();
    let (address, _) = http1(issuer.server(&["127.0.0.1"], &[]));
    let good = shop(address, &trusting(&issuer, ""), "");
    let proxy = good.start();
    let fifo = issuer.ca().with_file_name("fifo.pem");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).expect("a FIFO");
    let yaml = shop(address, &format!("{{ ca: \"{}\" }}", fifo.display()), "").to_string();
    let text = refusal(&proxy, &yaml);
    assert!(text.contains(&place(&yaml, "ca: ")) && text.contains("fifo.pem: this is not a file"), "{text}");
    let generation = proxy.generation();
    assert_eq!(proxy.reload(&good.to_string()).status(), 200);
    assert_eq!((proxy.generation(), proxy.get("/").text().as_str()), (generation + 1, "ok"));
}

/// What is said of a config that does not take effect.
fn refusal(proxy: &Proxy, yaml: &str) -> String {
    let refused = proxy.reload(yaml);
    assert_eq!(refused.status(), 422, "{refused:?}");
    refused.text()
}

/// `:LINE:COLUMN:` of what stands after `word`.
fn place(yaml: &str, word: &str) -> String {
    let lines = yaml.lines().enumerate();
    let mut found = lines.filter_map(|(line, text)| Some((line + 1, text.find(word)? + word.len() + 1)));
    let (line, column) = found.next().expect("the word");
    format!(":{line}:{column}:")
}

#[test]
fn who_is_believed_unseen_is_shown() {
    let issuer = Issuer::new();
    let (address, _) = http1(issuer.server(&["127.0.0.1"], &[]));
    for (tls, verify) in [("{ verify: false }".to_owned(), false), (trusting(&issuer, ""), true)] {
        let proxy = shop(address, &tls, "").start();
        assert_eq!(proxy.admin_json("/api/v1/upstreams")["upstreams"][0]["tls"]["verify"], verify);
        let line = format!("tillgate_upstream_tls_unverified{{upstream=\"shop\"}} {}", u8::from(!verify));
        assert!(proxy.admin("GET", "/metrics").text().contains(&line), "{line}");
    }
}
