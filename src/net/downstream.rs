//! An accepted connection: the socket with its deadlines, beneath the HTTP library.
//!
//! The library parses and frames; what it does not do is here: a connection may wait only so long for a request, a
//! head may take only so long to arrive, a client must read its response, an answer to a malformed head names its
//! reason, and a closed connection is read out first so that the last answer is not lost to a reset.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::timers::{TICK, Timer, Timers};
use super::tls::Session;
use crate::policy::forward::TrustedProxies;
use crate::policy::reason::Reason;

mod frames;
mod head_scan;
mod http2;
mod interim;
mod introduction;
mod library_answer;
mod linger;
mod multiplex;
mod preface;
mod rest;
mod socket;

pub use head_scan::Flaw;
use head_scan::HeadScan;
pub use http2::Ended;
use http2::Http2;
pub use interim::Interim;
pub use socket::Socket;

/// How long a connection that is to be closed, and has no request running, may still bring its last.
const LAST_REQUEST_WAIT: Duration = Duration::from_secs(1);

/// What a connection is doing, as far as its deadlines care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between requests.
    Idle,
    /// Part of a head has arrived.
    Head,
    /// A request is being served.
    Busy,
    /// The response has been handed to the HTTP library, which may still be writing it; or the client is still
    /// sending a body that was answered early.
    Answered,
}

/// How long the phases of a connection may last.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// For the next request.
    pub idle: Duration,
    /// From the first byte of a head to its last.
    pub header: Duration,
}

/// One accepted connection, shared between its socket, its requests and the worker that may ask it to close.
#[derive(Debug)]
pub struct Connection {
    peer: Cell<SocketAddr>,
    local: Cell<SocketAddr>,
    /// The peer speaks for a client that it does not name.
    unnamed: Cell<bool>,
    session: OnceCell<Option<Box<Session>>>,
    waits: Waits,
    timers: Rc<Timers>,
    phase: Cell<Phase>,
    /// What is kept beside, where it speaks HTTP/2.
    http2: OnceCell<Box<Http2>>,
    scan: Cell<HeadScan>,
    read_timer: Timer,
    write_timer: Timer,
    write_wait: Cell<Duration>,
    write_until: Cell<Option<Instant>>,
    uploading: Cell<bool>,
    flushed: Cell<bool>,
    closing: Cell<bool>,
    /// Until when it waits for a request, if it is to rest before.
    rest_until: Cell<Option<Instant>>,
    rests: Cell<bool>,
    last: Cell<bool>,
    linger: Cell<bool>,
    reset: Cell<bool>,
    refused: Cell<Option<Reason>>,
    /// What the client is to be told before the response of the request that runs.
    interim: RefCell<Option<Arc<Interim>>>,
    task: RefCell<Option<Waker>>,
}

impl Connection {
    /// A connection that waits for its first request.
    pub fn new(peer: SocketAddr, local: SocketAddr, waits: Waits, timers: &Rc<Timers>) -> Rc<Self> {
        let connection = Self {
            peer: Cell::new(canonical(peer)),
            local: Cell::new(local),
            unnamed: Cell::new(false),
            session: OnceCell::new(),
            waits,
            timers: Rc::clone(timers),
            phase: Cell::new(Phase::Busy),
            http2: OnceCell::new(),
            scan: Cell::default(),
            read_timer: timers.timer(),
            write_timer: timers.timer(),
            write_wait: Cell::new(waits.idle),
            write_until: Cell::new(None),
            uploading: Cell::new(false),
            flushed: Cell::new(false),
            closing: Cell::new(false),
            rest_until: Cell::new(None),
            rests: Cell::new(false),
            last: Cell::new(false),
            linger: Cell::new(false),
            reset: Cell::new(false),
            refused: Cell::new(None),
            interim: RefCell::new(None),
            task: RefCell::new(None),
        };
        connection.wait_for_request();
        Rc::new(connection)
    }

    /// The client's address: as the socket has it, or the PROXY header of a peer that is believed.
    pub fn peer(&self) -> SocketAddr {
        self.peer.get()
    }

    /// The address the client connected to, of the same source.
    pub fn local(&self) -> SocketAddr {
        self.local.get()
    }

    /// Whether what its requests say of the client is believed: the peer is trusted, and the requests are its own. Those
    /// behind a PROXY header that names nobody may be anybody's.
    pub fn is_believed(&self, trusted: &TrustedProxies) -> bool {
        self.is_of_its_peer() && trusted.contains(self.peer().ip())
    }

    /// Whether its requests come from the address that the peer has, as far as can be known.
    pub fn is_of_its_peer(&self) -> bool {
        !self.unnamed.get()
    }

