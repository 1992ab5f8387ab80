//! `upstreams.*.sticky` and `routes[].split_cookie`: data only. What is in such a cookie is worked out by `policy::seal`.

use std::time::Duration;

use super::model::Secret;

/// A cookie of Tillgate's own, by which a client that comes again goes where it went before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// A token (RFC 6265 section 4.1.1). Default `tillgate` for an upstream's.
    pub name: String,
    /// How long it is good for once it was set, 1 s to 365 days. Default 1 h.
    pub ttl: Duration,
    /// Its `Path`. Default `/`.
    pub path: String,
    /// Whether it has `Secure`. `None`, the default: where the client came by TLS.
    pub secure: Option<bool>,
    /// Its `SameSite`. Default `Lax`.
    pub same_site: SameSite,
    /// Whether scripts are kept from it. Default true.
    pub http_only: bool,
    /// What its value is sealed with: the first; what any of them sealed is read. Without one, a key that this process
    /// makes up.
    pub secrets: Vec<Secret>,
}

impl Cookie {
    /// One of this name, and else the defaults.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ttl: Duration::from_secs(3600),
            path: "/".to_owned(),
            secure: None,
            same_site: SameSite::default(),
            http_only: true,
            secrets: Vec::new(),
        }
    }
}

/// `same_site`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// Sent with what the site itself asks for, and when it is opened by a link.
    #[default]
    Lax,
    /// Sent with what the site itself asks for.
    Strict,
    /// Sent always; browsers want `Secure` with it.
    None,
}

impl SameSite {
    /// The word used for it in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lax => "lax",
            Self::Strict => "strict",
            Self::None => "none",
        }
    }
}
