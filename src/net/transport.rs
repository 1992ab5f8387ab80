//! The bytes of an accepted connection: as they are on the wire, or within TLS.

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::accepted::Accepted;
use super::wire::Wire;

/// What a client's bytes come through.
pub type Transport = Wire<Accepted, TlsStream<Accepted>>;

impl Transport {
    /// The socket beneath.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream.tcp(),
            Self::Tls(stream) => stream.get_ref().0.tcp(),
        }
    }

    /// Whether bytes are as they are on the wire.
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls(_) => false,
        }
    }

    /// Whether client and listener have agreed on HTTP/2 (ALPN). `None` where nothing was said of it.
    pub fn agreed_on_http2(&self) -> Option<bool> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol().map(|protocol| protocol == b"h2"),
        }
    }
}
