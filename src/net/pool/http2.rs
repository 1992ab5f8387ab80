//! Connections that serve many requests at a time.
//!
//! Requests fill up the oldest connection that has room, so that those a quieter hour does not need are left alone and
//! age out. Where none has room, one is made for as many of the waiting requests as it will take; the others wait with
//! them, and past a bound of connections, for a stream to come free.
//!
//! A new connection takes requests when the endpoint's SETTINGS are there: whoever speaks something else has then not
//! been sent a byte of any, and how many streams it allows is known before the first.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;
use tokio::task::spawn_local;

use super::{SUSPECT_AFTER, Unanswered, unshape};
use crate::config::Connection as Settings;
use crate::net::connect::{ConnectError, Stream as Socket};

/// Connections of one worker to one endpoint. More requests than they have room for wait.
const MOST_CONNECTIONS: usize = 32;

/// Bytes that an endpoint may send of one response before its client has taken some: as many as over a connection of its
/// own. A connection's window is that of all its streams, so that one which is not read does not hold up the others;
/// what a connection may hold in all is so `max_streams` times this.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Bytes of a request body that wait for the endpoint to take them.
const SEND_BUFFER: usize = 128 * 1024;

/// Streams of one connection, of which the protocol numbers 2^30.
const MOST_BEGUN: u32 = 1 << 29;

/// Those of one worker and endpoint.
#[derive(Debug)]
pub(super) struct Shared<B> {
    open: RefCell<Vec<Rc<Connection<B>>>>,
    attempts: RefCell<Vec<Attempt>>,
    /// Streams of a connection, as far as it is known what the endpoint allows.
    streams: Cell<u32>,
    most_streams: u32,
    freed: Rc<Freed>,
}

/// Wakes who waits for a stream.
#[derive(Debug, Default)]
struct Freed {
    waiting: Cell<usize>,
    changed: Notify,
}

/// A connection that is being made.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempt(Rc<AttemptState>);

#[derive(Debug, Default)]
struct AttemptState {
    /// Requests that wait for it.
    joined: Cell<u32>,
    outcome: RefCell<Option<Result<(), ConnectError>>>,
}

/// A request's part in a connection that is being made.
pub(super) struct Joined(Attempt);

impl Joined {
    fn new(attempt: Attempt) -> Self {
        attempt.0.joined.set(attempt.0.joined.get() + 1);
        Self(attempt)
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let joined = &self.0.0.joined;
        joined.set(joined.get() - 1);
    }
}

/// A request's place among those that wait.
pub(super) struct Place(Rc<Freed>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
        // It may have been told of a stream that it has no use for any more.
        self.0.wake_one();
    }
}

impl Freed {
    fn wake_one(&self) {
        if self.waiting.get() > 0 {
            self.changed.notify_one();
        }
    }
}

impl<B> Shared<B> {
    pub(super) fn new(most_streams: u32) -> Self {
        Self {
            open: RefCell::default(),
            attempts: RefCell::default(),
            streams: Cell::new(most_streams),
            most_streams,
            freed: Rc::default(),
        }
    }

    /// A stream, if there is room and nobody has waited for it longer.
    pub(super) async fn begin(&self, now: Instant) -> Option<Stream<B>> {
        if self.freed.waiting.get() > 0 {
            return None;
        }
        if self.is_suspect(now) {
            // The event loop hands what has arrived meanwhile, an end among it, to the connection's task.
            tokio::task::yield_now().await;
        }
        self.take()
    }

    /// A stream of the oldest connection that has room.
    pub(super) fn take(&self) -> Option<Stream<B>> {
        let mut open = self.open.borrow_mut();
        open.retain(|connection| !connection.is_retired());
        let connection = open.iter().find(|connection| connection.has_room())?;
        Some(Stream::begin(connection))
    }

    fn is_suspect(&self, now: Instant) -> bool {
        let open = self.open.borrow();
        let first = open.iter().find(|connection| connection.has_room());
        first.is_some_and(|connection| {
            connection.unused_for(now).is_some_and(|unused| unused >= SUSPECT_AFTER)
        })
    }

    /// Stands in line.
    pub(super) fn wait(&self) -> Place {
        self.freed.waiting.set(self.freed.waiting.get() + 1);
        Place(Rc::clone(&self.freed))
    }

    /// Until something has changed.
    pub(super) async fn changed(&self) {
        self.freed.changed.notified().await;
    }

