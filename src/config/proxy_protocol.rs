//! `listeners.*.proxy_protocol` and `upstreams.*.proxy_protocol`: data only. The headers themselves are
//! `policy::proxy_header`'s.

/// Whether connections to a listener begin with a PROXY header. Only that of a peer in `trusted_proxies` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AcceptProxy {
    /// None does: one that comes is a malformed request.
    #[default]
    Off,
    /// That of a trusted peer may.
    Optional,
    /// Every one does: it is closed if it does not, or if its peer is not trusted.
    Require,
}

impl AcceptProxy {
    /// All of them, by the word for each in the config.
    pub(super) const WORDS: [(&str, Self); 3] =
        [("off", Self::Off), ("optional", Self::Optional), ("require", Self::Require)];

    /// The word used for it in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Require => "require",
        }
    }
}

/// Whether connections to the endpoints of an upstream begin with a PROXY header that names the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SendProxy {
    /// They do not.
    #[default]
    Off,
    /// With a line of text.
    V1,
    /// With a binary one.
    V2,
}

impl SendProxy {
    /// All of them, by the word for each in the config.
    pub(super) const WORDS: [(&str, Self); 3] = [("off", Self::Off), ("v1", Self::V1), ("v2", Self::V2)];

    /// The word used for it in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}
