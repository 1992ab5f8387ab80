//! One handshake, within its deadline, and what is known of the client after it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustls::{HandshakeKind, ServerConnection};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Failure, Termination};
use crate::net::accepted::Accepted;
use crate::net::transport::Transport;
use crate::pki::{self, ClientCertificate};

/// What client and listener have agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// As in `1.3`.
    pub version: &'static str,
    /// The host that the client asked for, in lower case.
    pub server_name: Option<Box<str>>,
    /// Who the client is, where it was asked and has said so.
    pub client: Option<ClientCertificate>,
}

/// How a connection to a listener with TLS goes on.
#[derive(Debug)]
pub struct Shaken {
    /// What its bytes come through.
    pub transport: Transport,
    /// `None` for a client that speaks plain HTTP, which has to be told so.
    pub session: Option<Box<Session>>,
}

/// Shakes hands with a client, within `deadline`, and counts what comes of it.
///
/// # Errors
/// What it failed for.
pub async fn shake_hands(stream: Accepted, tls: &Termination, deadline: Duration) -> io::Result<Shaken> {
    let shaken = match timeout(deadline, shake(stream, tls)).await {
        Ok(shaken) => shaken,
        Err(_) => Err((Failure::Timeout, io::ErrorKind::TimedOut.into())),
    };
    shaken.map_err(|(failure, error)| {
        tls.handshakes.count_failed(failure);
        error
    })
}

async fn shake(stream: Accepted, tls: &Termination) -> Result<Shaken, (Failure, io::Error)> {
    if begins_http(&stream).await.map_err(|error| (Failure::Closed, error))? {
        tls.handshakes.count_failed(Failure::PlainHttp);
        return Ok(Shaken { transport: Transport::Plain(stream), session: None });
    }
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.server));
    let stream = acceptor.accept(stream).await.map_err(|error| (Failure::of(&error), error))?;
    let session = Session::of(&stream).map_err(|error| (Failure::ClientCertificate, error))?;
    let (_, library) = stream.get_ref();
    tls.handshakes.count_done(library.protocol_version(), is_resumed(library));
    Ok(Shaken { transport: Transport::Tls(Box::new(stream)), session: Some(Box::new(session)) })
}

/// Whether the first byte is one that no handshake begins with, and every request does. It stays where it is.
async fn begins_http(stream: &Accepted) -> io::Result<bool> {
    Ok(stream.first().await?.is_some_and(|byte| byte.is_ascii_uppercase()))
}

fn is_resumed(library: &ServerConnection) -> bool {
    library.handshake_kind() == Some(HandshakeKind::Resumed)
}

impl Session {
    /// How the client is named to endpoints.
    pub fn forwarded(&self) -> Option<&HeaderValue> {
        self.client.as_ref().map(|client| &client.element)
    }

    fn of(stream: &TlsStream<Accepted>) -> io::Result<Self> {
        let (_, library) = stream.get_ref();
        let version = match library.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        };
        let server_name = library.server_name().map(Box::from);
        Ok(Self { version, server_name, client: identity(library, pki::now())? })
    }
}

/// The client's certificate. Who resumes is not asked for it again, so that it may have expired meanwhile.
pub(super) fn identity(library: &ServerConnection, now: i64) -> io::Result<Option<ClientCertificate>> {
    let Some(leaf) = library.peer_certificates().and_then(<[_]>::first) else { return Ok(None) };
    let client = ClientCertificate::of(leaf)
        .ok_or_else(|| io::Error::other("the client's certificate cannot be read"))?;
    match client.not_after < now {
        true => Err(io::Error::other("the client's certificate has expired since it was verified")),
        false => Ok(Some(client)),
    }
}
