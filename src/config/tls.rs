//! `listeners.*.tls`: data only. What the files hold is read by `pki`, and served by `net::tls`.

use std::path::PathBuf;

/// How a listener encrypts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// 1 to 1,000; the first is shown to clients that name no host, or one that none is for.
    pub certificates: Vec<Certificate>,
    /// The oldest version that is spoken. Default 1.2.
    pub min_version: TlsVersion,
    /// Whether clients show certificates too. Default: they are not asked.
    pub client_auth: Option<ClientAuth>,
    /// What is offered to be spoken inside, the preferred first. Default: h2, http/1.1.
    pub alpn: Vec<Alpn>,
    /// Whether clients may resume a session with a ticket, which saves both sides most of a handshake. Default true.
    pub session_tickets: bool,
}

impl ListenerTls {
    /// Every file it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let certificates = self.certificates.iter().flat_map(Certificate::files);
        certificates.chain(self.client_auth.iter().map(|auth| &auth.ca))
    }
}

/// One entry of `certificates`; all paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Certificate {
    /// The certificate, and after it those of its intermediates, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// An OCSP response for it, in DER.
    pub ocsp: Option<PathBuf>,
}

impl Certificate {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.cert, &self.key].into_iter().chain(&self.ocsp)
    }
}

/// `min_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

impl TlsVersion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::V1_2, Self::V1_3];

    /// As in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// `client_auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuth {
    /// The certificates of those who may issue clients' certificates, in PEM; the path is absolute.
    pub ca: PathBuf,
    /// Whether a client may come without. Default require.
    pub mode: ClientAuthMode,
}

/// `client_auth.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthMode {
    /// Nobody gets in without.
    Require,
    /// Who has none is let in and not named to endpoints.
    Optional,
}

impl ClientAuthMode {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Require, Self::Optional];

    /// The word used for it in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::Optional => "optional",
        }
    }
}

/// One entry of `alpn` (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/2.
    H2,
    /// HTTP/1.1.
    Http1,
}

impl Alpn {
    /// All of them, the preferred first.
    pub const ALL: [Self; 2] = [Self::H2, Self::Http1];

    /// As it is registered, and in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::H2 => "h2",
            Self::Http1 => "http/1.1",
        }
    }
}
