//! A new connection to an endpoint: TCP, and TLS on it where that is asked for. What is spoken on it is the pool's.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::Scheme;
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::fair::Fair;
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
pub async fn open(target: &Target) -> Result<Stream, ConnectError> {
    let place = sockets::place()?;
    let stream = Fair::new(open_tcp(target).await?, place);
    match &target.tls {
        None => Ok(Stream { is_http2: target.protocol == Protocol::H2, bytes: Bytes::Plain(stream) }),
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

async fn open_tls(stream: Fair, tls: &Tls, protocol: Protocol) -> Result<Stream, ConnectError> {
    let stream = tls.shake_hands(stream).await.map_err(|error| ConnectError::Tls(Arc::new(error)))?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if protocol == Protocol::H2 && !is_http2 {
        let error = io::Error::other("the endpoint has not agreed on HTTP/2 (ALPN)");
        return Err(ConnectError::Tls(Arc::new(error)));
    }
    Ok(Stream { is_http2, bytes: Bytes::Tls(Box::new(stream)) })
}

/// An established connection.
#[derive(Debug)]
pub struct Stream {
    /// Whether HTTP/2 is spoken on it.
    pub is_http2: bool,
    bytes: Bytes,
}

/// As they are on the wire, or within TLS.
#[derive(Debug)]
enum Bytes {
    Plain(Fair),
    /// Boxed, since what it holds is large.
    Tls(Box<TlsStream<Fair>>),
}

impl Stream {
    /// The socket beneath.
    pub(super) fn tcp(&self) -> &TcpStream {
        match &self.bytes {
            Bytes::Plain(stream) => stream.tcp(),
            Bytes::Tls(stream) => stream.get_ref().0.tcp(),
        }
    }

    /// Counts from here on how often something has arrived.
    pub(super) fn count_arrivals(&mut self) -> Arc<AtomicU64> {
        match &mut self.bytes {
            Bytes::Plain(stream) => stream.count_arrivals(),
            Bytes::Tls(stream) => stream.get_mut().0.count_arrivals(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Bytes::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Bytes::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Bytes::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(stream) => stream.is_write_vectored(),
            Bytes::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Bytes::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Bytes::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
