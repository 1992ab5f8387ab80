//! Bodies on their way through, frame by frame, never gathered.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::exchange::Exchange;
use crate::net::pool::Lease;

/// What became of a request body, shared between the connection that sends it and the request that waits.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of data passed on.
    pub bytes: Cell<u64>,
    /// When a frame last moved.
    pub moved: Cell<Option<Instant>>,
    /// When the last frame was passed on.
    pub finished: Cell<Option<Instant>>,
    /// Whether the next frame is the client's to send, rather than the endpoint's to take.
    pub waits_for_client: Cell<bool>,
    /// Why it stopped early, if it did.
    pub failure: Cell<Option<Failure>>,
}

/// Why a request body stopped early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The client ended it early, or framed it wrongly.
    Incomplete,
    /// More bytes than the route allows.
    TooLarge,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incomplete => "the request body ended early",
            Self::TooLarge => "the request body is too large",
        })
    }
}

impl Error for Failure {}

/// A request body as it goes to the endpoint.
#[derive(Debug)]
pub enum RequestBody {
    /// None.
    Empty,
    /// Streamed from the client.
    Upload(Upload),
}

/// A request body that streams from the client.
#[derive(Debug)]
pub struct Upload {
    first: Option<Result<Frame<Bytes>, hyper::Error>>,
    incoming: Incoming,
    allowed: u64,
    progress: Rc<Progress>,
}

impl Upload {
    /// Streams `incoming`, at most `max` bytes of it, and tells `progress`.
    pub fn new(incoming: Incoming, max: u64, progress: Rc<Progress>) -> Self {
        Self { first: None, incoming, allowed: max, progress }
    }

    /// Takes the first frame in if it is there already, so that head and body leave in one write.
    pub async fn prefetch(&mut self) {
        self.first = ready_soon(&mut self.incoming).await;
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let next = match self.first.take() {
            None => Pin::new(&mut self.incoming).poll_frame(cx),
            first => Poll::Ready(first),
        };
        self.progress.waits_for_client.set(next.is_pending());
        next.map(|frame| frame.map(|frame| frame.map_err(|_| Failure::Incomplete)))
    }

    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), Failure> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.allowed = self.allowed.checked_sub(bytes).ok_or(Failure::TooLarge)?;
        self.progress.bytes.set(self.progress.bytes.get() + bytes);
        Ok(())
    }

    fn pass(&mut self, frame: Result<Frame<Bytes>, Failure>) -> Result<Frame<Bytes>, Failure> {
        let passed = frame.and_then(|frame| self.count(&frame).map(|()| frame));
        let now = Instant::now();
        match &passed {
            Ok(_) => self.progress.moved.set(Some(now)),
            Err(failure) => self.progress.failure.set(Some(*failure)),
        }
        if passed.is_ok() && self.is_over() {
            self.progress.finished.set(Some(now));
        }
        passed
    }

    fn is_over(&self) -> bool {
        self.first.is_none() && self.incoming.is_end_stream()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Self::Upload(upload) = &mut *self else { return Poll::Ready(None) };
        match ready!(upload.poll_next(cx)) {
            Some(frame) => Poll::Ready(Some(upload.pass(frame))),
            None => {
                upload.progress.finished.set(Some(Instant::now()));
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Upload(upload) => upload.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Upload(upload) => with_first(upload.incoming.size_hint(), upload.first.as_ref()),
        }
    }
}

/// A response body as it goes to the client.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for every request")]
pub enum ResponseBody {
    /// An answer of Tillgate's own.
    Own(Option<Bytes>),
    /// Streamed from the endpoint.
    Download(Download),
}

/// A response body that streams from the endpoint. Owns the exchange: when it is dropped, the exchange is over.
#[derive(Debug)]
pub struct Download {
    first: Option<Result<Frame<Bytes>, DownloadError>>,
    incoming: Incoming,
    failed: bool,
    lease: Option<Lease<RequestBody>>,
    exchange: Exchange,
}

