//! One worker's connections to one endpoint.
//!
//! Over HTTP/1 a request has a connection to itself (`http1`), over HTTP/2 a stream of one that others use too (`http2`).
//! Where the endpoint decides which of the two it speaks, both may be at hand, and what it said last is what is expected.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1 as library1};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

pub use super::connect::{ConnectError, Target, is_out_of_sockets};
use super::{connect, downstream};
use crate::config::{Connection as Settings, Protocol};
use crate::policy::forward::{to_http1, to_http2};
use crate::policy::proxy_header::{self, Ends};

mod by_client;
mod http1;
mod http2;

use by_client::ByClient;
use http1::Idle;
use http2::{Shared, Stream};

/// What one connection may hold of a response that its client has not taken yet, bytes; the bound of a response head
/// too. Half of it costs 5 % more CPU for a 1 MiB response.
const READ_BUFFER: usize = 256 * 1024;

/// After this long unused, a connection gets one turn of the event loop to report that it was closed.
const SUSPECT_AFTER: Duration = Duration::from_millis(500);

/// How seldom a worker complains of the same endpoint.
const COMPLAINT: Duration = Duration::from_secs(10);

/// The connections of one worker to one endpoint.
#[derive(Debug)]
pub struct Pool<B> {
    target: Target,
    settings: Settings,
    idle: Idle<B>,
    shared: Shared<B>,
    /// Whether the endpoint is known to speak HTTP/1 only.
    alone: Cell<bool>,
    complained: Cell<Option<Instant>>,
    /// Those that say for which client they are, and serve nobody else. All of them, where it is there.
    by_client: Option<Box<ByClient<B>>>,
}

/// A connection, or a stream of one, taken from a pool for one request.
#[derive(Debug)]
pub struct Lease<B> {
    /// Whether an earlier request used the connection: if so, the endpoint may have closed it meanwhile.
    pub reused: bool,
    /// Whether there was a wait for it.
    pub waited: bool,
    way: Way<B>,
    pool: Rc<Pool<B>>,
}

#[derive(Debug)]
enum Way<B> {
    Alone(library1::SendRequest<B>),
    Shared(Stream<B>),
}

/// Why a request has no response.
#[derive(Debug)]
pub struct Unanswered<B> {
    /// The request, where it is certain that no byte of it was written.
    pub unsent: Option<Box<Request<B>>>,
    /// The endpoint said that it has not looked at it and will not (RFC 9113 section 8.7).
    pub refused: bool,
    /// What came is no response.
    pub is_no_http: bool,
    /// What the library says.
    pub error: hyper::Error,
}

impl<B: Body + Unpin + 'static> Lease<B>
where
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Sends the request, which is in the form of HTTP/1. Dropping the future takes it back: of a stream that is said to the
    /// endpoint, a connection of its own ends.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub async fn send(&mut self, request: Box<Request<B>>) -> Result<Response<Incoming>, Unanswered<B>> {
        match &mut self.way {
            Way::Alone(sender) => sender.try_send_request(*request).await.map_err(Unanswered::alone),
            Way::Shared(stream) => Box::pin(stream.send(shape(*request, &self.pool.target))).await,
        }
    }

    /// Makes it free for the next request.
    pub fn put_back(self, now: Instant) {
        match self.way {
            Way::Alone(sender) => self.pool.idle.put(sender, now, self.pool.settings.max_idle),
            // Its drop says it all.
            Way::Shared(stream) => drop(stream),
        }
    }

    /// Whether other requests use the connection too.
    pub fn is_shared(&self) -> bool {
        matches!(self.way, Way::Shared(_))
    }

    /// The endpoint has not answered in time. A connection on which nothing at all was heard meanwhile may be dead.
    pub fn is_overdue(&self) {
        if let Way::Shared(stream) = &self.way {
            stream.suspect();
        }
    }
}

/// The request as HTTP/2 has it.
fn shape<B>(request: Request<B>, target: &Target) -> Request<B> {
    let (mut parts, body) = request.into_parts();
    to_http2(&mut parts, target.scheme(), target.address);
    Request::from_parts(parts, body)
}

/// As it was before.
fn unshape<B: Body>(request: Request<B>) -> Request<B> {
    let (mut parts, body) = request.into_parts();
    to_http1(&mut parts, body.size_hint().exact().is_none());
    Request::from_parts(parts, body)
}

