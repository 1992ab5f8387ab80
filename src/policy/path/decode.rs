//! From the forwarded form of a path to the matched one: escapes decoded once, runs of `/` merged.

use super::escape;

/// The matched form of a path whose escapes are whole and whose dot segments are gone; `None` if it is the same.
pub(super) fn merge_and_decode(path: &str) -> Option<String> {
    let needs_work = path.contains('%') || path.contains("//");
    needs_work.then(|| {
        let mut matched = String::with_capacity(path.len());
        let mut rest = path;
        while !rest.is_empty() {
            rest = step(rest, &mut matched);
        }
        matched
    })
}

/// Moves one run of plain text, one escaped character or one slash over; returns what is left.
fn step<'a>(rest: &'a str, matched: &mut String) -> &'a str {
    match rest.as_bytes()[0] {
        b'/' => {
            matched.push('/');
            rest.trim_start_matches('/')
        }
        b'%' => {
            let taken = decode_one(rest.as_bytes(), matched);
            &rest[taken..]
        }
        _ => {
            let (plain, rest) = rest.split_at(rest.find(['/', '%']).unwrap_or(rest.len()));
            matched.push_str(plain);
            rest
        }
    }
}

/// Decodes the character whose escapes `rest` begins with; returns how many bytes those took.
fn decode_one(rest: &[u8], matched: &mut String) -> usize {
    match escaped_char(rest) {
        Some(character) if !stays_escaped(character) => {
            matched.push(character);
            3 * character.len_utf8()
        }
        _ => {
            matched.extend(rest.iter().take(3).map(|byte| char::from(byte.to_ascii_uppercase())));
            3
        }
    }
}

/// Characters that would change what the path says, or end it, if they stood there unescaped.
fn stays_escaped(character: char) -> bool {
    matches!(character, '/' | '%' | '?' | '#') || character.is_ascii_control()
}

/// The character that up to four escapes in a row spell in UTF-8.
fn escaped_char(rest: &[u8]) -> Option<char> {
    let mut bytes = [0; 4];
    let mut count = 0;
    for slot in &mut bytes {
        let Some(byte) = rest.get(3 * count..).and_then(escape) else { break };
        *slot = byte;
        count += 1;
        if count == utf8_len(rest) {
            break;
        }
    }
    std::str::from_utf8(&bytes[..count]).ok()?.chars().next()
}

/// How many bytes the character has that begins with the escape in front of `rest`, by its first byte.
fn utf8_len(rest: &[u8]) -> usize {
    match escape(rest) {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    }
}
