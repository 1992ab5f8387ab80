//! `http` and `https`, as a match and a redirect name them.

/// How a client speaks to the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The words used for them in the config, and what they mean.
    pub const WORDS: [(&'static str, Self); 2] = [("http", Self::Http), ("https", Self::Https)];

    /// The word, as it stands in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// What a word means, in any case.
    pub fn of(word: &[u8]) -> Option<Self> {
        let known = Self::WORDS.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        known.map(|(_, scheme)| scheme)
    }

    /// The port that a URL need not name.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}
