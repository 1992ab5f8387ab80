//! A connection that no longer speaks HTTP.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::ahead::Ahead;
use super::connect::Stream;

/// After so long without a sign of the other side it is asked for one, and again at each interval.
const SIGN_AFTER: Duration = Duration::from_secs(60);
const SIGN_INTERVAL: Duration = Duration::from_secs(15);
/// A side that has not answered so often is gone: after two minutes in all.
const SIGNS: u32 = 4;

/// Has the kernel find out if the other side of a connection that may lie idle for hours is gone without a word.
pub fn keep_alive(stream: &TcpStream) {
    let signs = TcpKeepalive::new().with_time(SIGN_AFTER).with_interval(SIGN_INTERVAL).with_retries(SIGNS);
    // Where the kernel does not, the idle time of the tunnel is all there is.
    let _ = SockRef::from(stream).set_tcp_keepalive(&signs);
}

/// What is under a connection: a socket, TLS, a stream of HTTP/2.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A connection taken back from the HTTP library, with what that had read of it already and made nothing of.
pub struct Switched {
    io: Box<dyn Duplex>,
    ahead: Ahead,
}

impl Switched {
    /// An endpoint's connection, or a client's stream, once the HTTP library hands it over. `None` where it has ended
    /// meanwhile.
    pub async fn take(handover: OnUpgrade) -> Option<Self> {
        let upgraded = handover.await.ok()?;
        Some(match upgraded.downcast::<TokioIo<Stream>>() {
            Ok(Parts { io, read_buf, .. }) => {
                let io = io.into_inner();
                keep_alive(io.tcp());
                Self::new(io, read_buf)
            }
            Err(stream) => Self::new(TokioIo::new(stream), Bytes::new()),
        })
    }

    /// `ahead` comes before whatever is still to be read from `io`.
    pub fn new(io: impl AsyncRead + AsyncWrite + Unpin + 'static, ahead: Bytes) -> Self {
        Self { io: Box::new(io), ahead: Ahead::new(ahead) }
    }
}

impl fmt::Debug for Switched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switched").field("ahead", &self.ahead.len()).finish_non_exhaustive()
    }
}

impl AsyncRead for Switched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.ahead.read_into(buf) {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut self.io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Switched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
