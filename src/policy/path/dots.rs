//! Dot segments, resolved as RFC 3986 section 5.2.4 says, save that climbing above the root is an error here.
//!
//! Only the client's own segments are looked at: merging slashes comes later, so that `/a//../b` means to the
//! route what it means to an endpoint that follows the RFC.

use std::borrow::Cow;

use super::{PathError, escape};

enum Segment {
    Name,
    Here,
    Up,
}

/// The path without dot segments; borrowed when it has none. The path begins with `/` and its escapes are whole.
pub(super) fn resolve(path: &str) -> Result<Cow<'_, str>, PathError> {
    let mut has_dots = false;
    for segment in segments(path) {
        has_dots |= !matches!(kind(segment.as_bytes())?, Segment::Name);
    }
    if has_dots { rebuild(path).map(Cow::Owned) } else { Ok(Cow::Borrowed(path)) }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1)
}

fn rebuild(path: &str) -> Result<String, PathError> {
    let mut resolved = String::with_capacity(path.len());
    let mut ends_open = false;
    for segment in segments(path) {
        let kind = kind(segment.as_bytes())?;
        ends_open = !matches!(kind, Segment::Name);
        match kind {
            Segment::Name => resolved.extend(["/", segment]),
            Segment::Here => {}
            Segment::Up => resolved.truncate(resolved.rfind('/').ok_or(PathError::AboveRoot)?),
        }
    }
    if ends_open {
        resolved.push('/');
    }
    Ok(resolved)
}

fn kind(segment: &[u8]) -> Result<Segment, PathError> {
    match leading_dots(segment) {
        (1, []) => return Ok(Segment::Here),
        (2, []) => return Ok(Segment::Up),
        _ => {}
    }
    if hides_dots(segment) { Err(PathError::DisguisedDots) } else { Ok(Segment::Name) }
}

/// Whether a server that decodes `%2F`, or that cuts `;` parameters off a segment, would find a dot segment in it.
fn hides_dots(segment: &[u8]) -> bool {
    let after_slashes =
        (0..segment.len()).filter(|&at| escape(&segment[at..]) == Some(b'/')).map(|at| at + 3);
    std::iter::once(0).chain(after_slashes).any(|start| is_dots_to_others(&segment[start..]))
}

fn is_dots_to_others(part: &[u8]) -> bool {
    let (dots, rest) = leading_dots(part);
    matches!(dots, 1 | 2) && (rest.is_empty() || rest[0] == b';' || matches!(escape(rest), Some(b';' | b'/')))
}

/// How many dots, raw or escaped, `segment` begins with, and what follows them.
fn leading_dots(mut segment: &[u8]) -> (usize, &[u8]) {
    let mut count = 0;
    loop {
        segment = match segment {
            [b'.', rest @ ..] => rest,
            [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return (count, segment),
        };
        count += 1;
    }
}
