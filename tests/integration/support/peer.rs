//! An endpoint that speaks HTTP/2 frame by frame, right or wrong.

use std::io::{Read, Write};

use super::Visit;
use super::frames::{self, END_HEADERS, Frame, PREFACE};
pub use super::frames::{
    CANCEL, DATA, GOAWAY, HEADERS, INTERNAL_ERROR, NO_ERROR, PING, RST_STREAM, SETTINGS,
};

/// END_STREAM, and ACK of SETTINGS and PING.
pub const END: u8 = 1;
/// RFC 9113 section 7.
pub const REFUSED_STREAM: u32 = 7;

/// One connection that the proxy made.
pub struct Peer<'a> {
    visit: &'a mut Visit,
}

impl<'a> Peer<'a> {
    /// Reads the preface and says its settings. `None` if the connection ends before.
    pub fn begin(visit: &'a mut Visit, settings: &[(u16, u32)]) -> Option<Self> {
        let mut preface = [0; 24];
        visit.reader.read_exact(&mut preface).ok()?;
        assert_eq!(preface, PREFACE);
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        let mut peer = Self { visit };
        peer.send(SETTINGS, 0, 0, &settings);
        Some(peer)
    }

    /// The next frame of any kind, or the end of the connection.
    pub fn frame(&mut self) -> Option<Frame> {
        frames::read(&mut self.visit.reader).ok()
    }

    /// The next frame of this kind. SETTINGS and PING are acknowledged on the way.
    pub fn next(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.frame()?;
            if matches!(frame.kind, SETTINGS | PING) && frame.flags & END == 0 {
                let answer = if frame.kind == PING { frame.payload.clone() } else { Vec::new() };
                self.send(frame.kind, END, 0, &answer);
            }
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// The stream of the next request.
    pub fn request(&mut self) -> Option<u32> {
        self.next(HEADERS).map(|frame| frame.stream)
    }

    /// Writes a frame. Whether it could be written.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.visit.stream.write_all(&frames::frame(kind, flags, stream, payload)).is_ok()
    }

    /// A head of status 200.
    pub fn head(&mut self, stream: u32, flags: u8) -> bool {
        self.send(HEADERS, END_HEADERS | flags, stream, &[0x88])
    }

    /// A whole response: 200, `ok`.
    pub fn answer(&mut self, stream: u32) -> bool {
        self.head(stream, 0) && self.send(DATA, END, stream, b"ok")
    }

    /// RST_STREAM.
    pub fn reset(&mut self, stream: u32, code: u32) -> bool {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes())
    }

    /// GOAWAY: streams above `last` were not looked at.
    pub fn go_away(&mut self, last: u32, code: u32) -> bool {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
    }
}
