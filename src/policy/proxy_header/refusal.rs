//! Who is asked for a header, and why a connection is closed for want of a good one.

use super::Flaw;
use crate::config::AcceptProxy;

/// Whether a connection begins with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It begins with TLS or HTTP.
    Nothing,
    /// It may.
    Perhaps,
    /// It does.
    Header,
}

/// What is expected of a connection, by its listener and by whether its peer is one of those that are believed: one that is
/// not cannot say who its client is, whatever it sends.
///
/// # Errors
/// The connection is of no use.
pub fn expect(accept: AcceptProxy, is_trusted: impl Fn() -> bool) -> Result<Expect, Refusal> {
    match accept {
        AcceptProxy::Off => Ok(Expect::Nothing),
        AcceptProxy::Optional if is_trusted() => Ok(Expect::Perhaps),
        AcceptProxy::Optional => Ok(Expect::Nothing),
        AcceptProxy::Require if is_trusted() => Ok(Expect::Header),
        AcceptProxy::Require => Err(Refusal::Untrusted),
    }
}

/// Why a connection is closed before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A header is required, and its peer is not believed.
    Untrusted,
    /// A header is required, and it begins with something else.
    Missing,
    /// It ended within the header.
    Incomplete,
    /// The header was not there in time.
    TimedOut,
    /// The header is not a good one.
    Flawed(Flaw),
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Untrusted,
        Self::Missing,
        Self::Incomplete,
        Self::TimedOut,
        Self::Flawed(Flaw::Malformed),
        Self::Flawed(Flaw::TooLong),
        Self::Flawed(Flaw::WrongChecksum),
    ];

    /// The word for it in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Untrusted => "proxy_untrusted",
            Self::Missing => "proxy_missing",
            Self::Incomplete => "proxy_incomplete",
            Self::TimedOut => "proxy_timeout",
            Self::Flawed(Flaw::Malformed) => "proxy_malformed",
            Self::Flawed(Flaw::TooLong) => "proxy_too_long",
            Self::Flawed(Flaw::WrongChecksum) => "proxy_checksum",
        }
    }

    /// Its place in [`Refusal::ALL`].
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|one| *one == self).expect("all of them are there")
    }
}

impl From<Flaw> for Refusal {
    fn from(flaw: Flaw) -> Self {
        Self::Flawed(flaw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_peer_is_asked_for_a_header() {
        let of = |accept, trusted| expect(accept, || trusted);
        assert_eq!(of(AcceptProxy::Off, true), Ok(Expect::Nothing));
        assert_eq!(of(AcceptProxy::Optional, true), Ok(Expect::Perhaps));
        assert_eq!(of(AcceptProxy::Optional, false), Ok(Expect::Nothing));
        assert_eq!(of(AcceptProxy::Require, true), Ok(Expect::Header));
        assert_eq!(of(AcceptProxy::Require, false), Err(Refusal::Untrusted));
    }

    #[test]
    fn each_refusal_has_a_place_and_a_word_of_its_own() {
        let names: std::collections::HashSet<_> = Refusal::ALL.map(Refusal::name).into();
        assert_eq!(names.len(), Refusal::ALL.len());
        assert!(Refusal::ALL.iter().enumerate().all(|(index, one)| one.index() == index));
    }
}
