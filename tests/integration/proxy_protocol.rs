//! The PROXY protocol in front: who is believed, what is read, and for whom the connection counts then.

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::support::{Client, OK, Origin, Proxy, Yaml, eventually};

mod headers;
mod interop;
mod secured;
mod sending;

const REJECTED: &str = "tillgate_connections_rejected_total";

const GET: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n";

/// A line for this client.
fn line(client: &str) -> String {
    format!("PROXY TCP4 {client} 198.51.100.1 56324 443\r\n")
}

/// A proxy that reads headers of the peers in 127.0.0.0/28, which 127.0.0.1 is one of and 127.0.0.200 is not.
fn reading(origin: &Origin, mode: &str, limits: &str) -> Yaml {
    let listener = format!(
        "web: {{ address: \"127.0.0.1:0\", proxy_protocol: {mode}, limits: {{ idle_timeout: 60s, {limits} }} }}"
    );
    Yaml::before(&[origin]).listeners(&listener).line("trusted_proxies: [127.0.0.0/28]")
}

fn requiring(origin: &Origin) -> Proxy {
    reading(origin, "require", "").start()
}

fn optional(origin: &Origin) -> Proxy {
    reading(origin, "optional", "").start()
}

/// A connection from another address of this machine.
fn from(source: [u8; 4], to: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("bind");
    socket.connect(&to.into()).expect("connect");
    Client::over(TcpStream::from(socket))
}

fn stranger(proxy: &Proxy) -> Client {
    from([127, 0, 0, 200], proxy.web())
}

fn rejected(proxy: &Proxy, cause: &str) -> u64 {
    proxy.metrics().count(REJECTED, &[("listener", "web"), ("cause", cause)])
}

/// All of them.
fn rejected_at_all(proxy: &Proxy) -> u64 {
    proxy.metrics().count(REJECTED, &[])
}

/// X-Forwarded-For as the origin got it.
fn forwarded_for(origin: &Origin) -> String {
    origin.request().header("x-forwarded-for").expect("X-Forwarded-For").to_owned()
}

#[test]
fn the_origin_is_told_of_the_client_that_the_header_names() {
    for mode in ["require", "optional"] {
        let origin = Origin::answering(OK);
        let proxy = reading(&origin, mode, "").start();
        assert_eq!(proxy.exchange(line("192.0.2.7") + GET).status(), 200);
        assert_eq!(forwarded_for(&origin), "192.0.2.7");
        assert_eq!(rejected_at_all(&proxy), 0);
    }
}

#[test]
fn without_the_key_a_header_is_a_malformed_request_and_the_client_is_the_peer() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).line("trusted_proxies: [127.0.0.0/8]").start();
    let refused = proxy.exchange(line("192.0.2.7") + GET);
    assert_eq!((refused.status(), refused.reason()), (400, "malformed_request"));
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(forwarded_for(&origin), "127.0.0.1");
}

#[test]
fn a_header_of_somebody_who_is_not_trusted_is_a_malformed_request() {
    let origin = Origin::answering(OK);
    let proxy = optional(&origin);
    let refused = stranger(&proxy).send(line("192.0.2.7") + GET).response();
    assert_eq!((refused.status(), refused.reason()), (400, "malformed_request"));
    assert_eq!(stranger(&proxy).get("/").status(), 200);
    assert_eq!(forwarded_for(&origin), "127.0.0.200");
}

