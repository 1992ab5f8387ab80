//! `routes[].redirect`: data only. What it makes of one request is worked out by `policy::redirect`.

use std::num::NonZeroU16;

use http::StatusCode;

use super::rewrite::PathChange;
use super::scheme::Scheme;

/// Where clients are sent instead. Something of it is given.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// Default: the one the client used.
    pub scheme: Option<Scheme>,
    /// Without port, IPv6 in brackets. Default: the one the client asked for.
    pub host: Option<String>,
    /// Default: that of `scheme`; where there is none either, the one the client asked for.
    pub port: Option<NonZeroU16>,
    /// Default: the path the client asked for. The query stays in any case.
    pub path: Option<PathChange>,
    /// 301, 302, 303, 307 or 308. Default 308: for good, and with the same method and body.
    pub status: StatusCode,
}

impl Redirect {
    /// What may be answered, the default last.
    pub const STATUSES: [StatusCode; 5] = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];

    /// The scheme, if it is all that changes.
    pub fn only_scheme(&self) -> Option<Scheme> {
        match self {
            Self { scheme, host: None, port: _, path: None, status: _ } => *scheme,
            Self { .. } => None,
        }
    }
}
