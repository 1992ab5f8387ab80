//! What a client of HTTP/1 is told before its response: interim responses (RFC 9110 section 15.2).
//!
//! The HTTP library has no way to write them, so they go out beneath it. That can be done where it has nothing left to
//! write and the response has not begun: the next byte on the connection is then the first of a message.

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::{Connection, Phase, Socket};

/// Bytes that may wait to be written; what is over that is dropped, as a client may do with all of it.
const MOST_WAITING: usize = 16 << 10;

/// Takes what is to be written before the response of one request. One worker has all of its clones, so that nobody ever
/// waits for the lock; the HTTP library wants it to be fit for several.
#[derive(Debug)]
pub struct Interim {
    waiting: Mutex<Vec<u8>>,
    task: Waker,
}

impl Interim {
    /// Has `message`, a whole interim response, written if the final one has not begun by then.
    pub fn tell(&self, message: &[u8]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() + message.len() <= MOST_WAITING {
            waiting.extend_from_slice(message);
            self.task.wake_by_ref();
        }
    }

    fn take(&self) -> Bytes {
        Bytes::from(mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Connection {
    /// From here to the beginning of the response that runs, its client can be told something. `None` over HTTP/2, where
    /// nothing can be written between the library's frames.
    pub fn open_interim(&self) -> Option<Arc<Interim>> {
        let task = self.task.borrow().clone().filter(|_| !self.is_multiplexed())?;
        let interim = Arc::new(Interim { waiting: Mutex::default(), task });
        self.interim.replace(Some(Arc::clone(&interim)));
        Some(interim)
    }

    /// The response is about to begin.
    pub fn close_interim(&self) {
        self.interim.take();
    }

    fn next_interim(&self) -> Bytes {
        let interim = self.interim.borrow();
        interim
            .as_ref()
            .filter(|_| self.phase.get() == Phase::Busy)
            .map(|open| open.take())
            .unwrap_or_default()
    }
}

impl Socket {
    /// To be called where the library has nothing left to write.
    pub(super) fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.interim.is_empty() {
            self.interim = self.connection.next_interim();
        }
        self.poll_rest_of_interim(cx)
    }

    /// What was begun has to end before anything else is written.
    pub(super) fn poll_rest_of_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.interim);
            match ready!(self.write_outcome(cx, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.interim.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}
