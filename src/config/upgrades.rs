//! `routes[].upgrades`: data only. What follows from it for one request is decided by `policy::upgrade`.

/// The protocols that the clients of a route may switch to. Default: `websocket`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrades(Box<[String]>);

impl Upgrades {
    /// None at all.
    pub fn off() -> Self {
        Self(Box::default())
    }

    /// These, in lower case.
    pub fn of(protocols: Vec<String>) -> Self {
        Self(protocols.into())
    }

    /// Whether this is one of them, however it is written (RFC 9110 section 7.8).
    pub fn allow(&self, protocol: &[u8]) -> bool {
        self.0.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(protocol))
    }

    /// All of them, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether nothing is allowed.
    pub fn is_off(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Upgrades {
    fn default() -> Self {
        Self::of(vec!["websocket".into()])
    }
}