impl Download {
    /// Streams `incoming`, then puts the connection back.
    pub fn new(incoming: Incoming, lease: Lease<RequestBody>, exchange: Exchange) -> Self {
        Self { first: None, incoming, failed: false, lease: Some(lease), exchange }
    }

    /// Takes the first frame in if it is there already, so that head and body leave in one write.
    pub async fn prefetch(mut self) -> ResponseBody {
        if self.incoming.is_end_stream() {
            self.finish();
        } else {
            let first = ready_soon(&mut self.incoming).await;
            self.first = first.map(|frame| frame.map_err(DownloadError::Endpoint));
        }
        ResponseBody::Download(self)
    }

    /// A failure is told one turn late: when a body fails, the server library forgets what it has not flushed, and
    /// that may be the head. A client that gets nothing at all takes the request for one it may send again.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        match ready!(self.poll_endpoint(cx)) {
            Some(Err(failure)) if !self.failed => {
                self.exchange.response_failed(&failure);
                self.failed = true;
                self.first = Some(Err(failure));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            next => Poll::Ready(next),
        }
    }

    fn poll_endpoint(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let Poll::Ready(next) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            ready!(self.exchange.poll_expired(cx));
            return Poll::Ready(Some(Err(DownloadError::TimedOut)));
        };
        Poll::Ready(next.map(|frame| frame.map_err(DownloadError::Endpoint)))
    }

    fn is_over(&self) -> bool {
        self.first.is_none() && self.incoming.is_end_stream()
    }

    fn pass(&mut self, frame: &Frame<Bytes>) {
        let bytes = frame.data_ref().map_or(0, Buf::remaining);
        self.exchange.response_moved(bytes as u64);
        if self.is_over() {
            self.finish();
        }
    }

    /// The response is whole. The connection can serve again once the request has left whole too; a request body
    /// that is still on its way keeps it busy, and then it is not put back.
    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            let now = self.exchange.complete();
            if self.exchange.upload_finished() {
                lease.put_back(now);
            }
        }
    }
}

/// Why a response body stopped early. The client must not take what it has for the whole.
#[derive(Debug)]
pub enum DownloadError {
    /// The endpoint closed early, or framed it wrongly.
    Endpoint(hyper::Error),
    /// Nothing moved for the idle timeout, or the request took too long.
    TimedOut,
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(error) => write!(f, "the response ended early: {error}"),
            Self::TimedOut => f.write_str("the response did not arrive in time"),
        }
    }
}

impl Error for DownloadError {}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        match &mut *self {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Download(download) => {
                let next = ready!(download.poll_next(cx));
                match &next {
                    Some(Ok(frame)) => download.pass(frame),
                    Some(Err(_)) => {}
                    None => download.finish(),
                }
                Poll::Ready(next)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Download(download) => download.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Download(download) => with_first(download.incoming.size_hint(), download.first.as_ref()),
        }
    }
}

/// The size of what is left when `first` has been taken out in front.
fn with_first<E>(rest: SizeHint, first: Option<&Result<Frame<Bytes>, E>>) -> SizeHint {
    let first = first.and_then(|first| first.as_ref().ok()).and_then(Frame::data_ref);
    let first = first.map_or(0, |data| data.len() as u64);
    let mut whole = SizeHint::new();
    if let Some(upper) = rest.upper() {
        whole.set_upper(upper + first);
    }
    whole.set_lower(rest.lower() + first);
    whole
}

/// The next frame if it is there after one more turn of the tasks that are ready to run. The task that has read it
/// from the socket hands it over in that turn; waiting longer would hold the head back.
async fn ready_soon(incoming: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    let mut turns = 0;
    std::future::poll_fn(|cx| match Pin::new(&mut *incoming).poll_frame(cx) {
        Poll::Ready(frame) => Poll::Ready(frame),
        Poll::Pending if turns == 1 => Poll::Ready(None),
        Poll::Pending => {
            turns += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}
