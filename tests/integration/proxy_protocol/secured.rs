//! A header before TLS, on either side.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use tempfile::TempDir;

use super::interop::Listening;
use super::{GET, line};
use crate::support::{Client, OK, Origin, Proxy, Yaml};

/// A certificate of nobody's but its own, and its key.
fn certify(directory: &Path) {
    let own = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).expect("a certificate");
    let (cert, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    fs::write(directory.join("cert.pem"), &cert).expect("write");
    fs::write(directory.join("key.pem"), &key).expect("write");
    // As HAProxy wants them.
    fs::write(directory.join("both.pem"), cert + &key).expect("write");
}

/// A proxy with TLS that requires a header.
fn secure(origin: &Origin) -> (Proxy, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    certify(directory.path());
    let at = directory.path().display();
    let listener = format!(
        "web: {{ address: \"127.0.0.1:0\", proxy_protocol: require, \
         tls: {{ certificates: [ {{ cert: {at}/cert.pem, key: {at}/key.pem }} ] }} }}"
    );
    let yaml = Yaml::before(&[origin]).listeners(&listener).line("trusted_proxies: [127.0.0.0/28]");
    (yaml.start(), directory)
}

/// What curl prints of a page.
fn curl(address: SocketAddr, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["-s", "-k", "-m", "20", "--noproxy", "*", "--interface", "127.0.0.5"]).args(arguments);
    let output = command.arg(format!("https://{address}/")).output().expect("curl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Puts a header before what a client sends, and sends both in pieces of this size. For one connection.
fn relay(to: SocketAddr, piece: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (client, _) = listener.accept().expect("a client");
        let server = TcpStream::connect(to).expect("connect");
        server.set_nodelay(true).expect("nodelay");
        let (client, server) = (Arc::new(client), Arc::new(server));
        let (back_from, back_to) = (Arc::clone(&server), Arc::clone(&client));
        thread::spawn(move || drop(std::io::copy(&mut &*back_from, &mut &*back_to)));
        let (mut ahead, mut bytes) = (line("192.0.2.7").into_bytes(), [0; 4096]);
        while let Ok(count @ 1..) = (&*client).read(&mut bytes) {
            ahead.extend(&bytes[..count]);
            for piece in ahead.chunks(piece) {
                if (&*server).write_all(piece).is_err() {
                    return;
                }
            }
            ahead.clear();
        }
        drop(server.shutdown(Shutdown::Write));
    });
    address
}

#[test]
fn a_header_comes_before_the_handshake() {
    for version in ["--http1.1", "--http2"] {
        let origin = Origin::answering(OK);
        let (proxy, _files) = secure(&origin);
        assert_eq!(curl(proxy.web(), &["--haproxy-protocol", version]), "ok");
        let request = origin.request();
        assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.5"));
        assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    }
}

#[test]
fn header_and_handshake_may_come_in_one_piece_or_byte_by_byte() {
    for piece in [usize::MAX, 1, 7, 48] {
        let origin = Origin::answering(OK);
        let (proxy, _files) = secure(&origin);
        assert_eq!(curl(relay(proxy.web(), piece), &[]), "ok", "{piece}");
        assert_eq!(origin.request().header("x-forwarded-for"), Some("192.0.2.7"));
    }
}

#[test]
fn a_handshake_without_a_header_is_refused() {
    let origin = Origin::answering(OK);
    let (proxy, _files) = secure(&origin);
    assert_eq!(curl(proxy.web(), &[]), "");
    assert_eq!(super::rejected(&proxy, "proxy_missing"), 1);
}

#[test]
fn who_speaks_plain_http_behind_the_header_is_told_so_as_without_it() {
    let origin = Origin::answering(OK);
    let (proxy, _files) = secure(&origin);
    for pieces in [vec![line("192.0.2.7") + GET], vec![line("192.0.2.7"), GET.to_owned()]] {
        let mut client = proxy.client();
        for piece in &pieces {
            client.send(piece);
        }
        assert_eq!(client.response().status(), 400);
    }
    assert_eq!(origin.connections(), 0);
}

fn nginx() -> Listening {
    Listening::start("nginx", &["-c"], "nginx.conf", |address, directory| {
        certify(directory);
        let at = directory.display();
        let listen = format!("listen {address} ssl http2 proxy_protocol; keepalive_timeout 60s");
        let tls = format!("ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem");
        super::interop::nginx_server(directory, &format!("{listen}; {tls};"), " $server_protocol $connection")
    })
}

fn haproxy() -> Listening {
    Listening::start("haproxy", &["-db", "-f"], "haproxy.cfg", |address, directory| {
        certify(directory);
        let at = directory.display();
        format!(
            "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 10s\n\
             frontend in\n bind {address} accept-proxy ssl crt {at}/both.pem alpn h2,http/1.1\n \
             http-request return status 200 content-type text/plain \
             lf-string \"%[src]:%[src_port] %[dst]:%[dst_port] HTTP/%[req.ver]\"\n"
        )
    })
}

#[test]
fn clients_do_not_share_connections_over_tls_nor_over_http_2() {
    for endpoint in [nginx(), haproxy()] {
        for (protocol, version, spoken) in
            [("http1", "v1", "HTTP/1.1"), ("h2", "v2", "HTTP/2"), ("auto", "v2", "HTTP/2")]
        {
            let check = "health_check: { path: /, interval: 300ms, timeout: 300ms, fall: 2 }";
            let shop = format!(
                "endpoints: [\"{}\"], proxy_protocol: {version}, protocol: {protocol}, tls: {{ verify: false }}, {check}",
                endpoint.address()
            );
            let proxy = Yaml::new(&shop).workers(1).start();
            let mut clients = [70, 71, 72].map(|last| super::from([127, 0, 0, last], proxy.web()));
            for _ in 0..3 {
                for client in &mut clients {
                    let peer = client.stream().local_addr().expect("an address");
                    let told = client.get("/").text();
                    assert!(
                        told.starts_with(&format!("{peer} {} {spoken}", proxy.web())),
                        "{protocol}: {told}"
                    );
                }
            }
            let checked =
                |endpoints: &[serde_json::Value]| endpoints[0]["health"]["checks"].as_u64() >= Some(2);
            let endpoints = proxy.endpoints_when("shop", checked);
            assert_eq!(endpoints[0]["health"]["failures"], 0, "{protocol}");
        }
    }
}

#[test]
fn requests_of_one_client_share_a_connection_over_http_2() {
    let endpoint = nginx();
    let shop = format!(
        "endpoints: [\"{}\"], proxy_protocol: v2, protocol: h2, tls: {{ verify: false }}",
        endpoint.address()
    );
    let proxy = Yaml::new(&shop).workers(1).start();
    let mut client: Client = proxy.client();
    let first = client.get("/").text();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), first, "the number of the connection is the last word");
    }
}
