//! A site with TLS, which answers one request on each connection and counts its handshakes.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Outcome;

pub(super) struct Site {
    pub(super) listener: TcpListener,
    /// The authority that signed its certificate.
    pub(super) ca: NamedTempFile,
    pub(super) full: Rc<Cell<u64>>,
    pub(super) resumed: Rc<Cell<u64>>,
    /// How many a handshake gives.
    pub(super) tickets: usize,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Site {
    pub(super) async fn open() -> Outcome<Self> {
        let (authority, mut ca) = (KeyPair::generate()?, NamedTempFile::new()?);
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.write_all(params.self_signed(&authority)?.pem().as_bytes())?;
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(["localhost".to_owned()])?
            .signed_by(&key, &Issuer::new(params, authority))?;
        Ok(Self {
            listener: TcpListener::bind("127.0.0.1:0").await?,
            ca,
            full: Rc::default(),
            resumed: Rc::default(),
            tickets: 2,
            certificate: leaf.into(),
            key: key.into(),
        })
    }

    /// For as long as it is asked.
    pub(super) async fn serve(self) -> Outcome<()> {
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate], self.key)?;
        config.send_tls13_tickets = self.tickets;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        loop {
            let (stream, _) = self.listener.accept().await?;
            // One after the other will do.
            match answer(&acceptor, stream).await? {
                Some(HandshakeKind::Resumed) => self.resumed.set(self.resumed.get() + 1),
                _ => self.full.set(self.full.get() + 1),
            }
        }
    }
}

async fn answer(acceptor: &TlsAcceptor, stream: TcpStream) -> Outcome<Option<HandshakeKind>> {
    let mut stream = acceptor.accept(stream).await?;
    let _request = stream.read(&mut [0; 1024]).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
    stream.shutdown().await?;
    Ok(stream.get_ref().1.handshake_kind())
}
