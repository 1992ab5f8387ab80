//! One endpoint of the tail bench: answers after a time drawn from a law that may be changed while it runs, and counts.
//!
//! Not part of the product. It spends no CPU while a request waits, and any number of requests wait side by side: what
//! is slow is the law, never a queue in here. The times are kept by `timerfd`, to about 0.1 ms; tokio's own timer
//! counts in milliseconds, as long as some of the times themselves.
//!
//!     tail_server endpoint.json      {"listen": "127.0.0.1:7001", "seed": 1, "law": {"service": {"exponential_ms": 4}}}
//!     PUT /control                   another law, from now on; requests under way keep their end
//!     GET /count                     {"received": 12, "answered": 11}
//!     anything else                  a request; neither of the above is counted

#[path = "server/law.rs"]
mod law;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use serde::Deserialize;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};

use law::{Answer, Behaviour, Law};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: tail_server CONFIG.json")?;
    let config: Config = serde_json::from_slice(&std::fs::read(path)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, listen(config))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    listen: SocketAddr,
    seed: u64,
    law: Law,
}

async fn listen(config: Config) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(config.listen).await?;
    let endpoint = Rc::new(Endpoint::new(config));
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::task::spawn_local(serve(Rc::clone(&endpoint), stream));
    }
}

/// Ends when the proxy closes the connection, which also ends what hangs on it.
async fn serve(endpoint: Rc<Endpoint>, stream: TcpStream) {
    // Both fail only on connections that are gone already.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| endpoint.answer(request));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

struct Endpoint {
    seed: u64,
    behaviour: RefCell<Behaviour>,
    received: Cell<u64>,
    answered: Cell<u64>,
}

impl Endpoint {
    fn new(config: Config) -> Self {
        Self {
            seed: config.seed,
            behaviour: RefCell::new(Behaviour::new(config.law, config.seed, Instant::now())),
            received: Cell::new(0),
            answered: Cell::new(0),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(match (request.method(), request.uri().path()) {
            (&Method::PUT, "/control") => self.control(request).await,
            (&Method::GET, "/count") => self.count(),
            _ => self.work().await,
        })
    }

    async fn control(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(law) => {
                self.behaviour.replace(Behaviour::new(law, self.seed, Instant::now()));
                response(StatusCode::OK, "ok\n")
            }
            Err(problem) => response(StatusCode::BAD_REQUEST, format!("{problem}\n")),
        }
    }

    fn count(&self) -> Response<Full<Bytes>> {
        let (received, answered) = (self.received.get(), self.answered.get());
        response(StatusCode::OK, format!("{{\"received\": {received}, \"answered\": {answered}}}\n"))
    }

    async fn work(&self) -> Response<Full<Bytes>> {
        self.received.set(self.received.get() + 1);
        let answer = self.behaviour.borrow_mut().answer(Instant::now());
        let status = match answer {
            Answer::At(end) => {
                sleep_until(end).await;
                StatusCode::OK
            }
            Answer::AtOnce(status) => status,
            Answer::Never => pending().await,
        };
        self.answered.set(self.answered.get() + 1);
        response(status, "ok\n")
    }
}

fn response(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

async fn sleep_until(end: Instant) {
    let left = end.saturating_duration_since(Instant::now());
    // A zero would disarm the timer, and nothing would ever wake this up.
    if !left.is_zero() {
        sleep(left).await.expect("a timer for each request; the limit of open files bounds them");
    }
}

async fn sleep(left: Duration) -> Result<(), Box<dyn Error>> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    let once = Itimerspec { it_interval: never, it_value: Timespec::try_from(left)? };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
    #[expect(
        deprecated,
        reason = "its successor is unsafe; what that asks for, a descriptor of one's own, is given here"
    )]
    let expired = AsyncFd::new(timer)?;
    let _guard = expired.readable().await?;
    Ok(())
}
