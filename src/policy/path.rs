//! One spelling per path, so that no other spelling of it slips past a route (RFC 3986 section 6.2.2).
//!
//! A path has two forms: the one routes are matched against, decoded once, and the one that is forwarded, which is
//! the client's bytes with dot segments resolved. What an endpoint might read as a different path than the one that
//! was matched (an encoded slash beside dots, a backslash, NUL, `..;`) is refused. It never decodes twice, and it
//! knows nothing of queries.

use std::borrow::Cow;
use std::fmt;

use super::percent::escape;

mod decode;
mod dots;
#[cfg(test)]
mod tests;

/// The path as it is matched and as it is forwarded. Both are borrowed when the client's spelling is already plain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalPath<'a> {
    /// Percent-decoded once, dot segments resolved, runs of `/` merged. These stay escaped, with upper-case digits,
    /// because they would mean something else unescaped: `/`, `%`, `?`, `#`, control characters, and bytes that
    /// are not UTF-8. So `%2F` here is always an encoded slash, and normalising this again changes nothing.
    pub matched: Cow<'a, str>,
    /// What goes to the endpoint: the client's bytes with dot segments (also `%2e`) resolved, otherwise untouched.
    pub forwarded: Cow<'a, str>,
}

/// Why a path is refused; the answer is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// A `%` without two hexadecimal digits after it.
    BadEscape,
    /// `%00`.
    Nul,
    /// `\` or `%5C`, which some servers take for `/`.
    Backslash,
    /// A raw control character.
    Control,
    /// A raw `#`: a fragment has no place in a request.
    Fragment,
    /// `..` segments that climb above `/`.
    AboveRoot,
    /// A dot segment for a server that decodes `%2F` or cuts `;` parameters: `..%2fx`, `..;/x`.
    DisguisedDots,
}

impl PathError {
    /// The word for it in `x-tillgate-reason`, logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAbsolute => "path_not_absolute",
            Self::BadEscape => "path_bad_escape",
            Self::Nul => "path_nul",
            Self::Backslash => "path_backslash",
            Self::Control => "path_control_character",
            Self::Fragment => "path_fragment",
            Self::AboveRoot => "path_above_root",
            Self::DisguisedDots => "path_disguised_dots",
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for PathError {}

/// Normalises the path of a request target, without its query. `*` (for OPTIONS) is the caller's business.
///
/// # Errors
/// The first thing found wrong; a path that is refused has no meaning that client, proxy and endpoint agree on.
pub fn normalise(path: &str) -> Result<NormalPath<'_>, PathError> {
    if is_plain(path.as_bytes()) {
        return Ok(NormalPath { matched: Cow::Borrowed(path), forwarded: Cow::Borrowed(path) });
    }
    check(path.as_bytes())?;
    let forwarded = dots::resolve(path)?;
    let matched = decode::merge_and_decode(&forwarded).map_or_else(|| forwarded.clone(), Cow::Owned);
    Ok(NormalPath { matched, forwarded })
}

/// Whether the path is absolute and needs no work at all: one pass, without a branch per byte.
fn is_plain(path: &[u8]) -> bool {
    let mut found = 0;
    let mut previous = 0;
    for &byte in path {
        let class = CLASSES[usize::from(byte)];
        found |= class & NEEDS_CARE | class & previous;
        previous = class << 1 & AFTER_SLASH;
    }
    path.first() == Some(&b'/') && found == 0
}

/// Class of bytes that are decoded or refused wherever they stand.
const NEEDS_CARE: u8 = 1;
/// Class of `/`; one place below `AFTER_SLASH`, so that a shift makes a mask for the next byte of it.
const SLASH: u8 = 2;
/// Class of bytes that may begin a dot segment or an empty one if they follow a `/`.
const AFTER_SLASH: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        classes[control] = NEEDS_CARE;
        control += 1;
    }
    classes[0x7f] = NEEDS_CARE;
    classes[b'%' as usize] = NEEDS_CARE;
    classes[b'#' as usize] = NEEDS_CARE;
    classes[b'\\' as usize] = NEEDS_CARE;
    classes[b'/' as usize] = SLASH | AFTER_SLASH;
    classes[b'.' as usize] = AFTER_SLASH;
    classes
};

fn needs_care(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & NEEDS_CARE != 0
}

fn check(path: &[u8]) -> Result<(), PathError> {
    if path.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    (0..path.len()).filter(|&at| needs_care(path[at])).try_for_each(|at| check_byte(&path[at..]))
}

fn check_byte(rest: &[u8]) -> Result<(), PathError> {
    match rest.first() {
        Some(b'%') => check_escape(rest),
        Some(b'\\') => Err(PathError::Backslash),
        Some(b'#') => Err(PathError::Fragment),
        _ => Err(PathError::Control),
    }
}

fn check_escape(rest: &[u8]) -> Result<(), PathError> {
    match escape(rest).ok_or(PathError::BadEscape)? {
        0 => Err(PathError::Nul),
        b'\\' => Err(PathError::Backslash),
        _ => Ok(()),
    }
}
