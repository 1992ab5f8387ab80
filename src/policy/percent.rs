//! Percent-escapes, read one at a time (RFC 3986 section 2.1).
//!
//! What a decoded byte means is the caller's business: paths refuse a broken escape, queries take it literally.

/// The byte that the escape `%XX` at the start of `text` stands for; `None` when there is no whole escape there.
pub(crate) fn escape(text: &[u8]) -> Option<u8> {
    match text {
        [b'%', high, low, ..] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
