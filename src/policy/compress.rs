//! Which responses are compressed, how, and what their headers say then.
//!
//! What is compressed is another representation of the same thing (RFC 9110 section 8): it has another length and no
//! ranges, a tag that is weak, and digests of what it was do not fit it. `Vary` is said of every response that may come
//! both ways, compressed or not: a cache must not hand one client's to another.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::config::{Coding, Compress, MediaPattern};

mod accept;
#[cfg(test)]
mod tests;

pub use accept::{Wish, wish};

/// What is done with one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is none that is compressed for anybody.
    Leave,
    /// It goes out as it is to this client; another one might get it compressed.
    Plain,
    /// It is compressed.
    Encode(Coding),
}

/// Decides on one response for a client that wishes for `wish`. `length`: of its body, if that is known.
pub fn judge<B>(settings: &Compress, wish: Wish, response: &Response<B>, length: Option<u64>) -> Verdict {
    let headers = response.headers();
    let too_short = length.is_some_and(|length| length < settings.min_size.max(1));
    if !has_whole_body(response.status()) || !may_change(settings, headers) || length == Some(0) {
        return Verdict::Leave;
    }
    match wish.coding {
        Some(coding) if !too_short || wish.refuses_plain => Verdict::Encode(coding),
        _ if too_short => Verdict::Leave,
        _ => Verdict::Plain,
    }
}

/// Makes the head of a response the one of its compressed form.
pub fn mark(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    strip_digests(headers);
    if let Some(weak) = headers.get(header::ETAG).and_then(weakened) {
        headers.insert(header::ETAG, weak);
    }
}

/// Says that the response depends on what the client accepts.
pub fn vary(headers: &mut HeaderMap) {
    let names = |line: &HeaderValue| tokens(line).any(|name| name == b"*" || is(name, b"accept-encoding"));
    if headers.get_all(header::VARY).iter().any(names) {
        return;
    }
    // One line, since some caches read no more.
    let lines = headers.get_all(header::VARY).iter().map(HeaderValue::as_bytes);
    let names: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).chain([&b"Accept-Encoding"[..]]).collect();
    let value = HeaderValue::from_bytes(&names.join(&b", "[..]));
    headers.insert(header::VARY, value.expect("header values joined by commas are a header value"));
}

/// Removes digests of what is not sent any more. They may stand in trailers too.
pub fn strip_digests(headers: &mut HeaderMap) {
    for name in &DIGESTS {
        headers.remove(name);
    }
}

/// A 304 to a client that holds the compressed form speaks of the tag that it was given: by a strong one, a cache would
/// not know the response again (RFC 9111 section 4.3.4). `known`: the client's If-None-Match.
pub fn mark_not_modified(headers: &mut HeaderMap, known: &HeaderValue) {
    let Some(weak) = headers.get(header::ETAG).and_then(weakened) else { return };
    // A tag holds no quotes, so that this finds whole ones.
    if known.as_bytes().windows(weak.len()).any(|part| part == weak.as_bytes()) {
        headers.insert(header::ETAG, weak);
        vary(headers);
    }
}

static DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Whether a response of this status is all of something.
fn has_whole_body(status: StatusCode) -> bool {
    let without = [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::PARTIAL_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    !status.is_informational() && !without.contains(&status)
}

fn may_change(settings: &Compress, headers: &HeaderMap) -> bool {
    let plain = |line: &HeaderValue| tokens(line).all(|coding| is(coding, b"identity"));
    let cookies = headers.contains_key(header::SET_COOKIE);
    is_listed(settings, headers)
        && headers.get_all(header::CONTENT_ENCODING).iter().all(plain)
        && !headers.contains_key(header::CONTENT_RANGE)
        && !forbids_change(headers)
        && (settings.with_cookies || !cookies)
}

/// Whether `Cache-Control` says `no-transform`, in a request or a response.
pub fn forbids_change(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CACHE_CONTROL).iter();
    lines.any(|line| tokens(line).any(|directive| is(directive, b"no-transform")))
}

fn is_listed(settings: &Compress, headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (lines.next(), lines.next()) else { return false };
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let Ok(essence) = std::str::from_utf8(essence) else { return false };
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    !is_grpc(kind, subtype) && settings.types.iter().any(|pattern| takes(pattern, kind, subtype))
}

/// Its messages are compressed one by one, if at all, and its framing is of a known length.
fn is_grpc(kind: &str, subtype: &str) -> bool {
    let begins = subtype.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("grpc"));
    begins && kind.eq_ignore_ascii_case("application")
}

fn takes(pattern: &MediaPattern, kind: &str, subtype: &str) -> bool {
    match pattern {
        MediaPattern::Exact(name) => name.split_once('/').is_some_and(|(wanted, sub)| {
            wanted.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype)
        }),
        MediaPattern::Whole(wanted) => {
            wanted.eq_ignore_ascii_case(kind) && !subtype.eq_ignore_ascii_case("event-stream")
        }
        MediaPattern::Suffix(wanted, suffix) => {
            let end = subtype.len().checked_sub(suffix.len()).and_then(|at| subtype.get(at..));
            wanted.eq_ignore_ascii_case(kind) && end.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        }
    }
}

/// The weak form of a strong tag.
fn weakened(tag: &HeaderValue) -> Option<HeaderValue> {
    let is_strong = tag.as_bytes().starts_with(b"\"");
    is_strong.then(|| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok()).flatten()
}

fn tokens(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn is(token: &[u8], word: &[u8]) -> bool {
    token.eq_ignore_ascii_case(word)
}
