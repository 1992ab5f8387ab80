//! Sees what the HTTP library hides: a head with two Content-Length lines, or with one beside Transfer-Encoding.
//!
//! The library settles both by RFC 9112 section 6.3 and hands over a head in which they no longer show. Somebody
//! else on the path may settle them another way, which is how requests are smuggled, so such a head is refused. Only
//! line beginnings are looked at, in the bytes as they pass. A head that came in one read with the end of the request
//! before it (pipelining) is not looked at; the library's way holds there, and re-framing makes it safe.

/// Long enough for the longest name that is looked for, and its colon.
const PREFIX: usize = TRANSFER_ENCODING.len() + 1;
const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";

/// What is wrong with the framing of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// More than one Content-Length line, even equal ones.
    RepeatedLength,
    /// Content-Length and Transfer-Encoding.
    ConflictingLength,
}

/// How far the scan of one head has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeadScan {
    prefix: [u8; PREFIX],
    filled: usize,
    started: bool,
    ended: bool,
    lengths: u8,
    encodings: u8,
}

impl HeadScan {
    /// Looks at the next bytes of the head.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.ended {
            let Some(end) = memchr::memchr(b'\n', rest) else { return self.keep(rest) };
            self.line(&rest[..end]);
            rest = &rest[end + 1..];
        }
    }

    /// What was found so far.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        match (self.lengths, self.encodings) {
            (1.., 1..) => Some(Flaw::ConflictingLength),
            (2.., 0) => Some(Flaw::RepeatedLength),
            _ => None,
        }
    }

    /// The end of a line, whose beginning may have come with an earlier read.
    fn line(&mut self, line: &[u8]) {
        if self.filled == 0 {
            return self.classify(line);
        }
        self.keep(line);
        let (prefix, filled) = (self.prefix, self.filled);
        self.filled = 0;
        self.classify(&prefix[..filled]);
    }

    fn keep(&mut self, fragment: &[u8]) {
        let count = fragment.len().min(PREFIX - self.filled);
        self.prefix[self.filled..self.filled + count].copy_from_slice(&fragment[..count]);
        self.filled += count;
    }

    fn classify(&mut self, line: &[u8]) {
        match line {
            // The library skips empty lines before a request line.
            b"" | b"\r" => self.ended = self.started,
            [b'c' | b'C', ..] if names(line, CONTENT_LENGTH) => self.lengths = self.lengths.saturating_add(1),
            [b't' | b'T', ..] if names(line, TRANSFER_ENCODING) => {
                self.encodings = self.encodings.saturating_add(1)
            }
            _ => self.started = true,
        }
    }
}

fn names(line: &[u8], name: &[u8]) -> bool {
    line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(pieces: &[&str]) -> Option<Flaw> {
        let mut scan = HeadScan::default();
        pieces.iter().for_each(|piece| scan.feed(piece.as_bytes()));
        scan.flaw()
    }

    #[test]
    fn two_content_length_lines_are_seen_however_they_are_written() {
        let head = "\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\nhost: a\r\nCONTENT-length: 1\r\n\r\n";
        assert_eq!(scan(&[head]), Some(Flaw::RepeatedLength));
        assert_eq!(scan(&[&head.replace("\r\n", "\n")]), Some(Flaw::RepeatedLength));
    }

    #[test]
    fn a_flaw_is_seen_wherever_the_head_is_cut() {
        let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nhost: a\r\ncontent-length: 1\r\n\r\n";
        for cut in 0..head.len() {
            let (front, back) = head.split_at(cut);
            assert_eq!(scan(&[front, back]), Some(Flaw::ConflictingLength), "cut at {cut}");
        }
    }

    #[test]
    fn what_follows_the_head_is_not_looked_at() {
        let head =
            "POST / HTTP/1.1\r\ncontent-length: 40\r\n\r\ncontent-length: 1\r\ntransfer-encoding: x\r\n";
        assert_eq!(scan(&[head]), None);
        assert_eq!(scan(&["GET / HTTP/1.1\r\nx-content-length: 1\r\ncontent-length-x: 2\r\n\r\n"]), None);
    }
}
