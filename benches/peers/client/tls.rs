//! TLS as every proxy is asked for it: version 1.3, X25519, AES-128-GCM. Only that is offered, so nobody can win by choosing
//! something cheaper.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Outcome;

/// The name in the certificates of the bench.
const NAME: &str = "localhost";

/// Believes only what `ca` has signed. Keeps tickets for itself, or none.
pub(crate) fn connector(ca: &Path, resume: bool) -> Outcome<TlsConnector> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(ca)?)
        .with_no_client_auth();
    config.resumption = if resume { Resumption::in_memory_sessions(1) } else { Resumption::disabled() };
    Ok(Arc::new(config).into())
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![kx_group::X25519],
        ..default_provider()
    }
}

fn roots(ca: &Path) -> Outcome<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    Ok(roots)
}

/// A new connection, and a handshake on it.
pub(crate) async fn connect(to: SocketAddr, connector: &TlsConnector) -> Outcome<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(connector.connect(ServerName::try_from(NAME)?, stream).await?)
}
