//! Upgrades, and the tunnels that come of them, byte by byte.

mod ends;
mod http2;
mod refused;
mod secure;
mod websocket;

use std::io::{Read, Write};

use crate::support::{Client, Origin, Proxy, Visit, Yaml};

/// The pair of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a browser sends.
fn request() -> String {
    format!(
        "GET /chat HTTP/1.1\r\nhost: shop.example\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    )
}

/// What an endpoint answers to it.
fn granted() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {ACCEPT}\r\n\r\n"
    )
}

/// Grants every upgrade, then does as it is told.
fn granting(tunnel: impl Fn(&mut Visit) + Send + Sync + 'static) -> Origin {
    Origin::start(move |visit| {
        while visit.request().is_some() {
            if !visit.send(granted()) {
                return;
            }
            tunnel(visit);
        }
    })
}

/// Sends back whatever comes, until the end.
fn echo(visit: &mut Visit) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = visit.reader.read(&mut bytes) {
        if !visit.send(&bytes[..count]) {
            return;
        }
    }
}

fn before(origin: &Origin) -> Proxy {
    Yaml::before(&[origin]).start()
}

/// A tunnel through `proxy`.
fn open(proxy: &Proxy) -> Client {
    let mut client = proxy.client();
    assert_eq!(client.send(request()).response().status(), 101);
    client
}

/// Exactly so many bytes.
fn read(client: &mut Client, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let some = client.read_some(count - bytes.len());
        assert!(!some.is_empty(), "it ended after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend(some);
    }
    bytes
}

#[test]
fn bytes_go_both_ways_as_they_are() {
    let origin = granting(echo);
    let proxy = before(&origin);
    let mut client = proxy.client();
    let answer = client.send(request()).response();
    assert_eq!(answer.start_line(), "HTTP/1.1 101 Switching Protocols");
    assert_eq!(answer.header("connection"), Some("upgrade"));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!((answer.header("content-length"), answer.header("transfer-encoding")), (None, None));
    let sent = origin.request();
    assert_eq!((sent.header("connection"), sent.header("upgrade")), (Some("Upgrade"), Some("websocket")));
    assert_eq!(sent.header("sec-websocket-key"), Some(KEY));
    assert_eq!(sent.header("sec-websocket-version"), Some("13"));
    // Nothing of it is HTTP any more, whatever it looks like.
    for piece in [&b"\0\x81\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", &vec![0xaa; 100_000]] {
        client.send(piece);
        assert_eq!(read(&mut client, piece.len()), piece);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn what_comes_early_waits_for_the_answer() {
    let gate = crate::support::Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::start(move |visit| {
            visit.request();
            // Had anything come with the request, it would be here by now.
            visit.stream.set_nonblocking(true).expect("nonblocking");
            let early = visit.stream.peek(&mut [0; 1]).is_ok() || !visit.reader.buffer().is_empty();
            visit.stream.set_nonblocking(false).expect("blocking");
            gate.pass();
            // In one write with what the endpoint says first.
            visit.send(format!("{}early: {early};", granted()));
            echo(visit);
        })
    };
    let proxy = before(&origin);
    let mut client = proxy.client();
    client.send(format!("{}with the head;", request()));
    origin.wait_for(1);
    client.send("after the head;");
    gate.open();
    assert_eq!(client.response().status(), 101);
    assert_eq!(read(&mut client, 13), b"early: false;");
    assert_eq!(read(&mut client, 29), b"with the head;after the head;");
}

#[test]
fn a_tunnel_opens_on_a_connection_that_has_served_before_on_either_side() {
    let origin = Origin::start(|visit| {
        while let Some(request) = visit.request() {
            if request.header("upgrade").is_some() {
                visit.send(granted());
                return echo(visit);
            }
            visit.send(crate::support::OK);
        }
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status(), 200);
    }
    assert_eq!(client.send(request()).response().status(), 101);
    assert_eq!(read(client.send("hello"), 5), b"hello");
    assert_eq!(origin.connections(), 1);
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(origin.connections(), 2, "the first is the tunnel's");
}

#[test]
fn backpressure_reaches_the_sender() {
    let gate = crate::support::Gate::default();
    let origin = {
        let gate = gate.clone();
        granting(move |visit| {
            gate.pass();
            std::io::copy(&mut visit.reader, &mut std::io::sink()).expect("read");
        })
    };
    let proxy = before(&origin);
    let client = open(&proxy);
    let mut stream = client.stream();
    stream.set_nonblocking(true).expect("nonblocking");
    let piece = vec![1; 1 << 16];
    let mut written = 0;
    // Until nothing has been taken for a while; if it were kept here it would never stop.
    let mut refused = 0;
    while refused < 20 {
        match stream.write(&piece) {
            Ok(count) => (written, refused) = (written + count, 0),
            Err(_) => {
                refused += 1;
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        assert!(written < 256 << 20, "no end");
    }
    gate.open();
    let moved = u64::try_from(written).expect("it fits");
    drop(client);
    let bytes = |metrics: &crate::support::Metrics| {
        metrics.count("tillgate_tunnel_bytes_total", &[("route", "all"), ("direction", "in")])
    };
    proxy.metrics_when(|metrics| bytes(metrics) == moved);
}
