//! How a request body is delimited, when there is only one way to read it (RFC 9112 section 6.3).

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version, header};

use super::HeadError;

/// How a request body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By Content-Length, in bytes.
    Length(u64),
    /// By chunks, or by the end of an HTTP/2 stream: its length is not known, and in HTTP/2 may be nothing.
    Chunked,
}

/// What delimits the body. hyper drops Content-Length itself when Transfer-Encoding is there, so the conflict is seen
/// here only behind a library that does not.
pub(super) fn check_body(parts: &Parts) -> Result<Framing, HeadError> {
    let length = content_length(&parts.headers)?;
    let is_chunked = is_chunked(&parts.headers)?;
    match (is_chunked, length) {
        (true, _) if parts.version != Version::HTTP_11 => Err(HeadError::MisplacedTransferEncoding),
        (true, Some(_)) => Err(HeadError::ConflictingLength),
        (true, None) => Ok(Framing::Chunked),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) if parts.version == Version::HTTP_2 => Ok(Framing::Chunked),
        (false, None) => Ok(Framing::None),
    }
}

fn is_chunked(headers: &HeaderMap) -> Result<bool, HeadError> {
    let mut lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(HeadError::UnsupportedTransferEncoding),
    }
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, HeadError> {
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    match (lines.next(), lines.next()) {
        (_, Some(_)) => Err(HeadError::RepeatedLength),
        (Some(length), None) => parse_length(length).map(Some),
        (None, None) => Ok(None),
    }
}

/// Digits only: `u64::from_str` alone would take `+5`.
fn parse_length(value: &HeaderValue) -> Result<u64, HeadError> {
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or(HeadError::MalformedLength)
}
