//! `routes[].cors`: data only. Who is told what is decided by `policy::cors`.

use std::time::Duration;

use http::{HeaderName, Method};

/// Which pages of other origins may read what the route answers (the CORS protocol of the Fetch standard).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages. Never [`Listed::All`] beside `allow_credentials`, and neither are the lists below.
    pub allow_origins: Listed<OriginPattern>,
    /// With which methods. Default: those that the route takes; where it takes all, GET, HEAD and POST.
    pub allow_methods: Listed<Method>,
    /// Which headers they may send, beside the few that any page may. Default: none.
    pub allow_headers: Listed<HeaderName>,
    /// Which headers of the answer they may read, beside the few that any page may. Default: none.
    pub expose_headers: Listed<HeaderName>,
    /// Whether they may send cookies. Default: no.
    pub allow_credentials: bool,
    /// How long a browser may keep what it was told before it asks again, 0 s to 24 h. Default 10 min.
    pub max_age: Duration,
}

impl Cors {
    /// The default of `max_age`: few more requests, and an edit of the config is in force soon.
    pub const MAX_AGE: Duration = Duration::from_secs(600);
}

/// Everything, or what is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed<T> {
    /// `"*"`.
    All,
    /// These.
    These(Vec<T>),
}

/// One entry of `allow_origins`, in lower case and without the scheme's own port, as browsers write origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `https://shop.example`.
    Exact(String),
    /// `https://*.shop.example:8443`: one or more labels before the domain.
    Wildcard {
        /// `https://`.
        scheme: String,
        /// `.shop.example:8443`.
        domain: String,
    },
}
