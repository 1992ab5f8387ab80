//! What an endpoint is asked for in place of what the client asked for (Gateway API, URLRewrite).
//!
//! Works on the path as it would be forwarded, so that escapes stay as the client wrote them. Whatever comes out begins
//! with one slash and has no dot segment: those of the client are resolved before, and a pattern that makes new ones is
//! refused, since they could lead out of what it was meant to lead into.

use std::borrow::Cow;
use std::fmt::Write;

use http::HeaderValue;
use regex::Regex;

use super::path::{self, PathError};
use super::route::as_matched;
use crate::config::{self, PathPattern};

/// A route's rewrite, compiled.
#[derive(Debug)]
pub struct Rewrite {
    /// Another path.
    pub path: Option<PathChange>,
    /// Another Host.
    pub host: Option<HeaderValue>,
}

impl Rewrite {
    /// For a route that matches these paths.
    pub fn new(rewrite: &config::Rewrite, matched: &PathPattern) -> Self {
        let path = rewrite.path.as_ref().map(|change| PathChange::new(change, matched));
        Self { path, host: rewrite.host.clone() }
    }
}

/// Another path, as it stands in a request.
#[derive(Debug)]
pub enum PathChange {
    /// In place of all of it.
    Whole(Box<str>),
    /// In place of its first segments.
    Prefix {
        /// How many.
        segments: usize,
        /// Without a trailing slash, so empty for `/`.
        base: Box<str>,
    },
    /// In place of what a pattern finds first.
    Pattern {
        /// The pattern.
        pattern: Regex,
        /// With `$1` for its first group.
        replacement: Box<str>,
    },
}

impl PathChange {
    /// For a route that matches these paths. One that matches every path matches the prefix `/`.
    pub fn new(change: &config::PathChange, matched: &PathPattern) -> Self {
        match change {
            config::PathChange::Whole(path) => Self::Whole(escaped(path, b"").into()),
            config::PathChange::Prefix(base) => Self::Prefix {
                segments: segments_of(matched),
                base: escaped(base.trim_end_matches('/'), b"").into(),
            },
            config::PathChange::Pattern { pattern, replacement } => {
                Self::Pattern { pattern: pattern.clone(), replacement: escaped(replacement, b"{}").into() }
            }
        }
    }

    /// The other path. `path` is [`NormalPath::forwarded`](super::path::NormalPath) of a request that the route takes.
    ///
    /// # Errors
    /// A pattern has made a path of it that has dot segments, or is none.
    pub fn apply<'a>(&'a self, path: &'a str) -> Result<Cow<'a, str>, PathError> {
        match self {
            Self::Whole(whole) => Ok(Cow::Borrowed(whole)),
            Self::Prefix { segments, base } => Ok(Cow::Owned(joined(base, after(path, *segments)))),
            Self::Pattern { pattern, replacement } => match pattern.replace(path, &**replacement) {
                Cow::Borrowed(_) => Ok(Cow::Borrowed(path)),
                Cow::Owned(made) => checked(joined("", &made)).map(Cow::Owned),
            },
        }
    }
}

/// How many segments the part of a path has that a route matches.
fn segments_of(matched: &PathPattern) -> usize {
    match matched {
        PathPattern::Any | PathPattern::Regex(_) => 0,
        PathPattern::Exact(path) | PathPattern::Prefix(path) => {
            as_matched(path).split('/').filter(|segment| !segment.is_empty()).count()
        }
    }
}

/// What follows the first `segments` of a path: nothing, or something that begins with a slash. Routes take a run of
/// slashes for one, so it is one here.
fn after(path: &str, segments: usize) -> &str {
    (0..segments).fold(path, |rest, _| {
        let segment = rest.trim_start_matches('/');
        &segment[segment.find('/').unwrap_or(segment.len())..]
    })
}

/// One slash between the two, and no other where there is nothing more.
fn joined(base: &str, rest: &str) -> String {
    match rest.trim_start_matches('/') {
        "" if rest.is_empty() && !base.is_empty() => base.to_owned(),
        rest => format!("{base}/{rest}"),
    }
}

fn checked(made: String) -> Result<String, PathError> {
    match path::normalise(&made)?.forwarded == made {
        true => Ok(made),
        false => Err(PathError::DisguisedDots),
    }
}

