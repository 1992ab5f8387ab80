//! One worker's connections to one endpoint.
//!
//! Last in, first out: the connection used last is the least likely to have been closed by the other side, and those
//! a quieter hour does not need age out at the front. A connection that the endpoint closed while it was unused is
//! dropped unseen.
//!
//! A connection that began with a PROXY header says one client, and serves the connection of that client only: it is found
//! again by it, and closed with it.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use http_body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::downstream::Connection;
use super::fair::Fair;
use crate::config::{Connection as Settings, SendProxy};
use crate::policy::proxy_header::{self, Ends};

/// After this long unused, a connection gets one turn of the event loop to report that it was closed.
const SUSPECT_AFTER: Duration = Duration::from_millis(500);

/// What one connection may hold of a response that its client has not taken yet, bytes; the bound of a response head
/// too. Half of it costs 5 % more CPU for a 1 MiB response.
const READ_BUFFER: usize = 256 * 1024;

/// Why no connection could be had. Nothing of the request was written, so sending it elsewhere is safe.
#[derive(Debug)]
pub enum ConnectError {
    /// Refused, unreachable.
    Failed(io::Error),
    /// Sockets, ports or memory have run out here: the endpoint was not asked.
    OutOfSockets(io::Error),
    /// Not established within the connect timeout.
    TimedOut(Duration),
    /// Established, but closed before HTTP could be spoken.
    Handshake(hyper::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) | Self::OutOfSockets(error) => write!(f, "cannot connect: {error}"),
            Self::TimedOut(after) => write!(f, "no connection within {after:?}"),
            Self::Handshake(error) => write!(f, "closed at once: {error}"),
        }
    }
}

impl Error for ConnectError {}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        if is_out_of_sockets(&error) { Self::OutOfSockets(error) } else { Self::Failed(error) }
    }
}

/// Whether sockets, ports or memory have run out here, so that every endpoint would look dead at once.
pub fn is_out_of_sockets(error: &io::Error) -> bool {
    const OURS: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    Errno::from_io_error(error).is_some_and(|errno| OURS.contains(&errno))
}

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
    client: Client,
}

/// For whose connection a connection was made; `None` where it says nobody, and serves all.
type Client = Option<Weak<Connection>>;

fn is_gone(client: &Client) -> bool {
    client.as_ref().is_some_and(|client| client.strong_count() == 0)
}

/// A connection taken from a pool for one request.
#[derive(Debug)]
pub struct Lease<B> {
    /// Sends the request.
    pub sender: SendRequest<B>,
    /// Whether an earlier request used it: if so, the endpoint may have closed it meanwhile.
    pub reused: bool,
    client: Client,
    pool: Rc<Pool<B>>,
}

impl<B> Lease<B> {
    /// Puts the connection back for the next request.
    pub fn put_back(self, now: Instant) {
        let mut idle = self.pool.idle.borrow_mut();
        let is_full = idle.len() >= self.pool.settings.max_idle;
        if is_full && self.client.is_some() && !idle.is_empty() {
            // Of another client, who may have left. This one is still here.
            idle.remove(0);
        } else if is_full {
            return;
        }
        if !self.sender.is_closed() {
            idle.push(Idle { sender: self.sender, since: now, client: self.client });
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

    /// An unused connection, or a new one, for a request that came on this connection.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn lease(
        self: &Rc<Self>,
        client: &Rc<Connection>,
        now: Instant,
    ) -> Result<Lease<B>, ConnectError> {
        match self.reuse(client, now).await {
            Some(sender) => Ok(self.lend(sender, client, true)),
            None => Ok(self.lend(self.connect(client).await?, client, false)),
        }
    }

    /// Closes what has been unused for the idle timeout.
    pub fn expire(&self, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        let timeout = self.settings.idle_timeout;
        let expired = idle.partition_point(|entry| now.saturating_duration_since(entry.since) >= timeout);
        idle.drain(..expired);
        idle.retain(|entry| !entry.sender.is_closed() && !is_gone(&entry.client));
    }

    /// Closes all that are unused.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
    }

    /// Unused connections at this moment.
    pub fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    fn lend(self: &Rc<Self>, sender: SendRequest<B>, client: &Rc<Connection>, reused: bool) -> Lease<B> {
        let client = self.names_clients().then(|| Rc::downgrade(client));
        Lease { sender, reused, client, pool: Rc::clone(self) }
    }

    fn names_clients(&self) -> bool {
        self.settings.proxy_protocol != SendProxy::Off
    }

    async fn reuse(&self, client: &Rc<Connection>, now: Instant) -> Option<SendRequest<B>> {
        while let Some(Idle { sender, since, .. }) = self.pop(client) {
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

    fn pop(&self, client: &Rc<Connection>) -> Option<Idle<B>> {
        let mut idle = self.idle.borrow_mut();
        if !self.names_clients() {
            return idle.pop();
        }
        let own = |made_for: &Client| made_for.as_ref().is_some_and(|own| own.as_ptr() == Rc::as_ptr(client));
        let at = idle.iter().rposition(|entry| own(&entry.client))?;
        Some(idle.remove(at))
    }

    async fn connect(&self, client: &Connection) -> Result<SendRequest<B>, ConnectError> {
        let timeout = self.settings.connect_timeout;
        let connecting = tokio::time::timeout(timeout, TcpStream::connect(self.address));
        let mut stream = connecting.await.map_err(|_| ConnectError::TimedOut(timeout))??;
        stream.set_nodelay(true)?;
        if self.names_clients() {
            // Boxed, so that it costs nothing where there is none.
            Box::pin(introduce(&mut stream, self.settings.proxy_protocol, client)).await?;
        }
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

/// Says for whom a connection is made. A socket that is new has room for it, so it waits for nobody.
async fn introduce(stream: &mut TcpStream, send: SendProxy, client: &Connection) -> io::Result<()> {
    let ends = Ends { client: client.peer(), server: client.local() };
    stream.write_all(&proxy_header::write(send, Some(ends))).await
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
        Pool::new(listener.local_addr().expect("an address"), Settings::default())
    }

    /// A client's connection.
    fn client() -> Rc<Connection> {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let waits = Waits { idle: Duration::from_secs(1), header: Duration::from_secs(1) };
        Connection::new(address, address, waits, &Timers::new(Instant::now()))
    }

    fn post() -> Request<Full<Bytes>> {
        Request::post("/").header("host", "a").body(Full::from("hello")).expect("a request")
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
                let answer = lease.sender.try_send_request(post()).await.expect("an answer");
                answer.into_body().collect().await.expect("no body");
                lease.put_back(now);
                closing.wait();
                closing.wait();
                // The event loop sees the end now, but comes back here before it runs the connection's task.
                tokio::task::yield_now().await;
                let mut lease = pool.lease(&client(), now).await.expect("a connection");
                assert!(lease.reused, "nobody has noticed yet");
                let mut failed = lease.sender.try_send_request(post()).await.expect_err("it is closed");
                failed.take_message()
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
        let mut failed = on_one_thread(async {
            let mut lease = pool.lease(&client(), Instant::now()).await.expect("a connection");
            lease.sender.ready().await.expect("ready");
            let (stream, _) = listener.accept().expect("a connection");
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger");
            let sending = lease.sender.try_send_request(post());
            // A reset that is here when the head is written, and not yet read.
            drop(stream);
            sending.await.expect_err("it is reset")
        });
        assert!(failed.take_message().is_none(), "{}", failed.error());
    }
}
