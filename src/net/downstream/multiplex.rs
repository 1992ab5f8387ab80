//! How a [`Connection`] and its [`Socket`] go on when the client speaks HTTP/2.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::http2::{Http2, Wait};
use super::library_answer::Answer;
use super::{Connection, Ended, LAST_REQUEST_WAIT, Socket};

impl Connection {
    /// From here on it speaks HTTP/2: requests run side by side, and what concerns one of them does not concern the
    /// connection.
    pub fn multiplex(&self) {
        self.http2.get_or_init(|| Box::new(Http2::new(self.timers.now())));
        // The client may have sent what nobody will read, and a reset would overtake the last frames it is sent.
        self.linger_on_close();
        self.wait_for_request();
    }

    /// Whether it speaks HTTP/2.
    pub fn is_multiplexed(&self) -> bool {
        self.http2.get().is_some()
    }

    /// Nothing is left of a request that has lasted so long: answered, or given up by either side.
    pub fn request_over(&self, answered: bool, after: Duration) {
        let Some(http2) = self.http2.get() else { return };
        if http2.request_over(answered, after, self.timers.now()) {
            self.wait_for_request();
        }
        if http2.ended().is_some() {
            // The frame that is being read may never be whole.
            self.read_timer.set(LAST_REQUEST_WAIT);
            self.wake();
        }
    }

    /// Why Tillgate has ended it, where it speaks HTTP/2 and could have gone on.
    pub fn ended(&self) -> Option<Ended> {
        self.http2.get().and_then(|http2| http2.ended())
    }

    /// A header block that has begun has its own time; without one, and without requests, the connection is idle. Frames
    /// that ask for nothing win no time.
    pub(super) fn wait_for_frames(&self, http2: &Http2) {
        if http2.is_within_head() {
            return;
        }
        match http2.idle_until() {
            Some(until) => self.read_timer.set_at(until),
            None => self.read_timer.clear(),
        }
    }

    /// How many of these bytes the library may have.
    fn frames_arrived(&self, http2: &Http2, bytes: &[u8]) -> usize {
        let (allowed, wait) = http2.received(bytes, self.timers.now());
        match wait {
            Wait::Unchanged => {}
            Wait::ForHead => self.read_timer.set(self.waits.header),
            Wait::HeadIsWhole => self.wait_for_frames(http2),
        }
        allowed
    }

    /// Nothing came in time. An idle connection is told first that it will end, so that a request that is on its way
    /// already is served. Whether that was the last word.
    fn frames_late(&self, http2: &Http2) -> bool {
        if http2.ended().is_some() {
            return true;
        }
        if http2.is_within_head() {
            http2.end(Ended::HeaderTimeout);
        } else if self.is_closing() {
            http2.end(Ended::Idle);
        } else {
            self.close_gracefully();
        }
        http2.ended().is_some()
    }
}

impl Socket {
    /// Reads for the library, which is told of the end where there is one: by the client or by Tillgate.
    pub(super) fn poll_read_frames(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let connection = Rc::clone(&self.connection);
        let Some(http2) = connection.http2.get() else { return Poll::Ready(Ok(())) };
        if http2.reads_no_more() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if self.ahead.read_into(buf) || Pin::new(&mut self.stream).poll_read(cx, buf)?.is_ready() {
            let allowed = connection.frames_arrived(http2, &buf.filled()[before..]);
            buf.set_filled(before + allowed);
            return Poll::Ready(Ok(()));
        }
        while connection.read_timer.poll_fired(cx).is_ready() {
            if connection.frames_late(http2) {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    /// Takes note of what has left.
    pub(super) fn note_frames(&mut self, written: &Poll<io::Result<usize>>, bufs: &[IoSlice<'_>]) {
        let (Some(http2), Poll::Ready(Ok(count))) = (self.connection.http2.get(), written) else { return };
        self.unflushed = true;
        let mut rest = *count;
        for buf in bufs {
            let part = rest.min(buf.len());
            http2.sent(&buf[..part]);
            rest -= part;
        }
    }

    /// The last frame, where the library takes the end for the client's. Everything of its own has been written.
    pub(super) fn take_goodbye(&mut self) {
        if self.answer.is_none() {
            let goodbye = self.connection.http2.get().and_then(|http2| http2.goodbye());
            self.answer = goodbye.map(Answer::new);
        }
    }

    /// The same where the library has failed: what it had begun to write must be whole, and nobody waits.
    pub(super) fn say_goodbye_if_possible(&mut self) {
        if self.unflushed || self.answer.is_some() {
            return;
        }
        self.take_goodbye();
        let mut cx = Context::from_waker(Waker::noop());
        if self.poll_answer(&mut cx).is_ready() {
            let _ = Pin::new(&mut self.stream).poll_flush(&mut cx);
        }
    }
}