    /// Waits for a connection that is being made, or has one begun; for a stream where there are enough.
    ///
    /// # Errors
    /// That of the one that was waited for.
    pub(super) fn join(
        &self,
        joined: Option<Joined>,
        start: impl FnOnce() -> Attempt,
    ) -> Result<Option<Joined>, ConnectError> {
        if let Some(joined) = joined {
            let outcome = joined.0.0.outcome.borrow().clone();
            match outcome {
                None => return Ok(Some(joined)),
                Some(Err(error)) => return Err(error),
                // Others were quicker.
                Some(Ok(())) => {}
            }
        }
        let mut attempts = self.attempts.borrow_mut();
        let with_room = |attempt: &&Attempt| attempt.0.joined.get() < self.streams.get();
        let attempt = match attempts.iter().find(with_room) {
            Some(attempt) => attempt.clone(),
            None if self.open.borrow().len() + attempts.len() >= MOST_CONNECTIONS => return Ok(None),
            None => {
                let attempt = start();
                attempts.push(attempt.clone());
                attempt
            }
        };
        Ok(Some(Joined::new(attempt)))
    }

    /// A connection was made, or was not.
    pub(super) fn end(&self, attempt: &Attempt, outcome: Result<(), ConnectError>) {
        attempt.0.outcome.replace(Some(outcome));
        self.attempts.borrow_mut().retain(|other| !Rc::ptr_eq(&other.0, &attempt.0));
        self.freed.changed.notify_waiters();
    }

    /// Closes what has been unused for so long.
    pub(super) fn expire(&self, now: Instant, timeout: Duration) {
        let is_used = |connection: &Rc<Connection<B>>| {
            !connection.is_retired() && connection.unused_for(now).is_none_or(|unused| unused < timeout)
        };
        self.open.borrow_mut().retain(is_used);
    }

    /// No connection gets another request; each ends with its last.
    pub(super) fn retire_all(&self) {
        self.open.borrow_mut().clear();
    }
}

impl<B: Body + Unpin + 'static> Shared<B>
where
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Speaks HTTP/2 on `socket`, and adds it to the others.
    pub(super) async fn add(&self, mut socket: Socket, settings: &Settings) -> Result<(), ConnectError> {
        let failed = |error| ConnectError::Handshake(Arc::new(error));
        let arrivals = socket.count_arrivals();
        let local = Local::default();
        let (sender, mut task) =
            builder(local.clone(), settings).handshake(TokioIo::new(socket)).await.map_err(failed)?;
        poll_fn(|cx| {
            // Before it is known, none is allowed.
            if task.current_max_send_streams() > 0 {
                return Poll::Ready(Ok(()));
            }
            local.0.replace(Some(cx.waker().clone()));
            Pin::new(&mut task).poll(cx)
        })
        .await
        .map_err(failed)?;
        if task.current_max_send_streams() == 0 {
            let error = io::Error::new(io::ErrorKind::ConnectionAborted, "closed before HTTP/2 was spoken");
            return Err(ConnectError::Failed(Arc::new(error)));
        }
        let connection = Rc::new(Connection {
            sender: RefCell::new(sender),
            streams: Cell::new(0),
            allowed: Cell::new(self.allowed(task.current_max_send_streams())),
            begun: Cell::new(0),
            retired: Cell::new(false),
            unused_since: Cell::new(Instant::now()),
            arrivals,
            freed: Rc::clone(&self.freed),
        });
        self.streams.set(connection.allowed.get().max(1));
        spawn_local(drive(task, Rc::downgrade(&connection), self.most_streams));
        self.open.borrow_mut().push(connection);
        Ok(())
    }

    fn allowed(&self, by_endpoint: usize) -> u32 {
        u32::try_from(by_endpoint).unwrap_or(u32::MAX).min(self.most_streams)
    }
}

fn builder(local: Local, settings: &Settings) -> http2::Builder<Local> {
    let mut builder = http2::Builder::new(local);
    builder
        .timer(TokioTimer::new())
        .initial_max_send_streams(0)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * settings.max_streams)
        .max_header_list_size(STREAM_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(settings.ping_interval)
        .keep_alive_timeout(settings.ping_timeout);
    builder
}

/// Hands requests to the library until nobody has one any more, or the endpoint takes no more.
async fn drive<B>(
    task: http2::Connection<TokioIo<Socket>, B, Local>,
    connection: Weak<Connection<B>>,
    most_streams: u32,
) where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut task = pin!(task);
    poll_fn(|cx| {
        let polled = task.as_mut().poll(cx);
        if let Some(connection) = connection.upgrade() {
            let by_endpoint = u32::try_from(task.current_max_send_streams()).unwrap_or(u32::MAX);
            connection.allowed.set(by_endpoint.min(most_streams));
        }
        polled.map(drop)
    })
    .await;
    if let Some(connection) = connection.upgrade() {
        connection.retire();
    }
}

