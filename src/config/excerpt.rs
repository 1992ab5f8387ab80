//! Shows pieces of a file that may hold anything: cut to a terminal's width, with nothing that steers it.

use std::ops::Range;

/// Characters of a source line that are shown.
const WIDTH: usize = 110;

/// Characters of a value that are repeated in a message.
const VALUE_WIDTH: usize = 60;

/// The lines of a text as YAML counts them: CR, NEL, LS and PS end a line too.
pub(super) fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(is_break) {
        lines.push(&rest[..end]);
        rest = after_break(&rest[end..]);
    }
    lines.push(rest);
    lines
}

/// `value` in backquotes, escaped and cut, for use in a message.
pub(super) fn quoted(value: &str) -> String {
    let shown = escape(value.chars().take(VALUE_WIDTH));
    let cut = if value.chars().nth(VALUE_WIDTH).is_some() { "..." } else { "" };
    format!("`{shown}{cut}`")
}

/// All of `text` without characters that a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    escape(text.chars())
}

/// Keys of secrets, and of the maps that have one: the key of a secret may be mistyped.
const SECRETS: [&str; 8] = [
    "explain_header",
    "token",
    "sticky",
    "split_cookie",
    "secret",
    "secrets",
    "Authorization",
    "authorization",
];

/// The line with stars for all that stands behind the first of [`SECRETS`] in it; as long as before, so that a caret still
/// fits.
pub(super) fn without_secrets(line: &str) -> String {
    let secrets = SECRETS.into_iter().filter_map(|key| value_of(line, key));
    let Some(secret) = secrets.min() else { return line.to_owned() };
    let (shown, hidden) = line.split_at(secret);
    shown.chars().chain(hidden.chars().map(|c| if c == ' ' { c } else { '*' })).collect()
}

/// Where the value of the first such key begins.
fn value_of(line: &str, key: &str) -> Option<usize> {
    line.match_indices(key).find_map(|(at, key)| value_after(line, at + key.len()))
}

/// Where the value of the key that ends at `end` begins, if a key ends there.
fn value_after(line: &str, end: usize) -> Option<usize> {
    let rest = line[end..].trim_start_matches(['"', '\'']).trim_start().strip_prefix(':')?;
    Some(line.len() - rest.len())
}

/// The part of `line` around `column` (in characters, from 1), and how far into it the caret belongs.
pub(super) fn around(line: &str, column: usize) -> (String, usize) {
    let window = window(line.chars().count(), column.saturating_sub(1));
    let before = escape(line.chars().take(column.saturating_sub(1)).skip(window.start));
    let shown = escape(line.chars().take(window.end).skip(window.start));
    let lead = if window.start > 0 { "..." } else { "" };
    let tail = if line.chars().nth(window.end).is_some() { "..." } else { "" };
    (format!("{lead}{shown}{tail}"), lead.len() + before.chars().count())
}

/// Which characters of a line of `len` are shown so that `target` is among them.
fn window(len: usize, target: usize) -> Range<usize> {
    if len <= WIDTH {
        return 0..len;
    }
    let start = target.saturating_sub(WIDTH / 2).min(len - WIDTH);
    start..start + WIDTH
}

fn escape(chars: impl Iterator<Item = char>) -> String {
    let mut shown = String::new();
    for c in chars {
        match c {
            '\t' => shown.push_str("    "),
            c if steers(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Control characters, and those that reorder the text around them.
fn steers(c: char) -> bool {
    c.is_control()
        || is_break(c)
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `rest` begins with a line break; CR LF counts as one.
fn after_break(rest: &str) -> &str {
    rest.strip_prefix("\r\n").unwrap_or_else(|| rest.strip_prefix(is_break).unwrap_or(rest))
}
