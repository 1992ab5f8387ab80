//! Bodies on their way through, frame by frame, never gathered.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::config::Timeouts;
use crate::net::pool::Lease;

mod compressed;
mod download;
mod encoder;
mod kept;
mod upload;

pub use compressed::Compressed;
pub use download::{Download, DownloadError};
pub use kept::Kept;
pub use upload::{Failure, Progress, Upload};

/// A request body as it goes to the endpoint.
#[derive(Debug)]
pub enum RequestBody {
    /// None.
    Empty,
    /// Streamed from the client.
    Upload(Upload),
    /// Sent again.
    Kept(Kept),
}

impl RequestBody {
    /// All of it, to be sent again: nothing of none, and of a body of up to `most` bytes what came with the head, if
    /// that is all there is.
    pub fn kept(&self, most: u64) -> Option<Bytes> {
        match self {
            Self::Empty => Some(Bytes::new()),
            Self::Upload(upload) => upload.kept(most),
            Self::Kept(kept) => kept.bytes(),
        }
    }

    /// Whether all of it is here, so that the endpoint will not have to wait for the client.
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Empty | Self::Kept(_) => true,
            Self::Upload(upload) => upload.is_whole(),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Upload(upload) => upload.poll_frame(cx),
            Self::Kept(kept) => Poll::Ready(kept.next().map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Upload(upload) => upload.is_over(),
            Self::Kept(kept) => kept.bytes().is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Upload(upload) => upload.size_hint(),
            Self::Kept(kept) => SizeHint::with_exact(kept.bytes().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// How long a client may leave a piece of its answer untaken.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For each piece.
    pub idle: Duration,
    /// When all of it must be taken, if there is a bound.
    pub whole: Option<Instant>,
}

impl Patience {
    /// Until when it may leave what it is sent now.
    pub fn until(self, now: Instant) -> Instant {
        let idle = now + self.idle;
        self.whole.map_or(idle, |whole| idle.min(whole))
    }
}

/// A response body as it goes to the client.
#[derive(Debug)]
pub enum ResponseBody {
    /// An answer of Tillgate's own.
    Own(Option<Bytes>),
    /// Streamed from the endpoint.
    Download(Download),
    /// The same, compressed on the way.
    Compressed(Box<Compressed>),
}

impl ResponseBody {
    /// How long the client may leave it.
    pub fn patience(&self) -> Patience {
        match self {
            Self::Own(_) => Patience { idle: Timeouts::default().idle, whole: None },
            Self::Download(download) => download.patience(),
            Self::Compressed(compressed) => compressed.patience(),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        match &mut *self {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Download(download) => download.poll_frame(cx),
            Self::Compressed(compressed) => compressed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Download(download) => download.is_over(),
            Self::Compressed(compressed) => compressed.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Download(download) => download.size_hint(),
            Self::Compressed(_) => SizeHint::default(),
        }
    }
}

/// Drops a response that nobody gets. Its connection serves again if the rest is here in one piece; to read more of it
/// would cost more than a new one.
pub async fn discard(response: Response<Incoming>, lease: Lease<RequestBody>) {
    let mut incoming = response.into_body();
    let broken = !incoming.is_end_stream() && matches!(ready_soon(&mut incoming).await, Some(Err(_)));
    if !broken && incoming.is_end_stream() {
        lease.put_back(Instant::now());
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
