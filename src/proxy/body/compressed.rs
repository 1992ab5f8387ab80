//! A response body that is compressed on its way to the client.
//!
//! Nothing is read ahead: the endpoint is asked for more when the client's side asks. What the endpoint has said goes out
//! when it pauses, so that a slow stream is not held back; while it does not, only what the algorithm gives by itself.

use std::io;
use std::mem;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::Patience;
use super::download::{Download, DownloadError};
use super::encoder::Encoder;
use crate::config::{Coding, Levels};
use crate::policy::compress::strip_digests;
use crate::snapshot::Compressing;

/// Bytes that are compressed before the client gets what came of them.
const SLICE: usize = 16 << 10;
/// Bytes that are compressed before other tasks of the worker have their turn.
const TURN: usize = 64 << 10;

/// What is polled for, and what comes of it.
type Next = Poll<Option<Result<Frame<Bytes>, DownloadError>>>;

/// A [`Download`] and its compressor.
#[derive(Debug)]
pub struct Compressed {
    download: Download,
    stage: Stage,
    /// From the endpoint, and not compressed yet.
    rest: Bytes,
    /// Bytes compressed in this turn.
    turn: usize,
    place: Compressing,
}

#[derive(Debug)]
enum Stage {
    /// Nothing has come yet: a stream that is silent for long holds no memory.
    Before(Coding, Levels, Option<u64>),
    Streaming(Encoder, Pause),
    /// The body has gone out whole.
    Trailers(HeaderMap),
    Over,
    /// It has failed, which the download is about to say.
    Broken,
}

/// How far a pause of the endpoint has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// There is something that the client cannot read yet.
    None,
    /// Nothing came, but the task that reads may only have to have its turn.
    Begun,
    /// The client can read everything.
    Flushed,
}

impl Compressed {
    /// How long the client may leave it.
    pub(super) fn patience(&self) -> Patience {
        self.download.patience()
    }

    /// Compresses what comes of `download`.
    pub fn new(download: Download, coding: Coding, levels: Levels, place: Compressing) -> Self {
        let stage = Stage::Before(coding, levels, download.length());
        Self { download, stage, rest: Bytes::new(), turn: 0, place }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Next {
        loop {
            let next = if self.rest.is_empty() { self.ask(cx) } else { self.go_on(cx) };
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// Has the endpoint say more. `None` where it has.
    fn ask(&mut self, cx: &mut Context<'_>) -> Option<Next> {
        match &mut self.stage {
            Stage::Over => return Some(Poll::Ready(None)),
            Stage::Trailers(trailers) => {
                let trailers = Frame::trailers(mem::take(trailers));
                self.finish();
                return Some(Poll::Ready(Some(Ok(trailers))));
            }
            Stage::Before(..) | Stage::Streaming(..) | Stage::Broken => {}
        }
        Some(match self.download.poll_next(cx) {
            Poll::Pending => self.pause(cx),
            Poll::Ready(None) => self.end(cx, None),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => return self.take_in(data),
                Err(frame) => self.end(cx, frame.into_trailers().ok()),
            },
        })
    }

    /// Compresses some of what is here. `None` where nothing has come of it yet.
    fn go_on(&mut self, cx: &Context<'_>) -> Option<Next> {
        if self.turn >= TURN {
            return Some(self.yield_turn(cx));
        }
        match self.compress() {
            Ok(out) if out.is_empty() => None,
            Ok(out) => Some(self.pass(out)),
            Err(error) => Some(self.fail(cx, error)),
        }
    }

    fn take_in(&mut self, data: Bytes) -> Option<Next> {
        self.place.bytes_in += data.len() as u64;
        // The endpoint is not idle, whether anything comes of it for the client or not.
        self.download.moved(0);
        self.rest = data;
        None
    }

    /// Compresses the next slice of what there is.
    fn compress(&mut self) -> io::Result<Bytes> {
        let slice = self.rest.split_to(self.rest.len().min(SLICE));
        self.turn += slice.len();
        let (encoder, pause) = self.encoder()?;
        encoder.write(&slice)?;
        *pause = Pause::None;
        Ok(encoder.take())
    }

    /// The compressor, from its first use on.
    fn encoder(&mut self) -> io::Result<(&mut Encoder, &mut Pause)> {
        if let Stage::Before(coding, levels, length) = self.stage {
            self.stage = Stage::Streaming(Encoder::new(coding, levels, length)?, Pause::Flushed);
        }
        match &mut self.stage {
            Stage::Streaming(encoder, pause) => Ok((encoder, pause)),
            Stage::Before(..) | Stage::Trailers(_) | Stage::Over | Stage::Broken => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
    }

    /// Nothing comes. After one more turn of the tasks that are ready to run, in which the one that reads from the
    /// endpoint hands over what is there, the client gets all that was said so far.
    fn pause(&mut self, cx: &Context<'_>) -> Next {
        self.turn = 0;
        let Stage::Streaming(encoder, pause) = &mut self.stage else { return Poll::Pending };
        match *pause {
            Pause::Flushed => Poll::Pending,
            Pause::None => {
                *pause = Pause::Begun;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Pause::Begun => {
                *pause = Pause::Flushed;
                let flushed = encoder.flush();
                match flushed.map(|()| encoder.take()) {
                    Ok(out) if out.is_empty() => Poll::Pending,
                    Ok(out) => self.pass(out),
                    Err(error) => self.fail(cx, error),
                }
            }
        }
    }

    /// Lets the others of this worker have their turn.
    fn yield_turn(&mut self, cx: &Context<'_>) -> Next {
        self.turn = 0;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The endpoint has said everything. Of the trailers, those that fit what the client gets go with it.
    fn end(&mut self, cx: &Context<'_>, trailers: Option<HeaderMap>) -> Next {
        if let Err(error) = self.encoder() {
            return self.fail(cx, error);
        }
        let Stage::Streaming(encoder, _) = mem::replace(&mut self.stage, Stage::Over) else {
            return Poll::Ready(None);
        };
        let out = match encoder.finish() {
            Ok(out) => out,
            Err(error) => return self.fail(cx, error),
        };
        match trailers {
            None => self.finish(),
            Some(mut trailers) => {
                strip_digests(&mut trailers);
                self.stage = Stage::Trailers(trailers);
            }
        }
        self.pass(out)
    }

    fn pass(&mut self, out: Bytes) -> Next {
        self.place.bytes_out += out.len() as u64;
        self.download.moved(out.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(out))))
    }

    fn finish(&mut self) {
        self.stage = Stage::Over;
        self.download.finish();
    }

    /// What the client has is no whole stream, and it is told so.
    fn fail(&mut self, cx: &Context<'_>, error: io::Error) -> Next {
        self.rest.clear();
        self.stage = Stage::Broken;
        self.download.fail(cx, DownloadError::Compression(error))
    }
}
