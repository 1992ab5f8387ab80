//! What a client is told when the HTTP library refuses a head before any handler sees it.
//!
//! The library answers such a head itself, with a bare status and no hook to add to it. Every response that Tillgate
//! hands to the library carries a `date` or an `x-tillgate-reason`, so a write that is exactly the library's bare
//! answer can only be its own, and is replaced by one that says why.

use bytes::Bytes;
use http::StatusCode;

use crate::policy::reason::Reason;

/// Sent when a head does not arrive within its time.
pub(super) const REQUEST_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\
    cache-control: no-store\r\ncontent-type: text/plain\r\ncontent-length: 48\r\nx-tillgate-reason: header_timeout\r\n\r\n\
    The request head did not arrive within its time\n";

const MALFORMED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
    cache-control: no-store\r\ncontent-type: text/plain\r\ncontent-length: 42\r\nx-tillgate-reason: malformed_request\r\n\r\n\
    The request head is not well-formed HTTP.\n";

const HEADERS_TOO_LARGE: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
    cache-control: no-store\r\ncontent-type: text/plain\r\ncontent-length: 49\r\nx-tillgate-reason: headers_too_large\r\n\r\n\
    The request head is larger than this one may be.\n";

const URI_TOO_LONG: &[u8] = b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\n\
    cache-control: no-store\r\ncontent-type: text/plain\r\ncontent-length: 50\r\nx-tillgate-reason: uri_too_long\r\n\r\n\
    The request target is longer than this one may be.";

/// Why [`REQUEST_TIMEOUT`] is sent.
pub(super) const HEADER_TIMEOUT: Reason = Reason::BadRequest("header_timeout", StatusCode::REQUEST_TIMEOUT);

struct Replacement {
    /// The library's answer, byte for byte; a test holds it to the version in use.
    bare: &'static [u8],
    answer: &'static [u8],
    reason: Reason,
}

const REPLACEMENTS: [Replacement; 3] = [
    Replacement {
        bare: b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        answer: MALFORMED,
        reason: Reason::BadRequest("malformed_request", StatusCode::BAD_REQUEST),
    },
    Replacement {
        bare:
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        answer: HEADERS_TOO_LARGE,
        reason: Reason::BadRequest("headers_too_large", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    },
    Replacement {
        bare: b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        answer: URI_TOO_LONG,
        reason: Reason::BadRequest("uri_too_long", StatusCode::URI_TOO_LONG),
    },
];

/// No bare answer is longer, so a longer write is not looked at.
const LONGEST: usize = 96;

/// An answer on its way out.
#[derive(Debug)]
pub(super) struct Answer(Bytes);

impl Answer {
    /// All of it.
    pub(super) fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// What is still to be written, if anything is.
    pub(super) fn rest(&self) -> Option<Bytes> {
        (!self.0.is_empty()).then(|| self.0.clone())
    }

    pub(super) fn advance(&mut self, count: usize) {
        drop(self.0.split_to(count));
    }
}

/// The answer to write in the place of `bytes`, and why, if `bytes` is a bare answer of the library.
pub(super) fn replacement(bytes: &[u8]) -> Option<(Answer, Reason)> {
    if bytes.len() > LONGEST {
        return None;
    }
    let found = REPLACEMENTS.iter().find(|replacement| replacement.bare == bytes)?;
    Some((Answer::new(found.answer), found.reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_canned_answer_says_its_true_length() {
        for answer in [REQUEST_TIMEOUT, MALFORMED, HEADERS_TOO_LARGE, URI_TOO_LONG] {
            let text = std::str::from_utf8(answer).expect("ASCII");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{text}");
        }
    }

    #[test]
    fn only_the_bare_answer_itself_is_replaced() {
        assert!(replacement(REPLACEMENTS[0].bare).is_some());
        assert!(replacement(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").is_none());
        assert!(replacement(MALFORMED).is_none());
    }
}
