//! A connection, a handshake, one request: what a visitor costs before the second page.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use rustls::HandshakeKind;
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsConnector;

use super::tally::Caller;
use super::{Outcome, http1, tls};

/// Comes again and again, as somebody unknown or as somebody with a ticket.
pub(crate) struct Visitor {
    to: SocketAddr,
    connector: TlsConnector,
    expected: HandshakeKind,
}

/// As many visitors. Those who resume have been there once when this returns.
pub(crate) async fn visitors(
    to: SocketAddr,
    number: usize,
    ca: &Path,
    resume: bool,
) -> Outcome<Vec<Visitor>> {
    let mut visitors = Vec::with_capacity(number);
    for _ in 0..number {
        let mut visitor =
            Visitor { to, connector: tls::connector(ca, resume)?, expected: HandshakeKind::Full };
        if resume {
            visitor.call().await?;
            visitor.expected = HandshakeKind::Resumed;
        }
        visitors.push(visitor);
    }
    Ok(visitors)
}

impl Caller for Visitor {
    async fn call(&mut self) -> Outcome<()> {
        let mut stream = tls::connect(self.to, &self.connector).await?;
        let kind = stream.get_ref().1.handshake_kind();
        if kind != Some(self.expected) {
            return Err(format!("a handshake {kind:?}, where {:?} was due", self.expected).into());
        }
        http1::get(&mut stream, self.to, http1::Afterwards::Close).await?;
        // The proxy closes, or its last bytes would meet a closed socket. Whether it says so in TLS does not matter here.
        match stream.read(&mut [0]).await {
            Ok(0) => Ok(()),
            Ok(_) => Err("bytes after the answer".into()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