    /// A request head is complete; its route decides from here how long things may take. Returns what is wrong with
    /// the head that the library does not say.
    pub fn request_started(&self) -> Option<Flaw> {
        self.phase.set(Phase::Busy);
        if let Some(http2) = self.http2.get() {
            http2.request_started();
            self.wait_for_frames(http2);
            return None;
        }
        self.read_timer.clear();
        self.scan.take().flaw()
    }

    /// A handshake has been tried. `None`: the client spoke plain HTTP where it has to use TLS.
    pub fn secured(&self, session: Option<Box<Session>>) {
        // There is one handshake.
        let _ = self.session.set(session);
    }

    /// What was agreed on with the client, where TLS is spoken.
    pub fn session(&self) -> Option<&Session> {
        self.session.get().and_then(|session| session.as_deref())
    }

    /// Whether its requests came without TLS to a listener that has it.
    pub fn lacks_tls(&self) -> bool {
        matches!(self.session.get(), Some(None))
    }

    /// The request has a body on its way.
    pub fn upload_started(&self) {
        self.uploading.set(true);
    }

    /// No more of the request's body will be read.
    pub fn upload_ended(&self) {
        self.uploading.set(false);
        self.settle();
    }

    /// The response has been handed over whole. Much of it may still be unwritten.
    pub fn request_answered(&self) {
        if self.is_multiplexed() {
            return;
        }
        self.phase.set(Phase::Answered);
        self.flushed.set(false);
        if self.uploading.get() {
            self.read_timer.set(self.write_wait.get());
        }
    }

    /// How long the client may leave a response unread, and until when it must have it all. Where several requests share
    /// the connection, none of them ends it for the others: it may be as slow as the most patient of them allows.
    pub fn allow_write(&self, stall: Duration, until: Option<Instant>) {
        if self.is_multiplexed() {
            return self.write_wait.set(stall.max(self.write_wait.get()));
        }
        self.write_wait.set(stall);
        self.write_until.set(until);
    }

    /// The connection will be closed with request bytes unread; read them out first (see `linger.rs`).
    pub fn linger_on_close(&self) {
        self.linger.set(true);
    }

    /// Until the response is written whole, the connection can only end by a reset: this client takes the end of the
    /// connection for the end of the response.
    pub fn reset_unless_written(&self) {
        self.reset.set(true);
    }

    /// Asks the connection to finish what it is doing and close.
    pub fn close_gracefully(&self) {
        self.closing.set(true);
        if self.phase.get() == Phase::Idle {
            // Its next request may be on the wire already: give it a moment, then no more.
            self.wait_for_request();
        }
        self.wake();
    }

    fn wake(&self) {
        if let Some(task) = self.task.borrow().as_ref() {
            task.wake_by_ref();
        }
    }

    /// Nothing that follows the request that runs is a request: the client asks for another protocol, and may have begun
    /// to speak it.
    pub fn expect_switch(&self) {
        if !self.is_multiplexed() {
            self.last.set(true);
            self.linger.set(true);
        }
    }

    /// It has switched to another protocol: what is written and read from here on is a tunnel's. Over HTTP/2 that is one
    /// stream, and the connection goes on.
    pub fn switched(&self) {
        if !self.is_multiplexed() {
            self.linger.set(false);
        }
    }

    /// Whether no other request is served after the one that runs.
    pub fn is_closing(&self) -> bool {
        self.closing.get() || self.last.get()
    }