#[test]
fn where_a_header_is_required_somebody_who_is_not_trusted_is_not_served() {
    let origin = Origin::answering(OK);
    let proxy = requiring(&origin);
    stranger(&proxy).expect_closed();
    let mut client = stranger(&proxy);
    client.try_send(line("192.0.2.7") + GET);
    client.expect_closed();
    assert_eq!(rejected(&proxy, "proxy_untrusted"), 2);
    assert_eq!(rejected_at_all(&proxy), 2);
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn where_a_header_is_required_a_connection_without_one_is_closed() {
    let origin = Origin::answering(OK);
    let proxy = requiring(&origin);
    for bytes in [GET.as_bytes(), b"\x16\x03\x01\x02\x00\x01", b"\r\n\r\nGET", b"X", b"PROXX"] {
        proxy.client().send(bytes).expect_closed();
    }
    assert_eq!(rejected(&proxy, "proxy_missing"), 5);
    assert_eq!(rejected_at_all(&proxy), 5);
}

#[test]
fn where_a_header_may_come_a_trusted_peer_may_leave_it_out() {
    let origin = Origin::answering(OK);
    let proxy = optional(&origin);
    // Each begins like a header for a while.
    for method in ["P", "PR", "PROX", "PROXYING", "GET", "\r\nGET", "\r\n\r\nGET"] {
        let request = format!("{method} / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        let mut client = proxy.client();
        for byte in request.bytes() {
            client.send([byte]);
        }
        assert_eq!(client.response().status(), 200, "{method}");
    }
    let methods: Vec<_> = origin.requests().iter().map(|one| one.start_line().to_owned()).collect();
    assert_eq!(methods.iter().filter(|line| line.starts_with("PROX")).count(), 2, "{methods:?}");
    assert!(origin.requests().iter().all(|one| one.header("x-forwarded-for") == Some("127.0.0.1")));
}

#[test]
fn each_further_request_of_the_connection_is_the_same_clients() {
    let origin = Origin::answering(OK);
    let proxy = requiring(&origin);
    let mut client = proxy.client();
    client.send(line("192.0.2.7"));
    for _ in 0..3 {
        assert_eq!(client.get("/").status(), 200);
    }
    // A second header is not one any more.
    let refused = client.send(line("192.0.2.8") + GET).response();
    assert_eq!((refused.status(), refused.reason()), (400, "malformed_request"));
    assert!(origin.requests().iter().all(|one| one.header("x-forwarded-for") == Some("192.0.2.7")));
}

#[test]
fn forwarding_headers_are_believed_only_of_a_client_that_is_trusted_itself() {
    let claimed = "GET / HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-for: 203.0.113.9\r\n\r\n";
    for (client, told) in [("192.0.2.7", "192.0.2.7"), ("127.0.0.9", "203.0.113.9, 127.0.0.9")] {
        let origin = Origin::answering(OK);
        let proxy = requiring(&origin);
        assert_eq!(proxy.exchange(line(client) + claimed).status(), 200);
        assert_eq!(forwarded_for(&origin), told);
    }
}

#[test]
fn connections_are_counted_for_the_client_and_not_for_the_proxy_in_front() {
    let origin = Origin::answering(OK);
    let proxy = reading(&origin, "require", "max_connections_per_client: 2").start();
    let of = |client: &str| {
        let mut connection = proxy.client();
        connection.send(line(client) + GET);
        connection
    };
    let mut held: Vec<_> = ["192.0.2.7", "192.0.2.7", "192.0.2.8"].map(of).into();
    assert!(held.iter_mut().all(|client| client.response().status() == 200));
    of("192.0.2.7").expect_closed();
    assert_eq!(rejected(&proxy, "client"), 1);
    let mut checks: Vec<_> = (0..5).map(|_| proxy.client()).collect();
    for check in &mut checks {
        assert_eq!(check.send(format!("PROXY UNKNOWN\r\n{GET}")).response().status(), 200);
    }
    drop(held.remove(0));
    eventually("its place", || of("192.0.2.7").try_response().filter(|answer| answer.status() == 200));
}

#[test]
fn rate_limits_count_the_client() {
    let origin = Origin::answering(OK);
    let route = "{ match: { path_prefix: / }, upstream: shop, rate_limit: { key: client_ip, rate: 1/h } }";
    let proxy = reading(&origin, "require", "").routes(route).start();
    let of = |client: &str| proxy.exchange(line(client) + GET).status();
    assert_eq!([of("192.0.2.7"), of("192.0.2.7"), of("192.0.2.8")], [200, 429, 200]);
}

#[test]
fn the_access_log_names_the_client() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    let yaml = reading(&origin, "require", "");
    let proxy = yaml.line(&format!("access_log: {{ path: \"{}\", format: json }}", log.display())).start();
    assert_eq!(proxy.exchange(line("192.0.2.7") + GET).status(), 200);
    assert_eq!(proxy.exchange(line("192.0.2.8") + "G@T\r\n\r\n").status(), 400);
    let text = eventually("two lines", || {
        std::fs::read_to_string(&log).ok().filter(|text| text.lines().count() == 2)
    });
    assert!(text.contains("\"client\":\"192.0.2.7\"") && text.contains("\"client\":\"192.0.2.8\""), "{text}");
}

#[test]
fn what_a_listener_reads_may_change_by_a_reload() {
    let origin = Origin::answering(OK);
    let proxy = reading(&origin, "off", "").start();
    let reload = |mode: &str| {
        assert_eq!(proxy.reload(&reading(&origin, mode, "").to_string()).status(), 200);
    };
    assert_eq!(proxy.exchange(line("192.0.2.7") + GET).status(), 400);
    reload("require");
    assert_eq!(proxy.exchange(line("192.0.2.7") + GET).status(), 200);
    proxy.client().send(GET).expect_closed();
    reload("optional");
    assert_eq!(proxy.get("/").status(), 200);
    reload("off");
    assert_eq!(proxy.exchange(line("192.0.2.7") + GET).status(), 400);
}

#[test]
fn http_2_comes_behind_a_header_too() {
    let origin = Origin::answering(OK);
    let proxy = requiring(&origin);
    let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut client = proxy.client();
    client.send([line("192.0.2.7").as_bytes(), settings].concat());
    let mut frame = Vec::new();
    while frame.len() < 4 {
        frame.extend(client.read_some(4 - frame.len()));
    }
    assert_eq!(frame[3], 4, "a SETTINGS frame");
}
