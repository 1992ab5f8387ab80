//! A connection that speaks HTTP/2: how long it may wait, and how much of nothing it may send.
//!
//! The library bounds what is in a stream: header lists, CONTINUATION and DATA frames, streams reset by mistakes. Here is
//! bounded what it answers or passes over without end, and a connection that does too much of it is ended with a GOAWAY
//! that says so.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::frames::{Frame, FrameScan, Kind};
use crate::policy::flood::{Allowance, Flood};

/// Bytes before the first frame of a client.
const PREFACE: u32 = 24;
/// A SETTINGS frame may have thousands of entries: so many bytes cost as much as one frame.
const BYTES_PER_FRAME: u32 = 64;

/// Why Tillgate ended a connection that could have gone on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It had no request for too long.
    Idle,
    /// A header block was not finished in time.
    HeaderTimeout,
    /// The client sent too much of what asks for nothing.
    Flood(Flood),
}

impl Ended {
    /// The code of the GOAWAY (RFC 9113 section 7).
    fn code(self) -> u32 {
        const NO_ERROR: u32 = 0;
        const ENHANCE_YOUR_CALM: u32 = 11;
        match self {
            Self::Idle => NO_ERROR,
            Self::HeaderTimeout | Self::Flood(_) => ENHANCE_YOUR_CALM,
        }
    }

    /// Its debug data.
    fn words(self) -> &'static [u8] {
        match self {
            Self::Idle => b"idle",
            Self::HeaderTimeout => b"header block not finished in time",
            Self::Flood(Flood::ControlFrames) => b"too many control frames",
            Self::Flood(Flood::CancelledRequests) => b"too many cancelled requests",
        }
    }
}

/// What is kept of a connection that speaks HTTP/2.
#[derive(Debug)]
pub(super) struct Http2 {
    /// Requests that run now.
    open: Cell<u32>,
    allowance: Cell<Allowance>,
    incoming: RefCell<Incoming>,
    outgoing: RefCell<FrameScan>,
    /// Until when it may be without a request, if it is.
    idle_until: Cell<Option<Instant>>,
    ended: Cell<Option<Ended>>,
}

/// The client's side.
#[derive(Debug)]
struct Incoming {
    scan: FrameScan,
    /// A header block has begun and not ended.
    block_open: bool,
    /// Whether anything has come.
    begun: bool,
    /// Frames and header blocks that have begun.
    count: u32,
    /// The last stream that the client opened, as far as the library knows.
    last_stream: u32,
}

/// What the deadline of a connection is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// As it was.
    Unchanged,
    /// A header block or a control frame has begun.
    ForHead,
    /// It is whole again.
    HeadIsWhole,
}

impl Http2 {
    pub(super) fn new(now: Instant) -> Self {
        let scan = FrameScan::after(PREFACE);
        Self {
            open: Cell::new(0),
            allowance: Cell::new(Allowance::new(now)),
            incoming: RefCell::new(Incoming {
                scan,
                block_open: false,
                begun: false,
                count: 0,
                last_stream: 0,
            }),
            outgoing: RefCell::default(),
            idle_until: Cell::new(None),
            ended: Cell::new(None),
        }
    }

    pub(super) fn request_started(&self) {
        self.open.set(self.open.get() + 1);
        self.idle_until.set(None);
    }

    /// Whether it was the last one that ran. It has lasted so long, and was answered or not.
    pub(super) fn request_over(&self, answered: bool, after: Duration, now: Instant) -> bool {
        let mut allowance = self.allowance.get();
        match answered {
            true => allowance.answered(),
            false => self.note(allowance.cancelled(after, now)),
        }
        self.allowance.set(allowance);
        self.open.set(self.open.get() - 1);
        self.open.get() == 0
    }

    pub(super) fn idles_until(&self, until: Instant) {
        self.idle_until.set(Some(until));
    }

    pub(super) fn idle_until(&self) -> Option<Instant> {
        self.idle_until.get()
    }

    /// Whether something is awaited that has begun, other than data.
    pub(super) fn is_within_head(&self) -> bool {
        self.incoming.borrow().is_within_head()
    }

    pub(super) fn end(&self, why: Ended) {
        self.ended.set(self.ended.get().or(Some(why)));
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended.get()
    }

    /// Whether the library is to read no more: it is told at a frame's end, or it would take the rest for lost.
    pub(super) fn reads_no_more(&self) -> bool {
        self.ended.get().is_some() && self.incoming.borrow().scan.is_between_frames()
    }

    /// Bytes of the client. How many of them the library may have, and what is waited for now.
    pub(super) fn received(&self, bytes: &[u8], now: Instant) -> (usize, Wait) {
        let mut incoming = self.incoming.borrow_mut();
        let before = incoming.is_within_head().then_some(incoming.count);
        let allowed = incoming.feed(bytes, |frame| self.allow(frame, now));
        let wait = match (before, incoming.is_within_head().then_some(incoming.count)) {
            (Some(_), None) => Wait::HeadIsWhole,
            (before, Some(after)) if before != Some(after) => Wait::ForHead,
            _ => Wait::Unchanged,
        };
        (allowed, wait)
    }

    /// Bytes that have left.
    pub(super) fn sent(&self, bytes: &[u8]) {
        let mut allowance = self.allowance.get();
        self.outgoing.borrow_mut().feed(bytes, |frame| {
            let answers = frame.kind == Kind::Headers || frame.kind == Kind::Data && frame.length > 0;
            if answers {
                allowance.answer_frame();
            }
            ControlFlow::Continue(())
        });
        self.allowance.set(allowance);
    }

