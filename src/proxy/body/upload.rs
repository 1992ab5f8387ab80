//! A request body on its way from the client to the endpoint.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{ready_soon, with_first};
use crate::config::BodyPace;
use crate::net::downstream::Connection;
use crate::policy::forward::prepare_trailers;
use crate::policy::pace::Pace;

/// What became of a request body, shared between the connection that sends it and the request that waits.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of data passed on.
    pub bytes: Cell<u64>,
    /// When a frame last moved.
    pub moved: Cell<Option<Instant>>,
    /// When the last frame was passed on.
    pub finished: Cell<Option<Instant>>,
    /// Whether all of it has been read from the client, so that its connection is at the beginning of the next request.
    pub whole: Cell<bool>,
    /// Since when the next frame has been the client's to send; `None` while it is the endpoint's to take.
    pub waits_since: Cell<Option<Instant>>,
    /// For how long it may be, until the client is too slow; `None` where any pace will do.
    pub patience: Cell<Option<Duration>>,
    /// Why it stopped early, if it did.
    pub failure: Cell<Option<Failure>>,
    /// Whom to wake when the rest of it is not wanted any more.
    task: RefCell<Option<Waker>>,
    unwanted: Cell<bool>,
}

impl Progress {
    /// Whether nobody has asked for any of it.
    pub fn is_untouched(&self) -> bool {
        self.moved.get().is_none() && self.waits_since.get().is_none()
    }

    /// The rest of it is not wanted any more. On a connection that others use too, it does not end by itself.
    pub fn stop(&self) {
        self.unwanted.set(true);
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

/// Why a request body stopped early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The client ended it early, or framed it wrongly.
    Incomplete,
    /// More bytes than the route allows.
    TooLarge,
    /// Fewer bytes a second than the route allows.
    TooSlow,
    /// The response was whole before.
    Unwanted,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incomplete => "the request body ended early",
            Self::TooLarge => "the request body is too large",
            Self::TooSlow => "the request body comes too slowly",
            Self::Unwanted => "the request body is not wanted any more",
        })
    }
}

/// Over HTTP/2, the endpoint is told that the request was taken back, and not that something broke here.
impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        static CANCEL: LazyLock<h2::Error> = LazyLock::new(|| h2::Reason::CANCEL.into());
        Some(&*CANCEL)
    }
}

/// A request body that streams from the client.
#[derive(Debug)]
pub struct Upload {
    first: Option<Result<Frame<Bytes>, hyper::Error>>,
    /// Boxed, as it is rare.
    second: Option<Box<Result<Frame<Bytes>, hyper::Error>>>,
    incoming: Incoming,
    allowed: u64,
    pace: Pace,
    progress: Rc<Progress>,
    connection: Rc<Connection>,
}

impl Upload {
    /// Streams `incoming`, of at most so many bytes and at this pace, and tells `progress`.
    pub fn new(
        incoming: Incoming,
        (allowed, pace): (u64, Option<BodyPace>),
        progress: Rc<Progress>,
        connection: Rc<Connection>,
    ) -> Self {
        connection.upload_started();
        let pace = Pace::new(pace);
        progress.patience.set(pace.patience());
        Self { first: None, second: None, incoming, allowed, pace, progress, connection }
    }

    /// Takes the first frame in if it is there already, so that head and body leave in one write.
    pub async fn prefetch(&mut self) {
        self.first = ready_soon(&mut self.incoming).await;
        self.progress.whole.set(self.is_whole());
    }

    /// Looks whether the first frame was all of it, where that has to be known to keep it: HTTP/2 may say so in a frame of its
    /// own, which then is empty.
    pub async fn look_for_end(&mut self) {
        if self.first.is_some() && !self.is_whole() {
            let is_empty = |frame: &Result<Frame<Bytes>, _>| {
                frame.as_ref().is_ok_and(|frame| frame.data_ref().is_some_and(Bytes::is_empty))
            };
            self.second = ready_soon(&mut self.incoming).await.filter(|frame| !is_empty(frame)).map(Box::new);
            self.progress.whole.set(self.is_whole());
        }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if self.progress.unwanted.get() {
            return Poll::Ready(Some(Err(Failure::Unwanted)));
        }
        match ready!(self.poll_next(cx)) {
            Some(frame) => Poll::Ready(Some(self.pass(frame))),
            None => {
                self.progress.finished.set(Some(Instant::now()));
                Poll::Ready(None)
            }
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let rest = with_first(self.incoming.size_hint(), self.second.as_deref());
        with_first(rest, self.first.as_ref())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let next = match self.first.take().or_else(|| self.second.take().map(|second| *second)) {
            None => Pin::new(&mut self.incoming).poll_frame(cx),
            first => Poll::Ready(first),
        };
        if next.is_pending() {
            self.wait();
            self.progress.task.replace(Some(cx.waker().clone()));
        }
        self.progress.whole.set(self.is_whole());
        next.map(|frame| match frame {
            Some(frame) => Some(frame.map_err(|_| Failure::Incomplete)),
            None => self.broken_off().then_some(Err(Failure::Incomplete)),
        })
    }

    /// Whether the end is none: the library takes a stream that the client resets with NO_ERROR for one that has ended, and
    /// the endpoint would take half a request for a whole one.
    fn broken_off(&self) -> bool {
        self.connection.is_multiplexed() && !self.incoming.is_end_stream()
    }

    fn wait(&self) {
        let since = self.progress.waits_since.get();
        self.progress.waits_since.set(since.or_else(|| Some(Instant::now())));
    }

    fn count(&mut self, frame: &Frame<Bytes>, now: Instant) -> Result<(), Failure> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.allowed = self.allowed.checked_sub(bytes).ok_or(Failure::TooLarge)?;
        self.progress.bytes.set(self.progress.bytes.get() + bytes);
        let keeps = self.pace.keeps(bytes, self.progress.waits_since.take(), now);
        self.progress.patience.set(self.pace.patience());
        // Nobody is held by a body that is here.
        if keeps || self.incoming.is_end_stream() { Ok(()) } else { Err(Failure::TooSlow) }
    }

    fn pass(&mut self, frame: Result<Frame<Bytes>, Failure>) -> Result<Frame<Bytes>, Failure> {
        let now = Instant::now();
        let mut passed = frame.and_then(|frame| self.count(&frame, now).map(|()| frame));
        match &mut passed {
            Ok(frame) => {
                frame.trailers_mut().into_iter().for_each(prepare_trailers);
                self.progress.moved.set(Some(now));
            }
            Err(failure) => self.progress.failure.set(Some(*failure)),
        }
        if passed.is_ok() && self.is_over() {
            self.progress.finished.set(Some(now));
        }
        passed
    }

    /// The whole of it, if it came in one piece of up to `most` bytes and has not left.
    pub(super) fn kept(&self, most: u64) -> Option<Bytes> {
        let first = self.first.as_ref()?.as_ref().ok()?.data_ref()?;
        let fits = self.is_whole() && self.second.is_none() && first.len() as u64 <= most;
        fits.then(|| first.clone())
    }

    /// Whether nothing more has to come from the client.
    pub(super) fn is_whole(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(super) fn is_over(&self) -> bool {
        self.first.is_none() && self.second.is_none() && self.incoming.is_end_stream()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.connection.upload_ended();
    }
}
