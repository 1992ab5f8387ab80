//! A new connection to an endpoint: TCP, and TLS on it where that is asked for. What is spoken on it is the pool's.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::uri::Scheme;
use rustix::io::Errno;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::fair::Fair;
use super::wire::Wire;
use crate::config::Protocol;

pub mod sockets;
pub mod tls;

use tls::Tls;

/// Where an endpoint is, and how it is spoken to.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// What is spoken.
    pub protocol: Protocol,
    /// How it is encrypted, if it is.
    pub tls: Option<Tls>,
    /// What stands before that, if anything: a PROXY header.
    pub opening: Vec<u8>,
}

impl Target {
    /// The same, but for one question of another protocol.
    pub fn speaking(&self, protocol: Protocol) -> Self {
        Self { protocol, tls: self.tls.as_ref().map(|tls| tls.speaking(protocol)), ..self.clone() }
    }

    /// As in a target.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
    }
}

/// Why no connection could be had. Nothing of the request was written, so sending it elsewhere is safe.
#[derive(Debug, Clone)]
pub enum ConnectError {
    /// Refused, unreachable.
    Failed(Arc<io::Error>),
    /// Sockets, ports or memory have run out here: the endpoint was not asked.
    OutOfSockets(Arc<io::Error>),
    /// Not established within the connect timeout.
    TimedOut(Duration),
    /// Established, but there is no trust, no version in common, or no TLS.
    Tls(Arc<io::Error>),
    /// Established, but closed before HTTP could be spoken, or something else is spoken.
    Handshake(Arc<hyper::Error>),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) | Self::OutOfSockets(error) => write!(f, "cannot connect: {error}"),
            Self::TimedOut(after) => write!(f, "no connection within {after:?}"),
            Self::Tls(error) => write!(f, "no TLS: {}", tls::explain(error)),
            Self::Handshake(error) => write!(f, "no HTTP: {}", innermost(&**error)),
        }
    }
}

impl Error for ConnectError {}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        let is_ours = is_out_of_sockets(&error);
        let error = Arc::new(error);
        if is_ours { Self::OutOfSockets(error) } else { Self::Failed(error) }
    }
}

/// Whether sockets, ports or memory have run out here, so that every endpoint would look dead at once.
pub fn is_out_of_sockets(error: &io::Error) -> bool {
    const OURS: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    Errno::from_io_error(error).is_some_and(|errno| OURS.contains(&errno))
}

/// What says most of an error that wraps others.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

/// Connects, and shakes hands where there is TLS. Not bounded in time.
///
/// # Errors
/// See [`ConnectError`].
pub async fn open(target: &Target) -> Result<Opened, ConnectError> {
    let place = sockets::place()?;
    let stream = Fair::new(open_tcp(target).await?, place);
    match &target.tls {
        None => Ok(Opened { is_http2: target.protocol == Protocol::H2, stream: Wire::Plain(stream) }),
        // Boxed, as a handshake needs much room, and few requests need one.
        Some(tls) => Box::pin(open_tls(stream, tls, target.protocol)).await,
    }
}

/// Connects, and says who is there, where the endpoint wants to know.
///
/// # Errors
/// What the operating system says of it.
pub async fn open_tcp(target: &Target) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    if !target.opening.is_empty() {
        // A socket that is new has room for it.
        stream.write_all(&target.opening).await?;
    }
    Ok(stream)
}

async fn open_tls(stream: Fair, tls: &Tls, protocol: Protocol) -> Result<Opened, ConnectError> {
    let stream = tls.shake_hands(stream).await.map_err(|error| ConnectError::Tls(Arc::new(error)))?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if protocol == Protocol::H2 && !is_http2 {
        let error = io::Error::other("the endpoint has not agreed on HTTP/2 (ALPN)");
        return Err(ConnectError::Tls(Arc::new(error)));
    }
    Ok(Opened { is_http2, stream: Wire::Tls(Box::new(stream)) })
}

/// An established connection.
#[derive(Debug)]
pub struct Opened {
    /// Whether HTTP/2 is spoken on it.
    pub is_http2: bool,
    /// Its bytes.
    pub stream: Stream,
}

/// What an endpoint's bytes come through.
pub type Stream = Wire<Fair, TlsStream<Fair>>;

impl Stream {
    /// The socket beneath.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream.tcp(),
            Self::Tls(stream) => stream.get_ref().0.tcp(),
        }
    }

    /// Counts from here on how often something has arrived.
    pub(super) fn count_arrivals(&mut self) -> Arc<AtomicU64> {
        match self {
            Self::Plain(stream) => stream.count_arrivals(),
            Self::Tls(stream) => stream.get_mut().0.count_arrivals(),
        }
    }
}
