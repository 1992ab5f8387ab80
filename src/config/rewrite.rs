//! `routes[].rewrite`: data only. What it makes of one request is worked out by `policy::rewrite`.

use http::HeaderValue;
use regex::Regex;

/// What endpoints are asked for in place of what the client asked for. Something of it is given.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// Default: the client's path. The query stays in any case.
    pub path: Option<PathChange>,
    /// What Host says, with a port if need be. Default: what the client asked for.
    pub host: Option<HeaderValue>,
}

/// Another path, as the config writes it: characters that a request has to escape stand for themselves.
#[derive(Debug, Clone)]
pub enum PathChange {
    /// `path`: in place of all of it.
    Whole(String),
    /// `path_prefix`: in place of the part that the route matches. Without a trailing slash, save for `/`.
    Prefix(String),
    /// `path_regex`: in place of what the pattern finds first.
    Pattern {
        /// What is looked for in the path as it would be forwarded, escapes and all.
        pattern: Regex,
        /// `$1` and `$name` stand for groups of the pattern, `$$` for a dollar sign.
        replacement: String,
    },
}
