//! One HTTP/1 message as it stood on the wire.

use std::io::{self, BufRead, BufReader, Read};
use std::net::TcpStream;

/// A request or a response, read to its end.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Start line and headers, up to and without the empty line.
    pub head: String,
    /// With the chunked framing taken off.
    pub body: Vec<u8>,
    /// Trailer lines, where there were any.
    pub trailers: Vec<String>,
    /// Whether the connection ended before the message did.
    pub truncated: bool,
}

/// Where the body of a message ends.
enum Framing {
    None,
    Length(u64),
    Chunked,
    Close,
}

impl Message {
    /// The first line.
    pub fn start_line(&self) -> &str {
        self.head.lines().next().unwrap_or("")
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        let word = self.start_line().split(' ').nth(1).unwrap_or("");
        word.parse().unwrap_or_else(|_| panic!("no status in {:?}", self.head))
    }

    /// Every value of a header, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The value of a header that stands there once at most.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} stands there more than once in {}", self.head);
        all.first().copied()
    }

    /// `x-tillgate-reason`, or nothing.
    pub fn reason(&self) -> &str {
        self.header("x-tillgate-reason").unwrap_or("")
    }

    /// The method and the target of a request, as in `GET /path`.
    pub fn asks(&self) -> &str {
        self.start_line().rsplit_once(' ').map_or("", |(asked, _)| asked)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Reads a request. `None` if the connection ends before one begins.
    pub fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let head = read_head(stream)?;
        let mut message = Self { head, ..Self::default() };
        let framing = message.declared().unwrap_or(Framing::None);
        message.read_body(stream, &framing);
        Some(message)
    }

    /// Reads a request's head only.
    pub fn read_request_head(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        Some(Self { head: read_head(stream)?, ..Self::default() })
    }

    /// Reads the response to a request of `method`. `None` if the connection ends before one begins.
    pub fn read_response(stream: &mut BufReader<TcpStream>, method: &str) -> Option<Self> {
        let mut message = Self { head: read_head(stream)?, ..Self::default() };
        let bare = method == "HEAD" || matches!(message.status(), 100..=199 | 204 | 304);
        let framing = if bare { Framing::None } else { message.declared().unwrap_or(Framing::Close) };
        message.read_body(stream, &framing);
        Some(message)
    }

    /// Reads one chunk of a body without trailers. `None` for the last one.
    pub fn read_chunk(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
        let line = read_line(stream).expect("the size of a chunk");
        let size = u64::from_str_radix(&line, 16).expect("a size");
        let mut chunk = Self::default();
        chunk.read_exactly(stream, size).expect("a chunk");
        assert_eq!(read_line(stream).expect("its end"), "");
        (size > 0).then_some(chunk.body)
    }

    fn declared(&self) -> Option<Framing> {
        if self.all("transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked")) {
            return Some(Framing::Chunked);
        }
        let length = self.header("content-length")?;
        Some(Framing::Length(length.parse().unwrap_or_else(|_| panic!("content-length: {length}"))))
    }

    fn read_body(&mut self, stream: &mut BufReader<TcpStream>, framing: &Framing) {
        let read = match framing {
            Framing::None => Ok(()),
            Framing::Close => stream.read_to_end(&mut self.body).map(drop),
            Framing::Length(length) => self.read_exactly(stream, *length),
            Framing::Chunked => self.read_chunks(stream),
        };
        if let Err(error) = read {
            assert!(!is_timeout(&error), "waited in vain for the rest of a body: {self:?}");
            self.truncated = true;
        }
    }

    fn read_exactly(&mut self, stream: &mut BufReader<TcpStream>, length: u64) -> io::Result<()> {
        let read = stream.take(length).read_to_end(&mut self.body)? as u64;
        if read == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn read_chunks(&mut self, stream: &mut BufReader<TcpStream>) -> io::Result<()> {
        loop {
            let line = read_line(stream)?;
            let size = line.split(';').next().unwrap_or("").trim();
            let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                return self.read_trailers(stream);
            }
            self.read_exactly(stream, size)?;
            if !read_line(stream)?.is_empty() {
                return Err(io::Error::other("a chunk is longer than it says"));
            }
        }
    }

    fn read_trailers(&mut self, stream: &mut BufReader<TcpStream>) -> io::Result<()> {
        loop {
            let line = read_line(stream)?;
            if line.is_empty() {
                return Ok(());
            }
            self.trailers.push(line);
        }
    }
}

/// Whether nothing arrived within the deadline of a socket; an end or a reset is something else.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A line without its end, which must be there.
fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn read_head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_until(b'\n', &mut head) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if head.is_empty() && !is_timeout(&error) => return None,
            Err(error) => panic!("no whole head: {error}; so far {:?}", String::from_utf8_lossy(&head)),
        }
    }
    head.truncate(head.len() - 4);
    Some(String::from_utf8_lossy(&head).into_owned())
}
