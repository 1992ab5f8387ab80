//! An endpoint that speaks HTTP/2 frame by frame, right or wrong.

use std::io::{Read, Write};

use super::Visit;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

/// END_STREAM, and ACK of SETTINGS and PING.
pub const END: u8 = 1;
const END_HEADERS: u8 = 4;

/// Error codes (RFC 9113 section 7).
pub const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;

/// One frame.
#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// One connection that the proxy made.
pub struct Peer<'a> {
    visit: &'a mut Visit,
}

impl<'a> Peer<'a> {
    /// Reads the preface and says its settings. `None` if the connection ends before.
    pub fn begin(visit: &'a mut Visit, settings: &[(u16, u32)]) -> Option<Self> {
        let mut preface = [0; 24];
        visit.reader.read_exact(&mut preface).ok()?;
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
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
        let mut head = [0; 9];
        self.visit.reader.read_exact(&mut head).ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        self.visit.reader.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes(head[5..9].try_into().expect("four bytes")) & 0x7fff_ffff;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
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
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
        self.visit.stream.write_all(&frame).is_ok()
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
