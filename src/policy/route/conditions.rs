//! A route's match taken apart: which conditions a request meets, and which of two routes comes first and why.
//!
//! For people, and slow: nothing that serves a request comes here. Each condition is judged by a table that has only
//! it, so that what is said here is what the table does.

use std::cmp::Reverse;
use std::fmt;

use super::paths::as_matched;
use super::{Head, RouteTable};
use crate::config::{HostPattern, PathPattern, RouteMatch, Scheme};

/// One condition of a route, and whether a request meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// As the config would say it: `path_prefix /orders`.
    pub wanted: String,
    /// Whether the request meets it.
    pub met: bool,
}

/// Every condition of a route, in the order in which they count. None for a route that takes everything.
pub fn conditions(matches: &RouteMatch, head: &Head<'_>) -> Vec<Condition> {
    let judge = |(wanted, only): (String, RouteMatch)| Condition {
        wanted,
        met: RouteTable::new(std::iter::once(&only)).find(head).is_some(),
    };
    parts(matches).into_iter().map(judge).collect()
}

/// What each condition says, and a match that has no other.
fn parts(matches: &RouteMatch) -> Vec<(String, RouteMatch)> {
    let RouteMatch { scheme, except, host, path, methods, headers, query } = matches;
    let none = RouteMatch::default;
    let mut parts = Vec::new();
    if let Some(word) = scheme.map(Scheme::name) {
        parts.push((format!("scheme {word}"), RouteMatch { scheme: *scheme, ..none() }));
    }
    if let Some(word) = except.map(Scheme::name) {
        parts.push((format!("any scheme but {word}"), RouteMatch { except: *except, ..none() }));
    }
    if let Some(pattern) = host {
        parts.push((host_text(pattern), RouteMatch { host: host.clone(), ..none() }));
    }
    if let Some(text) = path_text(path) {
        parts.push((text, RouteMatch { path: path.clone(), ..none() }));
    }
    if !methods.is_empty() {
        let names: Vec<&str> = methods.iter().map(http::Method::as_str).collect();
        let text = format!("method {}", names.join(" or "));
        parts.push((text, RouteMatch { methods: methods.clone(), ..none() }));
    }
    for (name, value) in headers {
        let text = format!("header {name}: {}", String::from_utf8_lossy(value.as_bytes()));
        parts.push((text, RouteMatch { headers: vec![(name.clone(), value.clone())], ..none() }));
    }
    for (name, value) in query {
        let text = format!("query {name}={value}");
        parts.push((text, RouteMatch { query: vec![(name.clone(), value.clone())], ..none() }));
    }
    parts
}

fn host_text(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(name) => format!("host {name}"),
        HostPattern::Wildcard(domain) => format!("host *.{domain}"),
    }
}

fn path_text(path: &PathPattern) -> Option<String> {
    match path {
        PathPattern::Any => None,
        PathPattern::Exact(path) => Some(format!("path {path}")),
        PathPattern::Prefix(prefix) => Some(format!("path_prefix {prefix}")),
        PathPattern::Regex(regex) => Some(format!("path_regex {regex}")),
    }
}

/// What one of two routes that take a request is preferred for, in the order in which it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// A route that names the scheme.
    Scheme,
    /// Exact host before the longest wildcard before none.
    Host,
    /// Exact path before the longest prefix before a regex before none.
    Path,
    /// A route that names methods.
    Method,
    /// The most headers.
    Headers,
    /// The most query parameters.
    Query,
    /// The route that stands first.
    Order,
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "it names the scheme",
            Self::Host => "its host is more exact",
            Self::Path => "its path is more exact",
            Self::Method => "it names a method",
            Self::Headers => "it names more headers",
            Self::Query => "it names more query parameters",
            Self::Order => "it stands first",
        })
    }
}

/// A route's match with its place in the file.
pub type Placed<'a> = (usize, &'a RouteMatch);

/// Why `first` is tried before `second`; `None` if it is not.
pub fn comes_before(first: Placed<'_>, second: Placed<'_>) -> Option<Criterion> {
    let both = rank(first).into_iter().zip(rank(second));
    let (mine, others) =
        both.map(|(mine, others)| (mine, others.1)).find(|(mine, others)| mine.1 != *others)?;
    (mine.1 < others).then_some(mine.0)
}

/// Smaller is tried first.
type Rank = (usize, Reverse<usize>);

fn rank((index, matches): Placed<'_>) -> [(Criterion, Rank); 7] {
    let RouteMatch { scheme, except: _, host, path, methods, headers, query } = matches;
    let host = match host {
        Some(HostPattern::Exact(_)) => (0, Reverse(0)),
        Some(HostPattern::Wildcard(domain)) => (1, Reverse(domain.len())),
        None => (2, Reverse(0)),
    };
    [
        (Criterion::Scheme, (usize::from(scheme.is_none()), Reverse(0))),
        (Criterion::Host, host),
        (Criterion::Path, path_rank(path)),
        (Criterion::Method, (usize::from(methods.is_empty()), Reverse(0))),
        (Criterion::Headers, (0, Reverse(headers.len()))),
        (Criterion::Query, (0, Reverse(query.len()))),
        (Criterion::Order, (index, Reverse(0))),
    ]
}

fn path_rank(path: &PathPattern) -> Rank {
    match path {
        PathPattern::Exact(_) => (0, Reverse(0)),
        PathPattern::Prefix(prefix) => match as_matched(prefix).trim_end_matches('/').len() {
            0 => (3, Reverse(0)),
            length => (1, Reverse(length)),
        },
        PathPattern::Regex(_) => (2, Reverse(0)),
        PathPattern::Any => (3, Reverse(0)),
    }
}
