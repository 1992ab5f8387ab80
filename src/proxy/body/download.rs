//! A response body on its way from the endpoint to the client.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{Patience, RequestBody, ready_soon, with_first};
use crate::net::pool::Lease;
use crate::policy::forward::prepare_response;
use crate::proxy::exchange::{Exchange, Expired};

/// A response body that streams from the endpoint. Owns the exchange: when it is dropped, the exchange is over.
#[derive(Debug)]
pub struct Download {
    first: Option<Result<Frame<Bytes>, DownloadError>>,
    incoming: Incoming,
    failed: bool,
    /// Nothing follows, though the endpoint is not at its end.
    ended: bool,
    lease: Option<Lease<RequestBody>>,
    exchange: Box<Exchange>,
}

impl Download {
    /// Streams `incoming`, then puts the connection back.
    pub fn new(incoming: Incoming, lease: Lease<RequestBody>, exchange: Box<Exchange>) -> Self {
        Self { first: None, incoming, failed: false, ended: false, lease: Some(lease), exchange }
    }

    /// Takes the first frame in if it is there already, so that head and body leave in one write.
    pub async fn prefetch(mut self) -> Self {
        if self.incoming.is_end_stream() {
            self.finish();
        } else {
            let first = ready_soon(&mut self.incoming).await;
            self.first = first.map(|frame| frame.map_err(DownloadError::Endpoint));
        }
        self
    }

    /// How long the rest of it is, where that is known.
    pub fn length(&self) -> Option<u64> {
        match self.incoming.is_end_stream() {
            true => Some(self.first.as_ref().and_then(|first| first.as_ref().ok()).map_or(0, data_len)),
            false => self.size_hint().exact(),
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        let next = ready!(self.poll_next(cx));
        match &next {
            Some(Ok(frame)) => self.pass(frame),
            Some(Err(_)) => {}
            None => self.finish(),
        }
        Poll::Ready(next)
    }

    pub(super) fn patience(&self) -> Patience {
        self.exchange.patience()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        with_first(self.incoming.size_hint(), self.first.as_ref())
    }

    /// A failure is told one turn late: when a body fails, the server library forgets what it has not flushed, and
    /// that may be the head. A client that gets nothing at all takes the request for one it may send again.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        match ready!(self.poll_endpoint(cx)) {
            Some(Err(failure)) if !self.failed => self.fail(cx, failure),
            Some(Ok(frame)) => Poll::Ready(Some(Ok(prepared(frame)))),
            next => Poll::Ready(next),
        }
    }

    /// The last frame of a response that stops early, and says so. Its connection is of no more use.
    fn end_with(&mut self, trailers: HeaderMap) -> Frame<Bytes> {
        self.ended = true;
        self.lease = None;
        // Else the endpoint would go on with a call that is over.
        self.exchange.stop_upload();
        Frame::trailers(trailers)
    }

    /// Says it the next time.
    pub(super) fn fail(
        &mut self,
        cx: &Context<'_>,
        failure: DownloadError,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        self.exchange.response_failed(&failure);
        self.failed = true;
        if let Some(trailers) = self.exchange.call_failed(&failure) {
            return Poll::Ready(Some(Ok(self.end_with(trailers))));
        }
        self.first = Some(Err(failure));
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_endpoint(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let Poll::Ready(next) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            let expired = ready!(self.exchange.poll_expired(cx));
            return Poll::Ready(Some(Err(DownloadError::TimedOut(expired))));
        };
        match next {
            None if self.is_cut_short() => Poll::Ready(Some(Err(DownloadError::CutShort))),
            next => Poll::Ready(next.map(|frame| frame.map_err(DownloadError::Endpoint))),
        }
    }

    /// The library takes a stream that was ended by RST_STREAM(NO_ERROR) for whole.
    fn is_cut_short(&self) -> bool {
        self.lease.as_ref().is_some_and(Lease::is_shared) && !self.incoming.is_end_stream()
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended || self.first.is_none() && self.incoming.is_end_stream()
    }

    fn pass(&mut self, frame: &Frame<Bytes>) {
        self.moved(data_len(frame));
        if let Some(trailers) = frame.trailers_ref().filter(|_| !self.ended) {
            self.exchange.trailers_moved(trailers);
        }
        if self.is_over() {
            self.finish();
        }
    }

    /// Something moved, of which so many bytes are the client's.
    pub(super) fn moved(&mut self, bytes: u64) {
        self.exchange.response_moved(bytes);
    }

    /// The response is whole. The connection can serve again once the request has left whole too; a request body
    /// that is still on its way keeps it busy, and then it is not put back.
    pub(super) fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            let now = self.exchange.complete();
            match self.exchange.upload_finished() {
                true => lease.put_back(now),
                false if lease.is_shared() => self.exchange.stop_upload(),
                false => {}
            }
        }
    }
}

/// What no head of a response says to a client, no trailers do.
fn prepared(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        prepare_response(trailers);
    }
    frame
}

fn data_len(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, Buf::remaining) as u64
}

/// Why a response body stopped early. The client must not take what it has for the whole.
#[derive(Debug)]
pub enum DownloadError {
    /// The endpoint closed early, or framed it wrongly.
    Endpoint(hyper::Error),
    /// The endpoint gave the response up before its end.
    CutShort,
    /// Nothing moved for the idle timeout, or the request took too long.
    TimedOut(Expired),
    /// It could not be compressed: there is no memory left.
    Compression(io::Error),
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(error) => write!(f, "the response ended early: {error}"),
            Self::CutShort => f.write_str("the endpoint gave the response up"),
            Self::Compression(error) => write!(f, "the response could not be compressed: {error}"),
            Self::TimedOut(_) => f.write_str("the response did not arrive in time"),
        }
    }
}

impl Error for DownloadError {}
