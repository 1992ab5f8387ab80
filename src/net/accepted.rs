//! An accepted socket, and what was read of it that is for whoever reads next: TLS, or HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::ahead::Ahead;

/// A client's socket.
#[derive(Debug)]
pub struct Accepted {
    tcp: TcpStream,
    ahead: Ahead,
}

impl From<TcpStream> for Accepted {
    fn from(tcp: TcpStream) -> Self {
        Self { tcp, ahead: Ahead::default() }
    }
}

impl Accepted {
    /// The socket itself.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// The byte that is read next, once it is there; `None` at the end.
    ///
    /// # Errors
    /// What reading fails with.
    pub async fn first(&self) -> io::Result<Option<u8>> {
        if let Some(first) = self.ahead.first() {
            return Ok(Some(first));
        }
        let mut first = [0];
        let count = self.tcp.peek(&mut first).await?;
        Ok((count == 1).then_some(first[0]))
    }

    /// These are read next, before what is still in the socket.
    pub fn give_back(&mut self, ahead: Bytes) {
        debug_assert!(self.ahead.is_empty(), "given back once, before anybody else reads");
        self.ahead = Ahead::new(ahead);
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.ahead.read_into(buf) {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut self.tcp).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
