//! A socket to an endpoint that lets others have their turn.
//!
//! The HTTP library reads on for as long as bytes come and no final head is among them: an endpoint that floods it with
//! interim responses would keep the worker from everything else for seconds, deadlines among it.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::yield_now;

use super::connect::sockets::Place;

/// Bytes that are read in one turn; the read that reaches it is still given out whole. Large enough that a response
/// body hardly notices, small enough that the worst use of so many bytes takes some milliseconds.
const TURN: usize = 512 * 1024;

/// A socket that pauses for a turn of the event loop after half a mebibyte.
pub struct Fair {
    stream: TcpStream,
    left: usize,
    pause: Option<Pause>,
    arrivals: Option<Arc<AtomicU64>>,
    _place: Place,
}

/// Over once everybody else had a turn, timers and other sockets among them; a task that just wakes itself would run
/// dozens of times before those are looked at.
type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Fair {
    pub(super) fn new(stream: TcpStream, place: Place) -> Self {
        Self { stream, left: TURN, pause: None, arrivals: None, _place: place }
    }
}

impl Fair {
    /// The socket itself.
    pub(super) fn tcp(&self) -> &TcpStream {
        &self.stream
    }

    /// Counts from here on how often something has arrived.
    pub(super) fn count_arrivals(&mut self) -> Arc<AtomicU64> {
        Arc::clone(self.arrivals.get_or_insert_default())
    }

    fn arrived(&self) {
        if let Some(arrivals) = &self.arrivals {
            arrivals.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.left == 0 {
            self.left = TURN;
            self.pause = Some(Box::pin(yield_now()));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }
}

impl fmt::Debug for Fair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fair").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl AsyncRead for Fair {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_turn(cx));
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let count = buf.filled().len() - before;
        if count > 0 {
            self.arrived();
        }
        self.left = if read.is_pending() { TURN } else { self.left.saturating_sub(count) };
        read
    }
}

impl AsyncWrite for Fair {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
