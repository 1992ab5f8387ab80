//! One worker's connections to one endpoint.
//!
//! Last in, first out: the connection used last is the least likely to have been closed by the other side, and those
//! a quieter hour does not need age out at the front. A connection that the endpoint closed while it was unused is
//! dropped unseen.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http_body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::fair::Fair;
use crate::config::Connection as Settings;

/// After this long unused, a connection gets one turn of the event loop to report that it was closed.
const SUSPECT_AFTER: Duration = Duration::from_millis(500);

/// What one connection may hold of a response that its client has not taken yet, bytes; the bound of a response head
/// too. Half of it costs 5 % more CPU for a 1 MiB response.
const READ_BUFFER: usize = 256 * 1024;

/// Why no connection could be had. Nothing of the request was written, so sending it elsewhere is safe.
#[derive(Debug)]
pub enum ConnectError {
    /// Refused, unreachable, out of sockets.
    Failed(io::Error),
    /// Not established within the connect timeout.
    TimedOut(Duration),
    /// Established, but closed before HTTP could be spoken.
    Handshake(hyper::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "cannot connect: {error}"),
            Self::TimedOut(after) => write!(f, "no connection within {after:?}"),
            Self::Handshake(error) => write!(f, "closed at once: {error}"),
        }
    }
}

impl Error for ConnectError {}

/// The unused connections of one worker to one endpoint.
#[derive(Debug)]
pub struct Pool<B> {
    address: SocketAddr,
    settings: Settings,
    idle: RefCell<Vec<Idle<B>>>,
}

#[derive(Debug)]
struct Idle<B> {
    sender: SendRequest<B>,
    since: Instant,
}

/// A connection taken from a pool for one request.
#[derive(Debug)]
pub struct Lease<B> {
    /// Sends the request.
    pub sender: SendRequest<B>,
    /// Whether an earlier request used it: if so, the endpoint may have closed it meanwhile.
    pub reused: bool,
    pool: Rc<Pool<B>>,
}

impl<B> Lease<B> {
    /// Puts the connection back for the next request.
    pub fn put_back(self, now: Instant) {
        let mut idle = self.pool.idle.borrow_mut();
        if idle.len() < self.pool.settings.max_idle && !self.sender.is_closed() {
            idle.push(Idle { sender: self.sender, since: now });
        }
    }
}

impl<B: Body + 'static> Pool<B>
where
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// No connections yet.
    pub fn new(address: SocketAddr, settings: Settings) -> Rc<Self> {
        Rc::new(Self { address, settings, idle: RefCell::new(Vec::new()) })
    }

    /// Whether a pool made from these would be the same.
    pub fn serves(&self, address: SocketAddr, settings: &Settings) -> bool {
        self.address == address && self.settings == *settings
    }

    /// An unused connection, or a new one.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn lease(self: &Rc<Self>, now: Instant) -> Result<Lease<B>, ConnectError> {
        match self.reuse(now).await {
            Some(sender) => Ok(self.lend(sender, true)),
            None => Ok(self.lend(self.connect().await?, false)),
        }
    }

    /// Closes what has been unused for the idle timeout.
    pub fn expire(&self, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        let timeout = self.settings.idle_timeout;
        let expired = idle.partition_point(|entry| now.saturating_duration_since(entry.since) >= timeout);
        idle.drain(..expired);
        idle.retain(|entry| !entry.sender.is_closed());
    }

    /// Closes all that are unused.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
    }

    /// Unused connections at this moment.
    pub fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    fn lend(self: &Rc<Self>, sender: SendRequest<B>, reused: bool) -> Lease<B> {
        Lease { sender, reused, pool: Rc::clone(self) }
    }

    async fn reuse(&self, now: Instant) -> Option<SendRequest<B>> {
        while let Some(Idle { sender, since }) = self.pop() {
            let unused = now.saturating_duration_since(since);
            if unused >= self.settings.idle_timeout {
                continue;
            }
            if unused >= SUSPECT_AFTER {
                // The event loop hands a pending end-of-stream to the connection's task before it comes back here.
                tokio::task::yield_now().await;
            }
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    fn pop(&self) -> Option<Idle<B>> {
        self.idle.borrow_mut().pop()
    }

    async fn connect(&self) -> Result<SendRequest<B>, ConnectError> {
        let timeout = self.settings.connect_timeout;
        let connecting = tokio::time::timeout(timeout, TcpStream::connect(self.address));
        let stream =
            connecting.await.map_err(|_| ConnectError::TimedOut(timeout))?.map_err(ConnectError::Failed)?;
        stream.set_nodelay(true).map_err(ConnectError::Failed)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .handshake(TokioIo::new(Fair::new(stream)))
            .await
            .map_err(ConnectError::Handshake)?;
        // The task ends when the pool and the request drop the sender, or when the endpoint closes. What went wrong
        // reaches the request through the sender, so its result says nothing new.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(sender)
    }
}
