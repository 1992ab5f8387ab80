//! WebSocket over HTTP/2 (RFC 8441), to endpoints that speak HTTP/1.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tungstenite::handshake::derive_accept_key;

use super::{before, echo};
use crate::support::{DEADLINE, Metrics, OK, Origin, Proxy, Visit, Yaml};

/// Runs a test that speaks HTTP/2.
fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { timeout(DEADLINE, test).await.expect("in time") })
}

/// A connection whose other side has said that it knows extended CONNECT.
async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.expect("connect");
    let (client, connection) = h2::client::handshake(stream).await.expect("a handshake");
    tokio::spawn(async move { drop(connection.await) });
    while !client.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client
}

fn extended(protocol: &'static str) -> Request<()> {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri("http://shop.example/chat?room=1")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "a client's own means nothing")
        .header("sec-websocket-protocol", "mqtt")
        .header("origin", "http://shop.example")
        .body(())
        .expect("a request");
    request.extensions_mut().insert(Protocol::from_static(protocol));
    request
}

async fn send(
    client: &SendRequest<Bytes>,
    request: Request<()>,
) -> (Response<RecvStream>, SendStream<Bytes>) {
    let mut client = client.clone().ready().await.expect("ready");
    let (answer, stream) = client.send_request(request, false).expect("sent");
    (answer.await.expect("an answer"), stream)
}

/// A tunnel.
async fn open(client: &SendRequest<Bytes>) -> (RecvStream, SendStream<Bytes>) {
    let (answer, stream) = send(client, extended("websocket")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    (answer.into_body(), stream)
}

async fn read(stream: &mut RecvStream, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let piece = stream.data().await.expect("more").expect("data");
        stream.flow_control().release_capacity(piece.len()).expect("released");
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// Waits for the end, without another byte.
async fn end(stream: &mut RecvStream) {
    while let Some(piece) = stream.data().await {
        assert_eq!(piece.expect("an end"), Bytes::new());
    }
}

/// Waits for what becomes of the proxy, while the connection goes on.
async fn becomes(proxy: &Proxy, ready: impl Fn(&Metrics) -> bool) {
    while !ready(&proxy.metrics()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Within what the other side has room for.
async fn write(stream: &mut SendStream<Bytes>, mut bytes: Bytes) {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = poll_fn(|cx| stream.poll_capacity(cx)).await.expect("open").expect("room");
        let piece = bytes.split_to(room.min(bytes.len()));
        stream.send_data(piece, false).expect("sent");
    }
}

/// Grants a WebSocket to whoever brings a key.
fn granting(tunnel: impl Fn(&mut Visit) + Send + Sync + 'static) -> Origin {
    Origin::start(move |visit| {
        while let Some(request) = visit.request() {
            let Some(key) = request.header("sec-websocket-key") else {
                visit.send(OK);
                continue;
            };
            visit.send(format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                 sec-websocket-protocol: mqtt\r\nsec-websocket-accept: {}\r\n\r\n",
                derive_accept_key(key.as_bytes())
            ));
            return tunnel(visit);
        }
    })
}

fn wait_for_none(proxy: &Proxy) {
    proxy.metrics_when(|metrics| metrics.count("tillgate_tunnels_open", &[]) == 0);
    proxy.endpoints_when("shop", |all| all.iter().all(|one| one["in_flight"] == 0));
}

#[test]
fn a_stream_becomes_an_upgrade() {
    let origin = granting(echo);
    let proxy = before(&origin);
    run(async {
        let client = connect(proxy.web()).await;
        let (answer, mut stream) = send(&client, extended("websocket")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["sec-websocket-protocol"], "mqtt");
        for name in ["connection", "upgrade", "sec-websocket-accept", "content-length", "transfer-encoding"] {
            assert!(!answer.headers().contains_key(name), "{name}");
        }
        let mut body = answer.into_body();
        write(&mut stream, "hello".into()).await;
        assert_eq!(read(&mut body, 5).await, b"hello");
        // Half of it ends, and then the other.
        stream.send_data(Bytes::new(), true).expect("sent");
        end(&mut body).await;
    });
    let sent = origin.request();
    assert_eq!(sent.start_line(), "GET /chat?room=1 HTTP/1.1");
    assert_eq!((sent.header("connection"), sent.header("upgrade")), (Some("Upgrade"), Some("websocket")));
    assert_eq!(
        (sent.header("host"), sent.header("origin")),
        (Some("shop.example"), Some("http://shop.example"))
    );
    assert_eq!(sent.header("sec-websocket-version"), Some("13"));
    assert_eq!(sent.header("sec-websocket-key").map(str::len), Some(24), "16 bytes in base64");
    wait_for_none(&proxy);
    assert_eq!(proxy.metrics().count("tillgate_tunnel_bytes_total", &[]), 10);
}

#[test]
fn tunnels_and_requests_share_a_connection() {
    let origin = granting(echo);
    let proxy = before(&origin);
    run(async {
        let client = connect(proxy.web()).await;
        let mut tunnels = Vec::new();
        for _ in 0..20 {
            tunnels.push(open(&client).await);
        }
        for round in 0..3_u8 {
            let plain = Request::get("http://shop.example/").body(()).expect("a request");
            let mut ready = client.clone().ready().await.expect("ready");
            let answer = ready.send_request(plain, true).expect("sent").0.await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK);
            for (body, stream) in &mut tunnels {
                write(stream, vec![round; 100_000].into()).await;
                assert_eq!(read(body, 100_000).await, vec![round; 100_000]);
            }
        }
    });
    wait_for_none(&proxy);
}

#[test]
fn a_stream_that_is_reset_ends_its_tunnel_and_no_other() {
    let origin = granting(echo);
    let proxy = before(&origin);
    run(async {
        let client = connect(proxy.web()).await;
        let (mut kept, (_, mut reset)) = (open(&client).await, open(&client).await);
        reset.send_reset(Reason::CANCEL);
        becomes(&proxy, |metrics| metrics.count("tillgate_tunnels_open", &[]) == 1).await;
        origin.wait_for_ends(1);
        write(&mut kept.1, "hello".into()).await;
        assert_eq!(read(&mut kept.0, 5).await, b"hello");
    });
    wait_for_none(&proxy);
}

#[test]
fn the_end_of_the_endpoint_is_the_end_of_the_stream() {
    let origin = granting(|visit| assert!(visit.send("bye")));
    let proxy = before(&origin);
    run(async {
        let client = connect(proxy.web()).await;
        let (mut body, mut stream) = open(&client).await;
        assert_eq!(read(&mut body, 3).await, b"bye");
        end(&mut body).await;
        stream.send_data(Bytes::new(), true).expect("sent");
    });
    wait_for_none(&proxy);
}

#[test]
fn an_endpoint_that_declines_is_passed_on() {
    let origin = Origin::answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
    let proxy = before(&origin);
    run(async {
        let client = connect(proxy.web()).await;
        for _ in 0..2 {
            let (answer, _stream) = send(&client, extended("websocket")).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
            assert_eq!(read(&mut answer.into_body(), 2).await, b"no");
        }
    });
}

#[test]
fn a_success_that_is_no_switch_opens_nothing() {
    let no_content = b"HTTP/1.1 204 No Content\r\n\r\n";
    // It would be the answer to a GET.
    let granted =
        b"HTTP/1.1 200 OK\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 2\r\n\r\nok";
    for answer in [OK, no_content, granted] {
        let origin = Origin::answering(answer);
        let proxy = before(&origin);
        run(async {
            let client = connect(proxy.web()).await;
            for _ in 0..2 {
                let (answer, _stream) = send(&client, extended("websocket")).await;
                assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
                assert_eq!(answer.headers()["x-tillgate-reason"], "bad_response");
                assert_eq!(answer.headers()["x-tillgate-upstream-sent"], "yes");
            }
        });
        assert_eq!(origin.requests().len(), 2);
        let metrics = proxy.metrics_when(|metrics| metrics.count("tillgate_requests_total", &[]) == 2);
        let failures = metrics.count("tillgate_endpoint_failures_total", &[]);
        assert_eq!(failures, 0, "a client could have it ejected by asking");
    }
}

#[test]
fn a_connect_that_says_it_is_a_call_is_refused_as_a_connect() {
    let origin = Origin::answering(OK);
    let proxy = before(&origin);
    let called = |mut request: Request<()>| {
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        request
    };
    run(async {
        let client = connect(proxy.web()).await;
        let plain = Request::connect("shop.example:443").body(()).expect("a request");
        for (request, status) in [
            (extended("websocket"), StatusCode::BAD_GATEWAY),
            (extended("connect-udp"), StatusCode::NOT_IMPLEMENTED),
            (plain, StatusCode::METHOD_NOT_ALLOWED),
        ] {
            let (answer, _stream) = send(&client, called(request)).await;
            assert_eq!(answer.status(), status);
            assert!(!answer.headers().contains_key("grpc-status"));
        }
    });
}

#[test]
fn a_hash_of_another_key_opens_nothing() {
    let origin = super::granting(echo);
    let proxy = Yaml::before(&[&origin]).route("retry: off").start();
    run(async {
        let client = connect(proxy.web()).await;
        let (answer, _stream) = send(&client, extended("websocket")).await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(answer.headers()["x-tillgate-reason"], "bad_response");
    });
}

#[test]
fn what_the_route_does_not_allow_is_refused() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("upgrades: [chat]").start();
    run(async {
        let client = connect(proxy.web()).await;
        for protocol in ["websocket", "connect-udp"] {
            let (answer, _stream) = send(&client, extended(protocol)).await;
            assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED);
            assert_eq!(answer.headers()["x-tillgate-reason"], "protocol_refused");
        }
        let plain = Request::connect("shop.example:443").body(()).expect("a request");
        let (answer, _stream) = send(&client, plain).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    });
    assert!(origin.requests().is_empty());
}

