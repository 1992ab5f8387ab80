//! An answer that the client does not take.
//!
//! Over HTTP/2 a client can open no window for a stream, and the library then asks for no more of the answer: no deadline
//! of the request is looked at, while it holds its endpoint and its memory. So the task of each stream is watched: who leaves
//! a piece of an answer for longer than the route's `timeouts.idle`, or beyond its `timeouts.request`, has its stream reset.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::net::timers::{TICK, Timer, Timers};
use crate::proxy::body::{DownloadError, Patience, ResponseBody};

/// Bytes that are handed over at once: as many as a frame has, so that hardly more than the window allows is kept.
const PIECE: usize = 16 * 1024;

/// Until when the client may leave what it was last sent; shared by the body of a stream and its task.
#[derive(Debug, Default)]
pub(super) struct Unread {
    until: Cell<Option<Instant>>,
}

impl Unread {
    /// Ready once it is too late; else wakes `cx` when it may be. `timer` is made when there is something to wait for.
    pub(super) fn poll_given_up(
        &self,
        timers: &Rc<Timers>,
        timer: &mut Option<Timer>,
        cx: &Context<'_>,
    ) -> Poll<()> {
        let Some(until) = self.until.get() else { return Poll::Pending };
        if timers.now() >= until {
            return Poll::Ready(());
        }
        let timer = timer.get_or_insert_with(|| timers.timer());
        timer.set_at(until);
        timer.poll_fired(cx)
    }
}

/// A response body that tells when it has handed over a piece, and when it is asked for the next.
#[derive(Debug)]
pub(super) struct Watched {
    body: ResponseBody,
    patience: Patience,
    /// What is left of the frame that was too large.
    rest: Bytes,
    unread: Rc<Unread>,
    timers: Rc<Timers>,
}

impl Watched {
    pub(super) fn new(body: ResponseBody, unread: Rc<Unread>, timers: Rc<Timers>) -> Self {
        Self { patience: body.patience(), body, rest: Bytes::new(), unread, timers }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        let next = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(next.map(|frame| match frame?.into_data() {
            Ok(data) => {
                self.rest = data;
                Ok(self.piece())
            }
            Err(other) => Ok(other),
        }))
    }

    fn piece(&mut self) -> Frame<Bytes> {
        Frame::data(self.rest.split_to(self.rest.len().min(PIECE)))
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        self.unread.until.set(None);
        let next = ready!(self.poll_next(cx));
        self.unread.until.set(Some(self.patience.until(self.timers.now() + TICK)));
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Asked for before the first piece.
        self.body.size_hint()
    }
}