    /// Whether the connection is to end with the request that runs; remembers whom to wake when it is to close.
    ///
    /// Not while none runs: the HTTP library would then close at once, and lose the request that is on its way.
    pub fn poll_closing(&self, cx: &Context<'_>) -> bool {
        let mut task = self.task.borrow_mut();
        match task.as_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *task = Some(cx.waker().clone()),
        }
        // One that is about to switch is told in the answer, if it does not: a 101 that says `close` would mislead.
        self.closing.get() && !self.last.get() && (self.phase.get() == Phase::Busy || self.is_multiplexed())
    }

    /// Ready when it has been asked to close, and has had the time for a last request: who has not even shaken hands by
    /// then has none under way.
    pub async fn given_up(&self) {
        poll_fn(|cx| {
            self.poll_closing(cx);
            if self.is_closing() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        sleep(LAST_REQUEST_WAIT).await;
    }

    /// Why its last head was refused below the request handler: malformed, too large, too slow.
    pub fn refused(&self) -> Option<Reason> {
        self.refused.get()
    }

    /// Whether no bytes of any response are on their way, so that what the library writes is its own.
    fn has_no_request(&self) -> bool {
        matches!(self.phase.get(), Phase::Idle | Phase::Head) && !self.is_multiplexed()
    }

    /// The HTTP library has nothing left to write.
    fn written(&self) {
        if self.phase.get() == Phase::Answered {
            self.flushed.set(true);
            self.reset.set(false);
            self.settle();
        }
    }

    /// Response written and request read: the next request may come.
    fn settle(&self) {
        if self.phase.get() == Phase::Answered && self.flushed.get() && !self.uploading.get() {
            self.wait_for_request();
        }
    }

    fn wait_for_request(&self) {
        self.phase.set(Phase::Idle);
        let until = self.idle_deadline();
        if let Some(http2) = self.http2.get() {
            http2.idles_until(until);
            return self.wait_for_frames(http2);
        }
        self.scan.set(HeadScan::default());
        self.idle_until(until);
    }

    fn idle_deadline(&self) -> Instant {
        self.timers.now() + self.patience(self.waits.idle) + TICK
    }

    /// Waits for what may never come.
    fn wait(&self, usual: Duration) {
        self.read_timer.set(self.patience(usual));
    }

    /// No longer than a moment where the connection is to close.
    fn patience(&self, usual: Duration) -> Duration {
        if self.closing.get() { LAST_REQUEST_WAIT.min(usual) } else { usual }
    }

    /// When a client that does not take what is written is given up.
    fn write_deadline(&self, now: Instant) -> Instant {
        let stall = now + self.write_wait.get();
        self.write_until.get().map_or(stall, |until| stall.min(until))
    }

    fn bytes_arrived(&self, bytes: &[u8]) {
        match self.phase.get() {
            Phase::Busy => return,
            Phase::Answered if self.uploading.get() => return self.read_timer.set(self.write_wait.get()),
            Phase::Answered => return,
            Phase::Head => {}
            Phase::Idle => {
                self.end_rest();
                self.phase.set(Phase::Head);
                self.read_timer.set(self.waits.header);
            }
        }
        let mut scan = self.scan.get();
        scan.feed(bytes);
        self.scan.set(scan);
    }

    fn refuse_head(&self, reason: Reason) {
        self.refused.set(Some(reason));
        self.linger.set(true);
    }
}

/// An IPv4 client of a dual-stack socket is an IPv4 client.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::timers::TICK;

    const HOUR: Duration = Duration::from_secs(3600);

    fn connection() -> (Rc<Connection>, Rc<Timers>, Instant) {
        let start = Instant::now();
        let timers = Timers::new(start);
        let waits = Waits { idle: Duration::from_secs(1), header: Duration::from_secs(1) };
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        (Connection::new(address, address, waits, &timers), timers, start)
    }

    #[test]
    fn a_response_that_is_not_written_yet_has_no_idle_deadline() {
        let (connection, timers, start) = connection();
        connection.request_started();
        connection.request_answered();
        timers.sweep(start + HOUR);
        assert!(!connection.read_timer.fired());
        connection.written();
        timers.sweep(start + HOUR * 2);
        assert!(connection.read_timer.fired());
    }

    #[test]
    fn a_connection_of_which_a_stream_becomes_a_tunnel_still_lingers() {
        let (connection, ..) = connection();
        connection.expect_switch();
        connection.switched();
        assert!(!connection.linger.get());
        connection.multiplex();
        connection.expect_switch();
        connection.switched();
        assert!(connection.linger.get());
    }

    #[test]
    fn a_request_that_is_still_being_read_is_not_waited_for_as_the_next() {
        let (connection, ..) = connection();
        connection.request_started();
        connection.upload_started();
        connection.request_answered();
        connection.written();
        connection.bytes_arrived(b"content-length: 1\r\ncontent-length: 1\r\n");
        assert_eq!(connection.phase.get(), Phase::Answered);
        connection.upload_ended();
        assert_eq!(connection.phase.get(), Phase::Idle);
        assert_eq!(connection.request_started(), None);
    }

    #[test]
    fn a_connection_that_is_to_close_waits_for_its_proxy_header_no_longer_than_for_a_request() {
        let (connection, timers, start) = connection();
        connection.close_gracefully();
        connection.wait(HOUR);
        timers.sweep(start + LAST_REQUEST_WAIT + TICK);
        assert!(connection.read_timer.fired());
    }

    #[test]
    fn a_reset_is_due_only_until_the_response_is_written() {
        let (connection, ..) = connection();
        connection.request_started();
        connection.reset_unless_written();
        connection.written();
        assert!(connection.reset.get(), "what is flushed before the answer is not the answer");
        connection.request_answered();
        assert!(connection.reset.get());
        connection.written();
        assert!(!connection.reset.get());
    }
}
