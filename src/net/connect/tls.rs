//! TLS to endpoints: whom to believe, what to show, and which sessions may be resumed.
//!
//! What the files hold is read once for each config, off the request path. The sessions belong to one worker and
//! endpoint: the library keeps them behind a lock, which so nobody else can hold, and a ticket of one endpoint is of no use
//! to another.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{ClientCertificate, Protocol, TlsVersion, UpstreamTls};
use crate::policy::balance::hash_key;

/// Tickets kept of each endpoint. Those of TLS 1.3 serve once, and an endpoint gives a few for each connection.
const SESSIONS: usize = 8;

/// Bytes of a file of certificates or keys; a larger one is something else.
const MOST_BYTES: u64 = 4 << 20;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// What an upstream's `tls` comes to.
#[derive(Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// Of the bytes of its files.
    digest: u64,
}

/// Why TLS cannot be spoken as configured.
#[derive(Debug)]
pub enum Unusable {
    /// A file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// A file does not hold what it should.
    Bad(PathBuf, String),
    /// No authority is known.
    NoAuthorities,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Bad(path, why) => write!(f, "{} {why}", path.display()),
            Self::NoAuthorities => {
                f.write_str("this system has no certificate authorities; install them, or give `ca`")
            }
        }
    }
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// The first that is of no use.
    pub fn load(tls: &UpstreamTls, protocol: Protocol) -> Result<Self, Unusable> {
        let mut read = Vec::new();
        let verifier = verifier(tls, &mut read)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(versions(tls.min_version))
            .expect("the provider has suites for every version")
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &tls.client_certificate {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let (chain, key) = key_pair(pair, &mut read)?;
                let unfit = |error| {
                    Unusable::Bad(
                        pair.key.clone(),
                        format!("is not the key of {}: {error}", pair.cert.display()),
                    )
                };
                builder.with_client_auth_cert(chain, key).map_err(unfit)?
            }
        };
        config.alpn_protocols = alpn(protocol).iter().map(|name| name.to_vec()).collect();
        Ok(Self { config: Arc::new(config), digest: hash_key(&read) })
    }

    /// Whether its files held the same.
    pub fn is_like(&self, other: &Self) -> bool {
        self.digest == other.digest
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

fn verifier(tls: &UpstreamTls, read: &mut Vec<u8>) -> Result<Arc<dyn ServerCertVerifier>, Unusable> {
    if !tls.verify {
        return Ok(Arc::new(Believe));
    }
    let roots = match &tls.ca {
        Some(path) => Arc::new(authorities(path, read)?),
        None => platform()?,
    };
    let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&PROVIDER)).build();
    Ok(built.expect("there are roots, and no revocation lists"))
}

fn authorities(path: &Path, read: &mut Vec<u8>) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, read)? {
        let bad = |error| {
            Unusable::Bad(path.to_owned(), format!("has a certificate that is no authority's: {error}"))
        };
        roots.add(certificate).map_err(bad)?;
    }
    Ok(roots)
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

fn key_pair(
    pair: &ClientCertificate,
    read: &mut Vec<u8>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Unusable> {
    let chain = certificates(&pair.cert, read)?;
    let bytes = bytes_of(&pair.key, read)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|error| Unusable::Bad(pair.key.clone(), format!("has no private key in PEM: {error}")))?;
    Ok((chain, key))
}

fn certificates(path: &Path, read: &mut Vec<u8>) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let bytes = bytes_of(path, read)?;
    let bad = |why: String| Unusable::Bad(path.to_owned(), why);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(bad("has no certificate in PEM".into())),
        Err(error) => Err(bad(format!("is not PEM: {error}"))),
    }
}

fn bytes_of(path: &Path, read: &mut Vec<u8>) -> Result<Vec<u8>, Unusable> {
    let unreadable = |error| Unusable::Unreadable(path.to_owned(), error);
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > MOST_BYTES {
        return Err(Unusable::Bad(path.to_owned(), "is too large to hold certificates".into()));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    read.extend_from_slice(&bytes);
    // So that the end of one file is not the beginning of the next.
    read.extend_from_slice(&bytes.len().to_be_bytes());
    Ok(bytes)
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
