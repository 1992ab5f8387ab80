//! Checks by gRPC, against a server of HTTP/2 that says what it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::oneshot;

use super::{QUICK, wait_for_checks, wait_for_states};
use crate::support::{OK, Origin, Proxy, Yaml};

/// What it answers to a check.
#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    kind: &'static str,
    message: Vec<u8>,
    grpc_status: &'static str,
}

/// `SERVING` and its siblings, by their number in `HealthCheckResponse`.
fn saying(number: u8) -> Answer {
    Answer {
        status: 200,
        kind: "application/grpc",
        message: vec![0, 0, 0, 0, 2, 8, number],
        grpc_status: "0",
    }
}

/// A gRPC server, until it is dropped.
struct Server {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    /// The head and the body of each request.
    asked: Asked,
    _stop: oneshot::Sender<()>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("non-blocking");
        let (answer, asked) = (Arc::new(Mutex::new(saying(1))), Arc::default());
        let (stop, stopped) = oneshot::channel();
        let server = Self { address, answer: Arc::clone(&answer), asked: Arc::clone(&asked), _stop: stop };
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = serve(listener, answer, asked) => {}
                    _ = stopped => {}
                }
            });
        });
        server
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().expect("answer") = answer;
    }
}

type Asked = Arc<Mutex<Vec<(http::request::Parts, Bytes)>>>;

async fn serve(listener: tokio::net::TcpListener, answer: Arc<Mutex<Answer>>, asked: Asked) {
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
        let service = service_fn(move |request: Request<Incoming>| {
            let (answer, asked) = (answer.lock().expect("answer").clone(), Arc::clone(&asked));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                asked.lock().expect("asked").push((head, body));
                Ok::<_, Infallible>(answer.response())
            }
        });
        tokio::spawn(async move {
            let io = TokioIo::new(stream);
            drop(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await);
        });
    }
}

impl Answer {
    fn response(self) -> Response<Frames> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(self.grpc_status));
        let message = (!self.message.is_empty()).then(|| Frame::data(Bytes::from(self.message)));
        let frames = message.into_iter().chain([Frame::trailers(trailers)]).collect();
        let response = Response::builder().status(self.status).header("content-type", self.kind);
        response.body(Frames(frames)).expect("a response")
    }
}

/// A body of frames that are all there.
struct Frames(VecDeque<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

/// `shop` has an endpoint at this address, and asks it by gRPC.
fn at(address: SocketAddr, keys: &str) -> Proxy {
    Yaml::new(&format!("endpoints: [\"{address}\"], health_check: {{ type: grpc, {keys} {QUICK} }}")).start()
}

/// What is wrong with the only endpoint of `shop`, once it is unhealthy.
fn error_of(proxy: &Proxy) -> String {
    let endpoints = wait_for_states(proxy, "h");
    endpoints[0]["health"]["last_error"].as_str().expect("an error").to_owned()
}

#[test]
fn the_health_of_a_service_is_asked_for_as_the_protocol_says() {
    let server = Server::start();
    let proxy = at(server.address, "service: shop.Orders, host: orders.internal,");
    wait_for_checks(&proxy, 2);
    wait_for_states(&proxy, "u");
    let (head, body) = server.asked.lock().expect("asked")[0].clone();
    assert_eq!((head.method.as_str(), head.version), ("POST", http::Version::HTTP_2));
    assert_eq!(head.uri.to_string(), "http://orders.internal/grpc.health.v1.Health/Check");
    assert_eq!(head.headers["content-type"], "application/grpc");
    assert_eq!(head.headers["te"], "trailers");
    assert_eq!(&body[..], b"\0\0\0\0\x0d\x0a\x0bshop.Orders");
}

#[test]
fn the_health_of_the_whole_server_is_that_of_no_service() {
    let server = Server::start();
    let proxy = at(server.address, "");
    wait_for_checks(&proxy, 1);
    let (head, body) = server.asked.lock().expect("asked")[0].clone();
    assert_eq!(head.uri.authority().map(ToString::to_string), Some(server.address.to_string()));
    assert_eq!(&body[..], b"\0\0\0\0\0");
}

#[test]
fn only_serving_is_healthy() {
    let server = Server::start();
    let proxy = at(server.address, "");
    for (number, error) in
        [(2, "it says NOT_SERVING"), (3, "it says SERVICE_UNKNOWN"), (0, "it says UNKNOWN")]
    {
        server.answers(saying(number));
        assert_eq!(error_of(&proxy), error);
        server.answers(saying(1));
        wait_for_states(&proxy, "u");
    }
}

#[test]
fn what_is_not_an_answer_of_a_health_service_is_unhealthy() {
    let server = Server::start();
    let proxy = at(server.address, "");
    let good = saying(1);
    let nothing = |status| Answer { message: Vec::new(), grpc_status: status, ..good.clone() };
    for (answer, error) in [
        (nothing("5"), "grpc-status 5: it does not know the service"),
        (nothing("12"), "grpc-status 12: it has no health service"),
        (nothing("14"), "grpc-status 14"),
        (nothing("often"), "the answer is not gRPC"),
        (nothing("0"), "the answer is not of grpc.health.v1.Health"),
        (Answer { grpc_status: "2", ..good.clone() }, "grpc-status 2"),
        (Answer { status: 503, ..good.clone() }, "status 503, not gRPC"),
        (Answer { kind: "text/html", ..good.clone() }, "the answer is not gRPC"),
        (
            Answer { message: vec![1, 0, 0, 0, 2, 8, 1], ..good.clone() },
            "the answer is not of grpc.health.v1.Health",
        ),
        (
            Answer { message: vec![0, 0, 0, 0, 9, 8, 1], ..good.clone() },
            "the answer is not of grpc.health.v1.Health",
        ),
        (
            Answer { message: vec![0, 255, 255, 255, 255, 8, 1], ..good.clone() },
            "the answer is not of grpc.health.v1.Health",
        ),
        (Answer { message: vec![0; 1025], ..good.clone() }, "the answer is too long"),
    ] {
        server.answers(answer.clone());
        assert_eq!(error_of(&proxy), error, "{answer:?}");
        server.answers(good.clone());
        wait_for_states(&proxy, "u");
    }
}

#[test]
fn a_server_that_is_gone_or_silent_or_speaks_http_1_is_unhealthy() {
    let server = Server::start();
    let proxy = at(server.address, "");
    wait_for_checks(&proxy, 1);
    drop(server);
    assert_eq!(error_of(&proxy), "connection refused");
    let silent = Origin::start(|visit| drop(visit.reader.read_to_end(&mut Vec::new())));
    let proxy = at(silent.address(), "timeout: 50ms,");
    assert_eq!(error_of(&proxy), "timed out after 50ms");
    silent.wait_for_ends(2);
    let proxy = at(Origin::answering(OK).address(), "");
    assert!(!error_of(&proxy).is_empty());
}