/// Runs what the library wants to run beside, on this worker. The first of it is the connection itself: whenever that has
/// run, whoever waits for what it may have read is woken.
#[derive(Debug, Clone, Default)]
struct Local(Rc<RefCell<Option<Waker>>>);

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, task: F) {
        let waiting = Rc::downgrade(&self.0);
        spawn_local(async move {
            let mut task = pin!(task);
            poll_fn(|cx| {
                let polled = task.as_mut().poll(cx);
                wake(&waiting);
                polled.map(drop)
            })
            .await;
        });
    }
}

fn wake(waiting: &Weak<RefCell<Option<Waker>>>) {
    if let Some(waker) = waiting.upgrade().and_then(|waiting| waiting.take()) {
        waker.wake();
    }
}

#[derive(Debug)]
struct Connection<B> {
    sender: RefCell<SendRequest<B>>,
    /// Requests on it now.
    streams: Cell<u32>,
    /// At most.
    allowed: Cell<u32>,
    /// Since it was made.
    begun: Cell<u32>,
    /// Whether it gets no more requests.
    retired: Cell<bool>,
    /// Where `streams` is 0.
    unused_since: Cell<Instant>,
    /// How often something has been read from it.
    arrivals: Arc<AtomicU64>,
    freed: Rc<Freed>,
}

impl<B> Connection<B> {
    fn is_retired(&self) -> bool {
        self.retired.get() || self.sender.borrow().is_closed()
    }

    fn has_room(&self) -> bool {
        self.streams.get() < self.allowed.get() && !self.is_retired()
    }

    fn unused_for(&self, now: Instant) -> Option<Duration> {
        (self.streams.get() == 0).then(|| now.saturating_duration_since(self.unused_since.get()))
    }

    fn retire(&self) {
        self.retired.set(true);
        // Somebody may connect anew in its place.
        self.freed.wake_one();
    }
}

/// One request's part of a connection.
#[derive(Debug)]
pub(super) struct Stream<B> {
    connection: Rc<Connection<B>>,
    /// What had arrived when it began.
    arrivals: u64,
    /// Whether it is the connection's first.
    first: bool,
}

impl<B> Stream<B> {
    fn begin(connection: &Rc<Connection<B>>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        connection.begun.set(connection.begun.get() + 1);
        if connection.begun.get() >= MOST_BEGUN {
            connection.retired.set(true);
        }
        let first = connection.begun.get() == 1;
        Self { arrivals: connection.arrivals.load(Relaxed), first, connection: Rc::clone(connection) }
    }

    /// Whether the connection has served before.
    pub(super) fn is_reused(&self) -> bool {
        !self.first
    }

    /// The endpoint is overdue. If it has not said anything on this connection since, the next request goes elsewhere.
    pub(super) fn suspect(&self) {
        if self.connection.arrivals.load(Relaxed) == self.arrivals {
            self.connection.retire();
        }
    }
}

impl<B: Body + Unpin + 'static> Stream<B>
where
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Sends a request in the form of HTTP/2.
    pub(super) async fn send(&mut self, request: Request<B>) -> Result<Response<Incoming>, Unanswered<B>> {
        let sending = self.connection.sender.borrow_mut().try_send_request(request);
        let mut failed = match sending.await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        let unsent = failed.take_message().map(|request| Box::new(unshape(request)));
        let error = failed.into_error();
        let cause = cause_of(&error);
        if unsent.is_some() || cause.is_some_and(h2::Error::is_go_away) {
            self.connection.retire();
        }
        Err(Unanswered {
            unsent,
            refused: cause.is_some_and(is_refusal),
            is_no_http: cause.is_some_and(h2::Error::is_library),
            error,
        })
    }
}

impl<B> Drop for Stream<B> {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.streams.set(connection.streams.get() - 1);
        if connection.streams.get() == 0 {
            connection.unused_since.set(Instant::now());
        }
        connection.freed.wake_one();
    }
}

fn cause_of(error: &hyper::Error) -> Option<&h2::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

/// Whether the endpoint has not processed the request and will not, which holds for any method (RFC 9113 section 8.7): it
/// was refused by name, or was above the last one that a GOAWAY names. The library tells a stream of a GOAWAY only in that
/// case (h2 0.4, `recv_go_away` in `proto/streams/streams.rs`); those below go on, and end with the connection otherwise.
fn is_refusal(error: &h2::Error) -> bool {
    let by_name = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (by_name || error.is_go_away())
}
