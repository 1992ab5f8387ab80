//! Sees the frames of HTTP/2 in the bytes as they pass (RFC 9113 section 4.1). Only their heads are looked at: what the
//! library makes of them is its own affair.

use std::ops::ControlFlow;

/// Bytes of a frame's head.
const HEAD: usize = 9;

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) length: u32,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

/// The kinds that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    Data,
    Headers,
    Continuation,
    /// Any that carries nothing of a message.
    #[default]
    Control,
}

impl Frame {
    fn parse(head: [u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = head;
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            9 => Kind::Continuation,
            _ => Kind::Control,
        };
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        Self { length: u32::from_be_bytes([0, a, b, c]), kind, flags, stream }
    }

    /// Whether its header block goes on in the next frame.
    pub(super) fn leaves_block_open(self) -> bool {
        const END_HEADERS: u8 = 4;
        matches!(self.kind, Kind::Headers | Kind::Continuation) && self.flags & END_HEADERS == 0
    }
}

/// How far the frames of one direction have come.
#[derive(Debug, Default)]
pub(super) struct FrameScan {
    head: [u8; HEAD],
    filled: usize,
    /// Bytes of the current frame that are still to come.
    rest: u32,
    kind: Kind,
}

impl FrameScan {
    /// `first` bytes come before the first frame.
    pub(super) fn after(first: u32) -> Self {
        Self { rest: first, ..Self::default() }
    }

    /// Shows the frames that begin in `bytes` to `see`, until it breaks. How many of the bytes come before the frame at
    /// which it did; all of them if it did not.
    pub(super) fn feed(&mut self, bytes: &[u8], mut see: impl FnMut(Frame) -> ControlFlow<()>) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            at += self.pass(&bytes[at..]);
            let begins = at - self.filled.min(at);
            let taken = self.take_head(&bytes[at..]);
            at += taken;
            if self.whole_head().is_some_and(|frame| see(frame).is_break()) {
                return begins;
            }
        }
        bytes.len()
    }

    /// Whether something has begun that is to be read whole before anything comes of it: not the data of a message, which
    /// comes as it may.
    pub(super) fn is_within_head(&self) -> bool {
        self.filled > 0 || self.rest > 0 && self.kind != Kind::Data
    }

    /// Whether the next byte begins a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        self.filled == 0 && self.rest == 0
    }

    fn pass(&mut self, bytes: &[u8]) -> usize {
        let most = usize::try_from(self.rest).unwrap_or(usize::MAX);
        let count = bytes.len().min(most);
        self.rest -= u32::try_from(count).unwrap_or(self.rest);
        count
    }

    fn take_head(&mut self, bytes: &[u8]) -> usize {
        if self.rest > 0 {
            return 0;
        }
        let count = bytes.len().min(HEAD - self.filled);
        self.head[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        count
    }

    fn whole_head(&mut self) -> Option<Frame> {
        if self.filled < HEAD {
            return None;
        }
        let frame = Frame::parse(self.head);
        (self.filled, self.rest, self.kind) = (0, frame.length, frame.kind);
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn wire() -> Vec<u8> {
        let frames = [
            frame(4, 0, 0, &[]),
            frame(1, 0, 1, b"begin"),
            frame(9, 4, 1, b"end"),
            frame(0, 1, 1, b"data"),
            frame(6, 0, 0, &[0; 8]),
        ];
        [&b"PRI"[..], &frames.concat()].concat()
    }

    fn kinds(pieces: &[&[u8]]) -> Vec<(Kind, u32, u32)> {
        let (mut scan, mut seen) = (FrameScan::after(3), Vec::new());
        for piece in pieces {
            let passed = scan.feed(piece, |frame| {
                seen.push((frame.kind, frame.stream, frame.length));
                ControlFlow::Continue(())
            });
            assert_eq!(passed, piece.len());
        }
        assert!(scan.is_between_frames());
        seen
    }

    #[test]
    fn every_frame_is_seen_wherever_the_bytes_are_cut() {
        let wire = wire();
        let expected = [
            (Kind::Control, 0, 0),
            (Kind::Headers, 1, 5),
            (Kind::Continuation, 1, 3),
            (Kind::Data, 1, 4),
            (Kind::Control, 0, 8),
        ];
        for cut in 0..wire.len() {
            let (front, back) = wire.split_at(cut);
            assert_eq!(kinds(&[front, back]), expected, "cut at {cut}");
        }
        assert_eq!(kinds(&wire.chunks(1).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn what_is_refused_begins_where_it_is_said_to() {
        let wire = wire();
        let mut scan = FrameScan::after(3);
        let at = scan.feed(&wire, |frame| match frame.kind {
            Kind::Continuation => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        assert_eq!(&wire[at..][..4], &[0, 0, 3, 9]);
    }

    #[test]
    fn a_block_is_open_until_it_says_that_it_ends() {
        let mut open = Vec::new();
        FrameScan::after(3).feed(&wire(), |frame| {
            open.push(frame.leaves_block_open());
            ControlFlow::Continue(())
        });
        assert_eq!(open, [false, true, false, false, false]);
    }

    #[test]
    fn half_a_frame_is_waited_for_unless_it_is_data() {
        for (kind, waited) in [(0, false), (1, true), (6, true)] {
            let mut scan = FrameScan::default();
            let bytes = frame(kind, 0, 1, b"payload");
            let see = |_| ControlFlow::Continue(());
            scan.feed(&bytes[..5], see);
            assert!(scan.is_within_head() && !scan.is_between_frames());
            scan.feed(&bytes[5..12], see);
            assert_eq!(scan.is_within_head(), waited);
            scan.feed(&bytes[12..], see);
            assert!(!scan.is_within_head() && scan.is_between_frames());
        }
    }

    #[test]
    fn the_reserved_bit_is_no_part_of_the_stream() {
        let mut scan = FrameScan::default();
        scan.feed(&frame(0, 0, u32::MAX, b""), |frame| {
            assert_eq!(frame.stream, u32::MAX >> 1);
            ControlFlow::Continue(())
        });
    }
}
