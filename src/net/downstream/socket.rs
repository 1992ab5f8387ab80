//! The bytes of a [`Connection`], as the HTTP library reads and writes them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::{Connection, Phase, library_answer, linger};
use crate::net::ahead::Ahead;
use crate::net::transport::Transport;

/// The socket of a [`Connection`], as the HTTP library reads and writes it.
#[derive(Debug)]
pub struct Socket {
    pub(super) stream: Transport,
    pub(super) connection: Rc<Connection>,
    /// Read from the stream, and not yet by the HTTP library.
    pub(super) ahead: Ahead,
    pub(super) answer: Option<library_answer::Answer>,
    /// Of an interim response that is being written.
    pub(super) interim: Bytes,
    pub(super) linger: linger::Linger,
    pub(super) write_blocked: bool,
    pub(super) shut: bool,
    /// Something was written since the library last said that nothing is left of it.
    pub(super) unflushed: bool,
}

impl Socket {
    /// Puts the deadlines of `connection` on `stream`.
    pub fn new(stream: Transport, connection: Rc<Connection>) -> Self {
        Self {
            stream,
            connection,
            ahead: Ahead::default(),
            answer: None,
            interim: Bytes::new(),
            linger: linger::Linger::default(),
            write_blocked: false,
            shut: false,
            unflushed: false,
        }
    }

    /// The socket beneath.
    pub fn tcp(&self) -> &TcpStream {
        self.stream.tcp()
    }

    /// Whether it was closed as it should. The HTTP library leaves that to others once a client has asked for another
    /// protocol.
    pub fn is_shut(&self) -> bool {
        self.shut
    }

    /// What is read when nothing arrived in time: the end, after a 408 if a head had begun.
    fn expire(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.phase.get() == Phase::Head {
            self.connection.refuse_head(library_answer::HEADER_TIMEOUT);
            // One try without waiting: a client that does not read has no claim on an answer.
            let _ = Pin::new(&mut self.stream).poll_write(cx, library_answer::REQUEST_TIMEOUT);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn write_outcome(
        &mut self,
        cx: &Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.write_blocked {
                self.write_blocked = false;
                self.connection.write_timer.clear();
            }
            return written;
        }
        if !self.write_blocked {
            self.write_blocked = true;
            self.connection.write_timer.set_at(self.connection.write_deadline(Instant::now()));
        }
        ready!(self.connection.write_timer.poll_fired(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its response")))
    }

    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.answer.as_ref().and_then(library_answer::Answer::rest) {
            let written = Pin::new(&mut self.stream).poll_write(cx, &rest);
            let count = ready!(self.write_outcome(cx, written))?;
            if let Some(answer) = &mut self.answer {
                answer.advance(count);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the library's bare answer to a malformed head and holds one that names its reason instead.
    fn replace_answer(&mut self, bytes: &[u8]) -> bool {
        if !self.connection.has_no_request() {
            return false;
        }
        let Some((answer, reason)) = library_answer::replacement(bytes) else { return false };
        self.answer = Some(answer);
        self.connection.refuse_head(reason);
        true
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.say_goodbye_if_possible();
        if self.connection.reset.get() {
            // Fails only if the other side was quicker, and then there is nobody left to be misled.
            let _ = self.stream.tcp().set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.is_multiplexed() {
            return self.poll_read_frames(cx, buf);
        }
        if self.ahead.read_into(buf) {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            if buf.filled().len() > before {
                self.connection.bytes_arrived(&buf.filled()[before..]);
            }
            return Poll::Ready(read);
        }
        ready!(self.connection.read_timer.poll_fired(cx));
        if self.connection.begins_rest() {
            ready!(self.connection.read_timer.poll_fired(cx));
        }
        self.expire(cx)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest_of_interim(cx))?;
        if self.replace_answer(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_frames(&written, &[IoSlice::new(buf)]);
        self.write_outcome(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        ready!(self.poll_rest_of_interim(cx))?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_frames(&written, bufs);
        self.write_outcome(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        ready!(self.poll_interim(cx))?;
        // TLS takes more than the socket does.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx).map_ok(|()| 0);
        ready!(self.write_outcome(cx, flushed))?;
        self.connection.written();
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        self.take_goodbye();
        ready!(self.poll_answer(cx))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if !self.connection.linger.get() {
            return Poll::Ready(Ok(()));
        }
        let Self { stream, connection, linger, .. } = &mut *self;
        linger.poll_read_out(stream, &connection.read_timer, cx)
    }
}
