//! An HTTP/2 client that sends exactly the frames it is given (RFC 9113 section 4, RFC 7541 without compression).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::DEADLINE;
use super::message::is_timeout;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const INTERNAL_ERROR: u32 = 2;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame as it stood on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM, and of GOAWAY.
    pub fn code(&self) -> u32 {
        number(&self.payload, if self.kind == GOAWAY { 4 } else { 0 })
    }

    /// The last stream that a GOAWAY names.
    pub fn last_stream(&self) -> u32 {
        number(&self.payload, 0)
    }

    /// The status that the HEADERS of a response begin with.
    pub fn status(&self) -> u16 {
        // The first block says that its table has been made smaller.
        let block = self.payload.strip_prefix(&[0x20]).unwrap_or(&self.payload);
        match block[0] {
            0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(block[0] - 0x88)],
            // As a literal, by the name of any of them.
            0x08..=0x0e | 0x48..=0x4e => digits(&block[2..], block[1]),
            other => panic!("no status at the beginning: {other:#x}"),
        }
    }

    /// Whether nothing follows it on its stream.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0 || self.kind == RST_STREAM
    }
}

/// Three digits in Huffman's code (RFC 7541 appendix B), or as they are.
fn digits(bytes: &[u8], length: u8) -> u16 {
    if length & 0x80 == 0 {
        return std::str::from_utf8(&bytes[..3]).expect("digits").parse().expect("a status");
    }
    let mut bits =
        bytes.iter().take(usize::from(length & 0x7f)).fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
    let mut left = 8 * u32::from(length & 0x7f);
    bits <<= 32 - left;
    let mut number = 0;
    while left >= 5 && number < 100 {
        // 0 to 2 have five bits, 3 to 9 six, from 011001 on.
        let (digit, width) = match bits >> 27 {
            short @ 0..=2 => (short, 5),
            _ => ((bits >> 26) - 0x19 + 3, 6),
        };
        number = number * 10 + u16::try_from(digit).expect("a digit");
        bits <<= width;
        left -= width;
    }
    number
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Reads one frame.
pub fn read(from: &mut impl Read) -> io::Result<Frame> {
    let mut head = [0; 9];
    from.read_exact(&mut head)?;
    let length = number(&[0, head[0], head[1], head[2]], 0);
    let mut payload = vec![0; usize::try_from(length).expect("short")];
    from.read_exact(&mut payload)?;
    Ok(Frame { kind: head[3], flags: head[4], stream: number(&head, 5) & 0x7fff_ffff, payload })
}

/// A field of a header block, neither indexed nor compressed.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("short");
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// The header block of a request to `shop.example`, with more fields after its own.
pub fn block(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "shop.example")];
    own.iter().chain(more).flat_map(|(name, value)| field(name, value)).collect()
}

/// The HEADERS of a GET without a body.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, block("GET", path, &[]))
}

/// The HEADERS of a POST whose body follows.
pub fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, block("POST", path, &[]))
}

/// RST_STREAM.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, code.to_be_bytes())
}

/// WINDOW_UPDATE; of the connection for stream 0.
pub fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, more.to_be_bytes())
}

/// One connection.
pub struct Frames {
    stream: TcpStream,
}

impl Frames {
    /// Connects and begins, with the settings that a client has who says nothing of them.
    pub fn connect(address: SocketAddr) -> Self {
        Self::with(address, &[])
    }

    /// Connects and begins with these settings.
    pub fn with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        // Without a table, each status stands there as it is.
        const HEADER_TABLE_SIZE: (u16, u32) = (1, 0);
        let settings: Vec<u8> = std::iter::once(&HEADER_TABLE_SIZE)
            .chain(settings)
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        let mut frames = Self::silent(address);
        frames.send(PREFACE).send(frame(SETTINGS, 0, 0, settings));
        frames
    }

    /// Takes the server's settings over: from here on, its windows are as large as it says.
    pub fn settled(mut self) -> Self {
        self.next_of(SETTINGS).expect("settings");
        self.send(frame(SETTINGS, ACK, 0, []));
        self
    }

    /// Connects, and says nothing.
    pub fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("connect");
        stream.set_read_timeout(Some(DEADLINE)).expect("read timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("write timeout");
        stream.set_nodelay(true).expect("nodelay");
        Self { stream }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("send");
        self
    }

    /// Sends bytes, and does not mind if the other side has closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The next frame; nothing at the end of the connection, or where it is reset.
    pub fn next(&mut self) -> Option<Frame> {
        let read = read(&mut self.stream);
        if let Err(error) = &read {
            assert!(!is_timeout(error), "waited in vain for a frame");
        }
        read.ok()
    }

    /// The next frame of this kind; those before it are dropped.
    pub fn next_of(&mut self, kind: u8) -> Option<Frame> {
        std::iter::from_fn(|| self.next()).find(|frame| frame.kind == kind)
    }

    /// The next frame on this stream that has a part of an answer, or ends it.
    pub fn next_on(&mut self, stream: u32) -> Option<Frame> {
        let answers =
            |frame: &Frame| frame.stream == stream && matches!(frame.kind, DATA | HEADERS | RST_STREAM);
        std::iter::from_fn(|| self.next()).find(answers)
    }

    /// The status of the answer on this stream, which is read to its end.
    pub fn status(&mut self, stream: u32) -> u16 {
        let head = self.next_on(stream).expect("an answer, not the end of the connection");
        assert_eq!(head.kind, HEADERS, "{head:?}");
        if !head.ends_stream() {
            while !self.next_on(stream).expect("the rest of an answer").ends_stream() {}
        }
        head.status()
    }

    /// The same, with the rest of the answer left unread.
    pub fn status_of_head(&mut self, stream: u32) -> u16 {
        let head = self.next_on(stream).expect("an answer, not the end of the connection");
        assert_eq!(head.kind, HEADERS, "{head:?}");
        head.status()
    }

    /// The GOAWAY that the connection ends with; nothing where it ends without one.
    pub fn goodbye(&mut self) -> Option<Frame> {
        std::iter::from_fn(|| self.next()).filter(|frame| frame.kind == GOAWAY).last()
    }

    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}