impl<B> Unanswered<B> {
    fn alone(mut failed: TrySendError<Request<B>>) -> Self {
        let unsent = failed.take_message().map(Box::new);
        let error = failed.into_error();
        Self { unsent, refused: false, is_no_http: error.is_parse(), error }
    }
}

impl<B: Body + Unpin + 'static> Pool<B>
where
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// No connections yet.
    pub fn new(target: Target, settings: Settings) -> Rc<Self> {
        let by_client = ByClient::of(&settings).map(Box::new);
        Rc::new(Self { by_client, ..Self::of_all(target, settings) })
    }

    /// Of connections that serve everybody, or of those of one client.
    fn of_all(target: Target, settings: Settings) -> Self {
        let alone =
            target.protocol == Protocol::Http1 || (target.protocol == Protocol::Auto && target.tls.is_none());
        Self {
            shared: Shared::new(settings.max_streams),
            target,
            settings,
            idle: Idle::default(),
            alone: Cell::new(alone),
            complained: Cell::new(None),
            by_client: None,
        }
    }

    /// Whether a pool made from these would be the same.
    pub fn serves(&self, target: &Target, settings: &Settings) -> bool {
        self.target == *target && self.settings == *settings
    }

    /// An unused connection, or a new one; or a stream. For a request that came on this connection.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn lease(
        self: &Rc<Self>,
        client: &Rc<downstream::Connection>,
        now: Instant,
    ) -> Result<Lease<B>, ConnectError> {
        match &self.by_client {
            None => self.lease_any(now).await,
            // Boxed, so that it costs the others nothing.
            Some(pools) => Box::pin(self.own_pool(pools, client).lease_any(now)).await,
        }
    }

    async fn lease_any(self: &Rc<Self>, now: Instant) -> Result<Lease<B>, ConnectError> {
        if let Some(sender) = self.idle.reuse(now, self.settings.idle_timeout).await {
            return Ok(self.lend(Way::Alone(sender), true, false));
        }
        if !self.alone.get() {
            return Box::pin(self.lease_stream(now)).await;
        }
        // Boxed, as most requests need none, and each would have room for it.
        match Box::pin(self.connect()).await? {
            Spoken::Http1(sender) => Ok(self.lend(Way::Alone(sender), false, true)),
            Spoken::Http2 => Box::pin(self.lease_stream(now)).await,
        }
    }

    /// The same over HTTP/1 in any case, since only that can be switched to another protocol. Not for endpoints that speak
    /// HTTP/2 only.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn lease_alone(
        self: &Rc<Self>,
        client: &Rc<downstream::Connection>,
        now: Instant,
    ) -> Result<Lease<B>, ConnectError> {
        match &self.by_client {
            None => self.lease_http1(now).await,
            Some(pools) => self.own_pool(pools, client).lease_http1(now).await,
        }
    }

    async fn lease_http1(self: &Rc<Self>, now: Instant) -> Result<Lease<B>, ConnectError> {
        if let Some(sender) = self.idle.reuse(now, self.settings.idle_timeout).await {
            return Ok(self.lend(Way::Alone(sender), true, false));
        }
        let establish = async {
            // Where there is no choice, the target says HTTP/1 already.
            let target = self.target.speaking(Protocol::Http1);
            speak_http1(connect::open(&target).await?.stream).await
        };
        let wait = self.settings.connect_timeout;
        let connected = timeout(wait, establish).await;
        let sender = self.connected(connected.unwrap_or(Err(ConnectError::TimedOut(wait))))?;
        Ok(self.lend(Way::Alone(sender), false, true))
    }

    /// Closes what has been unused for the idle timeout.
    pub fn expire(&self, now: Instant) {
        self.idle.expire(now, self.settings.idle_timeout);
        self.shared.expire(now, self.settings.idle_timeout);
        if let Some(pools) = &self.by_client {
            pools.each(|pool| pool.expire(now));
        }
    }

    /// Closes all that are unused.
    pub fn clear(&self) {
        self.idle.clear();
        self.shared.retire_all();
        if let Some(pools) = &self.by_client {
            pools.each(|pool| pool.clear());
        }
    }

    /// Where it goes.
    pub fn address(&self) -> SocketAddr {
        self.target.address
    }

    /// The client's own.
    fn own_pool(&self, pools: &ByClient<B>, client: &Rc<downstream::Connection>) -> Rc<Self> {
        pools.get_or(client, || {
            let ends = Ends { client: client.peer(), server: client.local() };
            let opening = proxy_header::write(self.settings.proxy_protocol, Some(ends));
            let max_idle = self.settings.max_idle.min(by_client::MOST_IDLE);
            let settings = Settings { max_idle, ..self.settings.clone() };
            Rc::new(Self::of_all(Target { opening, ..self.target.clone() }, settings))
        })
    }

    fn lend(self: &Rc<Self>, way: Way<B>, reused: bool, waited: bool) -> Lease<B> {
        Lease { reused, waited, way, pool: Rc::clone(self) }
    }

    async fn lease_stream(self: &Rc<Self>, now: Instant) -> Result<Lease<B>, ConnectError> {
        if let Some(stream) = self.shared.begin(now).await {
            return Ok(self.lend_stream(stream, false));
        }
        let wait = self.settings.connect_timeout;
        let waited = timeout(wait, self.wait_for_stream(now)).await;
        waited.unwrap_or_else(|_| Err(ConnectError::TimedOut(wait)))
    }

    /// Lets one connection at a time be made for as many requests as it will have room for.
    async fn wait_for_stream(self: &Rc<Self>, now: Instant) -> Result<Lease<B>, ConnectError> {
        let _place = self.shared.wait();
        let mut attempt = None;
        loop {
            if let Some(stream) = self.shared.take() {
                return Ok(self.lend_stream(stream, true));
            }
            if let Some(sender) = self.idle.reuse(now, self.settings.idle_timeout).await {
                return Ok(self.lend(Way::Alone(sender), false, true));
            }
            if self.alone.get() {
                // It has just become known: what others connect is of no use to this request.
                if let Spoken::Http1(sender) = self.connect().await? {
                    return Ok(self.lend(Way::Alone(sender), false, true));
                }
                continue;
            }
            attempt = self.shared.join(attempt.take(), || self.start_connecting())?;
            self.shared.changed().await;
        }
    }

    fn lend_stream(self: &Rc<Self>, stream: Stream<B>, waited: bool) -> Lease<B> {
        let reused = stream.is_reused();
        self.lend(Way::Shared(stream), reused, waited)
    }

    /// In a task of its own: many requests wait for it, and the one that was first may be gone before it is there.
    fn start_connecting(self: &Rc<Self>) -> http2::Attempt {
        let attempt = http2::Attempt::default();
        let (pool, outcome) = (Rc::clone(self), attempt.clone());
        tokio::task::spawn_local(async move {
            let connected = pool.connect().await;
            if let Ok(Spoken::Http1(sender)) = connected {
                pool.idle.put(sender, Instant::now(), usize::MAX);
                pool.shared.end(&outcome, Ok(()));
            } else {
                pool.shared.end(&outcome, connected.map(drop));
            }
        });
        attempt
    }

    async fn connect(&self) -> Result<Spoken<B>, ConnectError> {
        let wait = self.settings.connect_timeout;
        let connected = timeout(wait, self.establish()).await;
        self.connected(connected.unwrap_or(Err(ConnectError::TimedOut(wait))))
    }

    fn connected<T>(&self, connected: Result<T, ConnectError>) -> Result<T, ConnectError> {
        if let Err(error) = &connected {
            self.complain(error);
        }
        connected
    }

    async fn establish(&self) -> Result<Spoken<B>, ConnectError> {
        let connect::Opened { is_http2, stream } = connect::open(&self.target).await?;
        self.alone.set(!is_http2);
        if is_http2 {
            Box::pin(self.shared.add(stream, &self.settings)).await?;
            return Ok(Spoken::Http2);
        }
        speak_http1(stream).await.map(Spoken::Http1)
    }

    /// What a person has to look at: an endpoint that is merely down is told of elsewhere.
    fn complain(&self, error: &ConnectError) {
        match error {
            ConnectError::Failed(_) | ConnectError::OutOfSockets(_) | ConnectError::TimedOut(_) => return,
            ConnectError::Tls(_) | ConnectError::Handshake(_) => {}
        }
        let now = Instant::now();
        if self.complained.get().is_none_or(|last| now.saturating_duration_since(last) >= COMPLAINT) {
            self.complained.set(Some(now));
            tracing::warn!(endpoint = %self.target.address, %error, "no connection");
        }
    }
}

