//! TLS to endpoints: whom to believe, what to show, and which sessions may be resumed.
//!
//! What the files hold is read once for each config, off the request path. The sessions belong to one worker and
//! endpoint: the library keeps them behind a lock, which so nobody else can hold, and a ticket of one endpoint is of no use
//! to another.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{Protocol, TlsVersion, UpstreamTls};
use crate::pki::{self, Authorities, Credential, Fault};

/// Tickets kept of each endpoint. Those of TLS 1.3 serve once, and an endpoint gives a few for each connection.
const SESSIONS: usize = 8;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// What an upstream's `tls` comes to.
#[derive(Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// What is shown to an endpoint that asks who calls.
    pub credential: Option<Credential>,
    /// `None` where those of the platform are believed, or everybody is.
    authorities: Option<Authorities>,
}

/// Why TLS cannot be spoken as configured.
#[derive(Debug)]
pub enum Unusable {
    /// A file cannot be used.
    File(Fault),
    /// No authority is known.
    NoAuthorities,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(fault) => fault.fmt(f),
            Self::NoAuthorities => {
                f.write_str("this system has no certificate authorities; install them, or give `ca`")
            }
        }
    }
}

impl From<Fault> for Unusable {
    fn from(fault: Fault) -> Self {
        Self::File(fault)
    }
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// The first that is of no use.
    pub fn load(tls: &UpstreamTls, protocol: Protocol) -> Result<Self, Unusable> {
        let authorities = tls.ca.as_ref().map(|path| Authorities::read(path)).transpose()?;
        let pair = tls.client_certificate.as_ref();
        let credential = pair.map(|pair| Credential::read_client(pair, pki::now())).transpose()?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(versions(tls.min_version))
            .expect("the provider has suites for every version")
            .dangerous()
            .with_custom_certificate_verifier(verifier(tls, authorities.as_ref())?);
        let mut config = match &credential {
            None => builder.with_no_client_auth(),
            Some(credential) => {
                let shown = SingleCertAndKey::from(Arc::clone(&credential.certified));
                builder.with_client_cert_resolver(Arc::new(shown))
            }
        };
        config.alpn_protocols = alpn(protocol).iter().map(|name| name.to_vec()).collect();
        Ok(Self { config: Arc::new(config), credential, authorities })
    }

    /// Whether its files held the same.
    pub fn is_like(&self, other: &Self) -> bool {
        same(self.authorities.as_ref(), other.authorities.as_ref(), Authorities::is)
            && same(self.credential.as_ref(), other.credential.as_ref(), Credential::is)
    }
}

fn same<T>(one: Option<&T>, other: Option<&T>, is: impl Fn(&T, &T) -> bool) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => is(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// What is offered, the preferred first (RFC 7301).
fn alpn(protocol: Protocol) -> &'static [&'static [u8]] {
    match protocol {
        Protocol::Http1 => &[b"http/1.1"],
        Protocol::H2 => &[b"h2"],
        Protocol::Auto => &[b"h2", b"http/1.1"],
    }
}

static VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

fn versions(least: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match least {
        TlsVersion::V1_2 => &VERSIONS,
        TlsVersion::V1_3 => &VERSIONS[..1],
    }
}

fn verifier(
    tls: &UpstreamTls,
    authorities: Option<&Authorities>,
) -> Result<Arc<dyn ServerCertVerifier>, Unusable> {
    if !tls.verify {
        return Ok(Arc::new(Believe));
    }
    let roots = match authorities {
        Some(authorities) => Arc::clone(&authorities.roots),
        None => platform()?,
    };
    let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&PROVIDER)).build();
    Ok(built.expect("there are roots, and no revocation lists"))
}

/// The platform's authorities, read when they are first asked for.
fn platform() -> Result<Arc<RootCertStore>, Unusable> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    let roots = ROOTS.get_or_init(load);
    if roots.is_empty() { Err(Unusable::NoAuthorities) } else { Ok(Arc::clone(roots)) }
}

/// TLS with one endpoint, as one worker speaks it.
#[derive(Clone)]
pub struct Tls {
    shared: Arc<ClientTls>,
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Tls {
    /// With sessions of its own. `name` is asked for, and looked for in the certificate.
    pub fn new(shared: &Arc<ClientTls>, name: &ServerName<'static>) -> Self {
        let mut config = (*shared.config).clone();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Self { shared: Arc::clone(shared), name: name.clone(), connector: Arc::new(config).into() }
    }

    /// The same, but for one question of another protocol.
    pub fn speaking(&self, protocol: Protocol) -> Self {
        let mut config = (**self.connector.config()).clone();
        config.alpn_protocols = alpn(protocol).iter().map(|name| name.to_vec()).collect();
        Self { connector: Arc::new(config).into(), ..self.clone() }
    }

    pub(super) async fn shake_hands<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.connector.connect(self.name.clone(), stream).await
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.name == other.name
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What went wrong, and what may be done about it.
pub(super) fn explain(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| (cause as &(dyn Error + 'static)).downcast_ref());
    let hint = match cause {
        // The second is that of another authority with the same name.
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "; it is of no authority that is believed: give the right one as `ca`",
        Some(rustls::Error::InvalidMessage(_)) => "; something else than TLS may be spoken there",
        _ => "",
    };
    format!("{error}{hint}")
}

/// Believes whoever answers: `verify: false`. That the other side has the key of the certificate it shows is still asked.
#[derive(Debug)]
struct Believe;

impl ServerCertVerifier for Believe {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &PROVIDER.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &PROVIDER.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}
