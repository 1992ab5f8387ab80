//! `routes[].split`: data only. Which upstream a request goes to is decided by `policy::split`.

use super::model::Cookie;

/// Upstreams that share the requests of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// In file order, 1 to 100; no upstream twice, and not all of weight 0.
    pub branches: Vec<Branch>,
    /// `split_cookie`: keeps a client with its upstream. Default: every request is drawn for anew.
    pub cookie: Option<Cookie>,
}

/// One entry of `split`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The name of the upstream.
    pub upstream: String,
    /// Its share relative to the others, 0 to 1000; 0 gets none, and no client stays with it.
    pub weight: u32,
}
