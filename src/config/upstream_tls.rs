//! `upstreams.*.tls` and `upstreams.*.protocol`: data only. What the files hold is read by `pki`.

use std::path::PathBuf;

use super::tls::TlsVersion;

/// `protocol`: what is spoken with the endpoints of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: over TLS by ALPN, else because it is known to be spoken (RFC 9113 section 3.3).
    H2,
    /// Over TLS whichever of the two the endpoint picks (ALPN), else HTTP/1.1.
    Auto,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http1, Self::H2, Self::Auto];

    /// The word used for it in the config and the admin API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::H2 => "h2",
            Self::Auto => "auto",
        }
    }
}

/// `upstreams.*.tls`: how connections to endpoints are encrypted, and who they have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Asked for (SNI) and looked for in the certificate. Default: the endpoint's host as it stands in the config.
    pub server_name: Option<String>,
    /// The authorities that are believed, in PEM. Default: the platform's.
    pub ca: Option<PathBuf>,
    /// What is shown to an endpoint that asks for a certificate. Default: none.
    pub client_certificate: Option<ClientCertificate>,
    /// The oldest version that is spoken. Default 1.2.
    pub min_version: TlsVersion,
    /// Whether the endpoint has to prove who it is. Default true.
    pub verify: bool,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self {
            server_name: None,
            ca: None,
            client_certificate: None,
            min_version: TlsVersion::V1_2,
            verify: true,
        }
    }
}

/// `client_certificate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and after it those of its intermediates, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}