    /// The GOAWAY to end with, where the library does not know that it ends.
    pub(super) fn goodbye(&self) -> Option<Vec<u8>> {
        let ended = self.ended.get()?;
        let (stream, words) = (self.incoming.borrow().last_stream, ended.words());
        let length = u32::try_from(8 + words.len()).ok()?.to_be_bytes();
        let head = [length[1], length[2], length[3], 7, 0, 0, 0, 0, 0];
        Some([&head[..], &stream.to_be_bytes(), &ended.code().to_be_bytes(), words].concat())
    }

    fn allow(&self, frame: Frame, now: Instant) -> ControlFlow<()> {
        if frame.kind == Kind::Control {
            let mut allowance = self.allowance.get();
            self.note(allowance.control_frame(1 + frame.length / BYTES_PER_FRAME, now));
            self.allowance.set(allowance);
        }
        if self.ended.get().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn note(&self, outcome: Result<(), Flood>) {
        if let Err(flood) = outcome {
            self.end(Ended::Flood(flood));
        }
    }
}

impl Incoming {
    fn feed(&mut self, bytes: &[u8], mut allow: impl FnMut(Frame) -> ControlFlow<()>) -> usize {
        self.begun |= !bytes.is_empty();
        let Self { scan, block_open, count, last_stream, .. } = self;
        scan.feed(bytes, |frame| {
            allow(frame)?;
            if frame.kind == Kind::Headers {
                *last_stream = frame.stream.max(*last_stream);
            }
            if frame.kind != Kind::Continuation {
                *count = count.wrapping_add(1);
            }
            *block_open = frame.leaves_block_open();
            ControlFlow::Continue(())
        })
    }

    fn is_within_head(&self) -> bool {
        self.begun && (self.block_open || self.scan.is_within_head())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    /// HEADERS of stream 3 whose block goes on.
    const OPEN: [u8; 9] = [0, 0, 0, 1, 0, 0, 0, 0, 3];
    const CONTINUED: [u8; 9] = [0, 0, 0, 9, 0, 0, 0, 0, 3];
    const CLOSED: [u8; 9] = [0, 0, 0, 9, 4, 0, 0, 0, 3];

    fn begun(now: Instant) -> Http2 {
        let http2 = Http2::new(now);
        assert_eq!(http2.received(&[0; 24], now), (24, Wait::Unchanged));
        http2
    }

    #[test]
    fn a_header_block_is_waited_for_from_its_first_byte_to_its_last() {
        let now = Instant::now();
        let http2 = begun(now);
        assert_eq!(http2.received(&OPEN, now).1, Wait::ForHead);
        assert_eq!(http2.received(&CONTINUED, now).1, Wait::Unchanged, "it wins no time");
        assert_eq!(http2.received(&CLOSED, now).1, Wait::HeadIsWhole);
        let next = [&OPEN[..], &CLOSED, &OPEN].concat();
        assert_eq!(http2.received(&OPEN, now).1, Wait::ForHead);
        assert_eq!(http2.received(&[&CLOSED[..], &next].concat(), now).1, Wait::ForHead, "another one");
    }

    #[test]
    fn before_anything_has_come_nothing_has_begun() {
        let now = Instant::now();
        let http2 = Http2::new(now);
        assert!(!http2.is_within_head());
        assert_eq!(http2.received(b"PRI", now).1, Wait::ForHead);
    }

    #[test]
    fn a_flood_of_pings_is_cut_before_the_frame_that_is_one_too_many() {
        let now = Instant::now();
        let http2 = begun(now);
        let (allowed, _) = http2.received(&PING.repeat(1500), now);
        assert_eq!(allowed, 1000 * PING.len());
        assert_eq!(http2.ended(), Some(Ended::Flood(Flood::ControlFrames)));
    }

    #[test]
    fn answers_pay_for_control_frames() {
        let now = Instant::now();
        let http2 = begun(now);
        for _ in 0..2000 {
            assert_eq!(http2.received(&PING, now).0, PING.len());
            http2.sent(&[0, 0, 1, 0, 0, 0, 0, 0, 1, b'x']);
        }
        assert_eq!(http2.ended(), None);
        http2.sent(&PING.repeat(1000));
        http2.received(&PING.repeat(1001), now);
        assert!(http2.ended().is_some(), "what is no answer pays for nothing");
    }

    #[test]
    fn the_goodbye_names_the_last_stream_and_why() {
        let now = Instant::now();
        let http2 = begun(now);
        assert_eq!(http2.goodbye(), None);
        http2.received(&[&OPEN[..], &CLOSED].concat(), now);
        http2.end(Ended::HeaderTimeout);
        let goodbye = http2.goodbye().expect("it has ended");
        assert_eq!(goodbye[..17], [0, 0, 41, 7, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 11]);
        assert_eq!(&goodbye[17..], b"header block not finished in time");
    }

    #[test]
    fn cancelled_requests_end_it_and_answered_ones_do_not() {
        let now = Instant::now();
        let http2 = begun(now);
        for _ in 0..1000 {
            http2.request_started();
            assert!(http2.request_over(true, Duration::ZERO, now));
        }
        assert_eq!(http2.ended(), None);
        for _ in 0..257 {
            http2.request_started();
            http2.request_over(false, Duration::ZERO, now);
        }
        assert_eq!(http2.ended(), Some(Ended::Flood(Flood::CancelledRequests)));
    }
}
