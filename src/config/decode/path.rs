//! `path`, `path_prefix` and `path_regex` of a match: at most one of them.

use regex::{Regex, RegexBuilder};

use super::address::refuse;
use super::fields::Fields;
use super::host::{Refusal, refusal};
use super::value::Value;
use crate::config::model::PathPattern;

/// Characters of a regex, and bytes of its compiled form: a route costs no more memory than this.
const REGEX_CHARS: usize = 1000;
const REGEX_BYTES: usize = 256 * 1024;

/// Which paths a match takes.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<PathPattern> {
    let given = [fields.take("path"), fields.take("path_prefix"), fields.take("path_regex")];
    let mut values = given.iter().flatten();
    if let (Some(first), Some(second)) = (values.next(), values.next()) {
        let message = format!("`{}` and `{}` exclude each other", first.name, second.name);
        return second.refuse_hint(message, "keep one of path, path_prefix and path_regex");
    }
    match given {
        [Some(value), _, _] => refuse(value, literal(&value.text()?)).map(PathPattern::Exact),
        [_, Some(value), _] => refuse(value, literal(&value.text()?)).map(|path| prefix(&path)),
        [_, _, Some(value)] => regex(value).map(PathPattern::Regex),
        [None, None, None] => Some(PathPattern::Any),
    }
}

/// Whole segments: `/api/` means what `/api` means.
fn prefix(path: &str) -> PathPattern {
    let path = path.trim_end_matches('/');
    PathPattern::Prefix(if path.is_empty() { "/" } else { path }.to_owned())
}

/// A path that a request can have once it is normalised: decoded once, without dot segments and empty ones.
fn literal(text: &str) -> Result<String, Refusal> {
    match why_never(text) {
        Some(hint) => Err(refusal(text, "is not a path that can be matched", hint)),
        None => Ok(text.to_owned()),
    }
}

fn why_never(text: &str) -> Option<String> {
    if !text.starts_with('/') {
        return Some(format!("write `/{text}`"));
    }
    let hint = if text.contains('?') {
        "a path ends before `?`; match a query with `query: { name: value }`"
    } else if text.contains('#') {
        "a path ends before `#`, which browsers do not send"
    } else if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        "requests have no `.` and `..` segments left when they are matched"
    } else if text.contains("//") {
        "several `/` are matched as one"
    } else if text.contains('\\') {
        "requests with a backslash are refused"
    } else if text.chars().any(char::is_control) {
        "remove the control character"
    } else {
        return text.split('%').skip(1).find_map(escape_hint).map(str::to_owned);
    };
    Some(hint.to_owned())
}

/// Only what would mean something else unescaped is still escaped when paths are matched, in upper case.
fn escape_hint(after_percent: &str) -> Option<&'static str> {
    let digits = after_percent.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
        return Some("write `%25` for the character `%`");
    };
    let stays = byte.is_ascii_control() || matches!(byte, b'/' | b'%' | b'?' | b'#');
    if !stays {
        return Some("paths are matched after percent-decoding, write the character itself");
    }
    digits?.bytes().any(|b| b.is_ascii_lowercase()).then_some("write the escape in upper case, as `%2F`")
}

/// A pattern of bounded size.
pub(super) fn regex(value: Value<'_>) -> Option<Regex> {
    let text = value.text()?;
    if text.chars().count() > REGEX_CHARS {
        return value.refuse(format!("`{}` is longer than {REGEX_CHARS} characters", value.name));
    }
    match RegexBuilder::new(&text).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).build() {
        Ok(regex) => Some(regex),
        Err(regex::Error::CompiledTooBig(_)) => value.refuse_hint(
            format!("`{}` needs more than 256 KiB", value.name),
            "use smaller repetition counts, or `path_prefix`",
        ),
        Err(error) => {
            value.refuse(format!("`{}` is not a regular expression: {}", value.name, reason(&error)))
        }
    }
}

/// The last line of the message; those before it draw the pattern, which is shown anyway.
fn reason(error: &regex::Error) -> String {
    let words = error.to_string();
    let last = words.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