#[test]
fn an_endpoint_that_speaks_http_2_only_is_not_asked() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let (seen, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || run(serve_http2(listener, seen)));
    let yaml = Yaml::new(&format!("protocol: h2, endpoints: [\"{address}\"]")).route("retry: off");
    let proxy = yaml.start();
    assert_eq!(proxy.exchange(super::request()).status(), 204);
    let request = asked.recv_timeout(DEADLINE).expect("a request");
    assert_eq!((request.method(), request.uri().path()), (&Method::GET, "/chat"));
    assert!(!request.headers().contains_key("upgrade"));
    run(async {
        let client = connect(proxy.web()).await;
        let (answer, _stream) = send(&client, extended("websocket")).await;
        assert_eq!(answer.status(), StatusCode::NOT_IMPLEMENTED);
    });
}

/// Answers every request of one connection with 204, and tells of it.
async fn serve_http2(listener: std::net::TcpListener, seen: std::sync::mpsc::Sender<Request<RecvStream>>) {
    let (stream, _) = listener.accept().expect("a connection");
    stream.set_nonblocking(true).expect("nonblocking");
    let stream = TcpStream::from_std(stream).expect("a socket");
    let mut connection = h2::server::handshake(stream).await.expect("a handshake");
    while let Some(Ok((request, mut answer))) = connection.accept().await {
        let response = Response::builder().status(StatusCode::NO_CONTENT).body(()).expect("a response");
        answer.send_response(response, true).expect("answered");
        // The test may be over.
        let _ = seen.send(request);
    }
}