/// As it stands in a request: what RFC 3986 section 3.3 has no place for is escaped, save escapes and what is in `kept`.
fn escaped(path: &str, kept: &[u8]) -> String {
    const PUNCTUATION: &[u8] = b"/-._~!$&'()*+,;=:@%";
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte.is_ascii_alphanumeric() || PUNCTUATION.contains(&byte) || kept.contains(&byte) {
            true => escaped.push(char::from(byte)),
            false => write!(escaped, "%{byte:02X}").expect("writing to memory does not fail"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(matched: &str, base: &str) -> PathChange {
        let matched = PathPattern::Prefix(matched.to_owned());
        PathChange::new(&config::PathChange::Prefix(base.to_owned()), &matched)
    }

    fn pattern(pattern: &str, replacement: &str) -> PathChange {
        let pattern = Regex::new(pattern).expect("a regex of the test");
        let change = config::PathChange::Pattern { pattern, replacement: replacement.to_owned() };
        PathChange::new(&change, &PathPattern::Any)
    }

    /// `forwarded` of a path, changed.
    fn changed(change: &PathChange, path: &str) -> Result<String, PathError> {
        let normal = path::normalise(path)?;
        change.apply(&normal.forwarded).map(Cow::into_owned)
    }

    #[test]
    fn a_prefix_is_replaced_by_whole_segments_as_in_the_table_of_the_gateway_api() {
        for (matched, base, path, wanted) in [
            ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
            ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"),
            ("/foo/", "/xyz", "/foo/bar", "/xyz/bar"),
            ("/foo/", "/xyz/", "/foo/bar", "/xyz/bar"),
            ("/foo", "/xyz", "/foo", "/xyz"),
            ("/foo", "/xyz", "/foo/", "/xyz/"),
            ("/foo", "/", "/foo", "/"),
            ("/foo", "/", "/foo/", "/"),
            ("/foo", "/", "/foo/bar", "/bar"),
            ("/", "/xyz", "/", "/xyz/"),
            ("/", "/xyz", "/foo", "/xyz/foo"),
            ("/", "/", "/foo/", "/foo/"),
            ("/api/payments", "/payments", "/api/payments/7/", "/payments/7/"),
        ] {
            assert_eq!(
                changed(&prefix(matched, base), path).as_deref(),
                Ok(wanted),
                "{matched} {base} {path}"
            );
        }
    }

    #[test]
    fn an_exact_path_is_a_prefix_with_nothing_behind_it() {
        let matched = PathPattern::Exact("/old/page".to_owned());
        let change = PathChange::new(&config::PathChange::Prefix("/new".to_owned()), &matched);
        assert_eq!(changed(&change, "/old/page").as_deref(), Ok("/new"));
    }

    #[test]
    fn escapes_stay_as_they_were_and_count_for_what_the_route_took_them_for() {
        let change = prefix("/café", "/shop");
        assert_eq!(changed(&change, "/caf%c3%a9/a%2fb%20c/%7e").as_deref(), Ok("/shop/a%2fb%20c/%7e"));
        assert_eq!(changed(&prefix("/a%2Fb", "/shop"), "/a%2fb/c").as_deref(), Ok("/shop/c"));
    }

    #[test]
    fn no_double_slash_is_made_and_none_of_the_client_s_further_on_is_lost() {
        assert_eq!(changed(&prefix("/foo", "/"), "/foo//evil.example").as_deref(), Ok("/evil.example"));
        assert_eq!(changed(&prefix("/foo/bar", "/x"), "//foo//bar//a//b").as_deref(), Ok("/x/a//b"));
        assert_eq!(changed(&prefix("/", "/"), "//evil.example").as_deref(), Ok("/evil.example"));
    }

    #[test]
    fn no_dot_segment_survives_or_is_made() {
        assert_eq!(changed(&prefix("/foo", "/x"), "/foo/a/../b").as_deref(), Ok("/x/b"));
        let loose = pattern("^/shop-(.*)$", "/shop/$1");
        for path in ["/shop-..", "/shop-../", "/shop-..%2fadmin", "/shop-%2e%2e", "/shop-."] {
            assert!(changed(&loose, path).is_err(), "{path}");
        }
        assert_eq!(changed(&loose, "/shop-../../admin").as_deref(), Ok("/admin"), "resolved before");
    }

    #[test]
    fn a_pattern_replaces_what_it_finds_first_and_leaves_what_it_does_not_find() {
        let change = pattern("^/item/([0-9]+)(/.*)?$", "/products/$1$2");
        assert_eq!(changed(&change, "/item/17/a%20b").as_deref(), Ok("/products/17/a%20b"));
        assert_eq!(changed(&change, "/item/x").as_deref(), Ok("/item/x"));
        assert_eq!(changed(&pattern("^/old/(.*)$", "$1"), "/old//x").as_deref(), Ok("/x"));
    }

    #[test]
    fn what_a_request_cannot_have_is_escaped() {
        let change = PathChange::new(&config::PathChange::Whole("/a b/é%2F\"".to_owned()), &PathPattern::Any);
        assert_eq!(changed(&change, "/").as_deref(), Ok("/a%20b/%C3%A9%2F%22"));
    }
}