async fn speak_http1<B>(stream: connect::Stream) -> Result<library1::SendRequest<B>, ConnectError>
where
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (sender, connection) = library1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| ConnectError::Handshake(Arc::new(error)))?;
    // The task ends when the pool and the request drop the sender, or when the endpoint closes or switches. What went wrong
    // reaches the request through the sender, so its result says nothing new.
    tokio::task::spawn_local(async move { drop(connection.with_upgrades().await) });
    Ok(sender)
}

/// What is spoken on a connection that has just been made. One of HTTP/2 is among the others already.
enum Spoken<B> {
    Http1(library1::SendRequest<B>),
    Http2,
}

impl<B> fmt::Debug for Spoken<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1(_) => "Http1",
            Self::Http2 => "Http2",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use bytes::Bytes;
    use http::Request;
    use http_body_util::{BodyExt, Full};
    use tokio::task::LocalSet;

    use crate::net::downstream::Waits;
    use crate::net::timers::Timers;

    use super::*;

    fn pool(listener: &TcpListener) -> Rc<Pool<Full<Bytes>>> {
        let address = listener.local_addr().expect("an address");
        Pool::new(
            Target { address, protocol: Protocol::Http1, tls: None, opening: vec![] },
            Settings::default(),
        )
    }

    /// A client's connection.
    fn client() -> Rc<downstream::Connection> {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let waits = Waits { idle: Duration::from_secs(1), header: Duration::from_secs(1) };
        downstream::Connection::new(address, address, waits, &Timers::new(Instant::now()))
    }

    fn post() -> Box<Request<Full<Bytes>>> {
        Box::new(Request::post("/").header("host", "a").body(Full::from("hello")).expect("a request"))
    }

    fn on_one_thread<F: Future>(test: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, test)
    }

    /// What a POST stands on that is sent again: what comes back was never taken out of the queue.
    #[test]
    fn a_request_queued_on_a_connection_that_was_closed_meanwhile_comes_back_unwritten() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let pool = pool(&listener);
        let (closing, now) = (std::sync::Barrier::new(2), Instant::now());
        let received = thread::scope(|scope| {
            let endpoint = scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut first = [0; 1024];
                let count = stream.read(&mut first).expect("a request");
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("write");
                closing.wait();
                stream.shutdown(std::net::Shutdown::Write).expect("close");
                closing.wait();
                count + stream.read(&mut first).expect("the end")
            });
            let second = on_one_thread(async {
                let mut lease = pool.lease(&client(), now).await.expect("a connection");
                let answer = lease.send(post()).await.expect("an answer");
                answer.into_body().collect().await.expect("no body");
                lease.put_back(now);
                closing.wait();
                closing.wait();
                // The event loop sees the end now, but comes back here before it runs the connection's task.
                tokio::task::yield_now().await;
                let mut lease = pool.lease(&client(), now).await.expect("a connection");
                assert!(lease.reused, "nobody has noticed yet");
                lease.send(post()).await.expect_err("it is closed").unsent
            });
            assert_eq!(second.expect("the request").uri(), "/");
            endpoint.join().expect("an endpoint")
        });
        assert!(received < 100, "one request, not two: {received} bytes");
    }

    /// The first write fails with nothing written; the library cannot say so, and nothing is claimed.
    #[test]
    fn a_request_whose_first_write_fails_does_not_come_back() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let pool = pool(&listener);
        let failed = on_one_thread(async {
            let mut lease = pool.lease(&client(), Instant::now()).await.expect("a connection");
            let Way::Alone(sender) = &mut lease.way else { panic!("not HTTP/1") };
            sender.ready().await.expect("ready");
            let (stream, _) = listener.accept().expect("a connection");
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger");
            let sending = sender.try_send_request(*post());
            // A reset that is here when the head is written, and not yet read.
            drop(stream);
            sending.await.expect_err("it is reset")
        });
        assert!(failed.message().is_none(), "{}", failed.error());
    }
}
