//! `routes[].rewrite`, and the paths of `routes[].redirect`.

use http::HeaderValue;
use regex::Regex;

use super::address::refuse;
use super::fields::Fields;
use super::host::{self, Refusal, refusal};
use super::path as matched;
use super::value::{Context, Value};
use crate::config::model::{PathChange, PathPattern, Rewrite, Route, RouteMatch};
use crate::config::node::Ordinal;
use crate::config::problem::Severity;
use crate::policy::path::{self, PathError};

/// Characters of a replacement.
const MOST_CHARS: usize = 1000;

/// `Some(None)` where there is none. `matches`: what the route matches, where that could be read.
pub(super) fn read(fields: &mut Fields<'_>, matches: Option<&RouteMatch>) -> Option<Option<Rewrite>> {
    let Some(value) = fields.take("rewrite") else { return Some(None) };
    let mut fields = Fields::open(value)?;
    let path = path_change(&mut fields, matches);
    let host = fields.take("host").map_or(Some(None), |value| host(value).map(Some));
    fields.close();
    match Some(Rewrite { path: path?, host: host? })? {
        Rewrite { path: None, host: None } => {
            let hint = "add path_prefix, path, path_regex or host";
            value.refuse_hint("`rewrite` does not say what to", hint)
        }
        rewrite => Some(Some(rewrite)),
    }
}

/// At most one of `path`, `path_prefix` and `path_regex`.
pub(super) fn path_change(
    fields: &mut Fields<'_>,
    matches: Option<&RouteMatch>,
) -> Option<Option<PathChange>> {
    let given = ["path", "path_prefix", "path_regex"].map(|key| fields.take(key));
    let mut values = given.iter().flatten();
    if let (Some(first), Some(second)) = (values.next(), values.next()) {
        let message = format!("`{}` and `{}` exclude each other", first.name, second.name);
        return second.refuse_hint(message, "keep one of path, path_prefix and path_regex");
    }
    match given {
        [Some(value), _, _] => target(value).map(PathChange::Whole).map(Some),
        [_, Some(value), _] => prefix(value, matches).map(Some),
        [_, _, Some(value)] => pattern(value).map(Some),
        [None, None, None] => Some(None),
    }
}

fn prefix(value: Value<'_>, matches: Option<&RouteMatch>) -> Option<PathChange> {
    if matches.is_some_and(|matches| matches!(matches.path, PathPattern::Regex(_))) {
        let hint = "write `path_regex: { pattern: '^/old/(.*)$', replacement: /new/$1 }`";
        return value.refuse_hint("the route matches no prefix that could be replaced", hint);
    }
    let path = target(value)?;
    let path = path.trim_end_matches('/');
    Some(PathChange::Prefix(if path.is_empty() { "/" } else { path }.to_owned()))
}

fn pattern(value: Value<'_>) -> Option<PathChange> {
    let mut fields = Fields::open(value)?;
    let pattern = fields.require("pattern", "add `pattern: '^/old/(.*)$'`", matched::regex);
    let replacement = fields.require("replacement", "add `replacement: /new/$1`", |value| {
        let text = value.text()?;
        refuse(value, replacement(text, pattern.as_ref()))
    });
    fields.close();
    Some(PathChange::Pattern { pattern: pattern?, replacement: replacement? })
}

fn replacement(text: String, pattern: Option<&Regex>) -> Result<String, Refusal> {
    if text.chars().count() > MOST_CHARS {
        return Err(refusal(&text, "is too long", "a replacement has up to 1000 characters"));
    }
    if let Some(c) = text.chars().find(|c| matches!(c, '?' | '#' | '\\') || c.is_control()) {
        return Err(refusal(
            &text,
            "is not part of a path",
            format!("leave out {c:?}; a query stays as it is"),
        ));
    }
    match pattern.and_then(|pattern| unknown_group(&text, pattern)) {
        None => Ok(text),
        Some(group) => {
            let hint =
                "groups are `$1` or `$name`, `$${1}` before a letter, digit or `_`; `$$` is a dollar sign";
            Err(refusal(&format!("${group}"), "is no group of the pattern", hint))
        }
    }
}

/// A group that the replacement names and the pattern does not have.
fn unknown_group(replacement: &str, pattern: &Regex) -> Option<String> {
    let text = replacement.replace("$$", "");
    let is_known = |name: &str| match name.parse::<usize>() {
        Ok(number) => number < pattern.captures_len(),
        Err(_) => pattern.capture_names().flatten().any(|known| known == name),
    };
    text.split('$').skip(1).map(group).find(|name| !is_known(name)).map(str::to_owned)
}

/// The name that the text behind a `$` begins with, as the regex library reads it.
fn group(text: &str) -> &str {
    match text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((name, _)) => name,
        None => &text[..text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())],
    }
}

/// A path that requests can be sent to.
fn target(value: Value<'_>) -> Option<String> {
    let text = value.text()?;
    match why_not(&text) {
        None => Some(text),
        Some(hint) => refuse(value, Err(refusal(&text, "is not a path to send requests to", hint))),
    }
}

fn why_not(text: &str) -> Option<String> {
    if text.chars().count() > MOST_CHARS {
        return Some("a path has up to 1000 characters".to_owned());
    }
    if text.contains('?') {
        return Some("a path ends before `?`; the client's query stays as it is".to_owned());
    }
    match path::normalise(text) {
        Err(PathError::NotAbsolute) => Some(format!("write `/{text}`")),
        Err(error) => Some(hint(error).to_owned()),
        Ok(normal) if normal.forwarded != text => Some("leave out `.` and `..` segments".to_owned()),
        Ok(_) if text.contains("//") => Some("write one `/` for several".to_owned()),
        Ok(_) => None,
    }
}

fn hint(error: PathError) -> &'static str {
    match error {
        PathError::NotAbsolute => "begin with `/`",
        PathError::BadEscape => "write `%25` for the character `%`",
        PathError::Nul | PathError::Control => "remove the control character",
        PathError::Backslash => "leave out the backslash",
        PathError::Fragment => "a path ends before `#`",
        PathError::AboveRoot | PathError::DisguisedDots => "leave out `.` and `..` segments",
    }
}

/// What Host is to say.
fn host(value: Value<'_>) -> Option<HeaderValue> {
    let (host, port) = refuse(value, host::with_port(&value.text()?))?;
    let text = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    HeaderValue::try_from(text).ok()
}

/// Warns of rewrites that change nothing.
pub(super) fn warn(cx: &Context<'_>, routes: &[(Route, Ordinal)]) {
    for (route, at) in routes {
        let change = route.rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref());
        if change.is_some_and(|change| is_idle(change, &route.matches.path)) {
            let message = format!("the path of route `{}` is rewritten to what it is", route.name);
            cx.report(*at, Severity::Warning, message, Some("remove it from `rewrite`".to_owned()));
        }
    }
}

fn is_idle(change: &PathChange, matched: &PathPattern) -> bool {
    match (change, matched) {
        (PathChange::Whole(path), PathPattern::Exact(matched)) => path == matched,
        (PathChange::Prefix(base), PathPattern::Prefix(matched)) => base == matched,
        (PathChange::Prefix(base), PathPattern::Any) => base == "/",
        (_, _) => false,
    }
}
