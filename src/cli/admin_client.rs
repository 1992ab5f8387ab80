//! Asks the admin server of a running process. One GET, bounded in time and in bytes.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Builder;

use crate::config::Admin;

/// From the connection to the last byte.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of an answer: that of 20,000 endpoints.
const MOST: usize = 16 * 1024 * 1024;

/// Where an admin server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// `host:port`.
    Tcp(String),
    /// A socket's path.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(authority) => f.write_str(authority),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// Reads `http://127.0.0.1:9900`, `127.0.0.1:9900` or `unix:/run/tillgate/admin.sock`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let uri = format!("http://{bare}/").parse::<Uri>().ok();
        let authority = uri.filter(|uri| uri.path() == "/" && !bare.contains('@'));
        let host = |uri: &Uri| uri.host().filter(|host| !host.is_empty()).map(str::to_owned);
        match authority.and_then(|uri| Some(format!("{}:{}", host(&uri)?, uri.port_u16()?))) {
            Some(authority) => Ok(Self::Tcp(authority)),
            None => Err(format!(
                "--admin {text}: not the address of an admin server\n  \
                 hint: write http://127.0.0.1:9900 or unix:/run/tillgate/admin.sock"
            )),
        }
    }

    /// Where a process on this config has its admin server.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub(super) fn of(admin: &Admin) -> Result<Self, &'static str> {
        match admin {
            Admin::Off => Err("the config says `admin: off`"),
            Admin::Tcp(address) if address.port() == 0 => {
                Err("the config gives the admin server any free port; say which with --admin")
            }
            Admin::Tcp(address) if address.ip().is_unspecified() => {
                let loopback = if address.is_ipv4() { "127.0.0.1" } else { "[::1]" };
                Ok(Self::Tcp(format!("{loopback}:{}", address.port())))
            }
            Admin::Tcp(address) => Ok(Self::Tcp(address.to_string())),
            Admin::Unix(path) => Ok(Self::Unix(path.clone())),
        }
    }
}

/// The body of the answer to `GET path`.
///
/// # Errors
/// Why there is none, in words that follow the address.
pub(super) fn get(address: &Address, path: &str) -> Result<Bytes, String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let answer = runtime.block_on(async { tokio::time::timeout(TIMEOUT, ask(address, path)).await });
    // Not dropped: that would wait for a name that is being looked up.
    runtime.shutdown_background();
    answer.unwrap_or_else(|_| Err(format!("does not answer within {TIMEOUT:?}")))
}

async fn ask(address: &Address, path: &str) -> Result<Bytes, String> {
    let refused = |error: std::io::Error| format!("does not answer ({error})");
    match address {
        Address::Tcp(authority) => {
            let stream = TcpStream::connect(authority).await.map_err(refused)?;
            exchange(stream, authority, path).await
        }
        Address::Unix(socket) => {
            let stream = UnixStream::connect(socket).await.map_err(refused)?;
            exchange(stream, "localhost", path).await
        }
    }
}

async fn exchange<S>(stream: S, host: &str, path: &str) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| format!("does not answer in HTTP ({error})");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // What goes wrong with it reaches the request.
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::get(path).header(header::HOST, host).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| format!("cannot be asked ({error})"))?;
    let response = sender.send_request(request).await.map_err(broken)?;
    if response.status() != StatusCode::OK {
        return Err(format!("answers {}, as no admin server does", response.status()));
    }
    let body = Limited::new(response.into_body(), MOST).collect().await;
    body.map(|body| body.to_bytes()).map_err(|error| format!("breaks off its answer ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_urls_or_bare() {
        let tcp = |text: &str| Address::Tcp(text.to_owned());
        for text in ["127.0.0.1:9900", "http://127.0.0.1:9900", "http://127.0.0.1:9900/"] {
            assert_eq!(Address::parse(text), Ok(tcp("127.0.0.1:9900")), "{text}");
        }
        assert_eq!(Address::parse("[::1]:9900"), Ok(tcp("[::1]:9900")));
        assert_eq!(Address::parse("localhost:1"), Ok(tcp("localhost:1")));
        assert_eq!(Address::parse("unix:/run/a.sock"), Ok(Address::Unix("/run/a.sock".into())));
        for text in ["", "127.0.0.1", "https://127.0.0.1:1", "http://a:1/b", "http://a@b:1", "a b:1", ":9900"]
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_admin_server_on_all_addresses_is_asked_on_this_machine() {
        let of = |text: &str| Address::of(&Admin::Tcp(text.parse().expect("an address")));
        assert_eq!(of("0.0.0.0:9900"), Ok(Address::Tcp("127.0.0.1:9900".into())));
        assert_eq!(of("[::]:9900"), Ok(Address::Tcp("[::1]:9900".into())));
        assert_eq!(of("10.0.0.1:9900"), Ok(Address::Tcp("10.0.0.1:9900".into())));
        assert!(of("127.0.0.1:0").is_err() && Address::of(&Admin::Off).is_err());
    }
}
