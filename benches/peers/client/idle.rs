//! Connections that have been answered once, and wait for a next request that does not come.

use std::io::{Read, stdin};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::http1::{self, Afterwards};
use super::{Outcome, say, tls};

/// How many are being opened at a time: more would measure the proxy's requests, not its idle connections.
const AT_A_TIME: usize = 32;

/// For each, with its handshake and its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens them all, says so, and holds them until stdin ends. One that was closed by then is an error.
pub(crate) async fn hold(to: SocketAddr, number: usize, ca: Option<&Path>) -> Outcome<()> {
    let connector = ca.map(|ca| tls::connector(ca, false)).transpose()?;
    let mut open = open(to, number, connector.as_ref()).await?;
    say(&json!({ "idle": open.len() }))?;
    // On another thread, so that this one learns of what is closed meanwhile.
    spawn_blocking(|| stdin().read_to_end(&mut Vec::new())).await??;
    match closed(&mut open).await {
        0 => Ok(()),
        closed => Err(format!("{closed} of {number} were closed while they were idle").into()),
    }
}

/// How many have been closed, as far as the runtime has heard.
pub(crate) async fn closed(connections: &mut [Box<dyn Stream>]) -> usize {
    let mut closed = 0;
    for connection in connections {
        closed += usize::from(is_closed(connection.as_mut()).await);
    }
    closed
}

/// With TLS or without.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// As many, each answered once.
pub(crate) async fn open(
    to: SocketAddr,
    number: usize,
    connector: Option<&TlsConnector>,
) -> Outcome<Vec<Box<dyn Stream>>> {
    let mut open = Vec::with_capacity(number);
    let mut opening = JoinSet::new();
    for _ in 0..number {
        if opening.len() == AT_A_TIME {
            open.extend(opening.join_next().await.transpose()?.transpose()?);
        }
        opening.spawn_local(in_time(to, connector.cloned()));
    }
    while let Some(opened) = opening.join_next().await {
        open.push(opened??);
    }
    Ok(open)
}

async fn in_time(to: SocketAddr, connector: Option<TlsConnector>) -> Outcome<Box<dyn Stream>> {
    timeout(PATIENCE, open_one(to, connector)).await?
}

async fn open_one(to: SocketAddr, connector: Option<TlsConnector>) -> Outcome<Box<dyn Stream>> {
    let mut stream: Box<dyn Stream> = match connector {
        Some(connector) => Box::new(tls::connect(to, &connector).await?),
        None => Box::new(TcpStream::connect(to).await?),
    };
    http1::get(&mut stream, to, Afterwards::Keep).await?;
    Ok(stream)
}

/// An end, an error, or bytes that nobody asked for; an open one has nothing to read.
async fn is_closed(stream: &mut dyn Stream) -> bool {
    timeout(Duration::ZERO, stream.read(&mut [0])).await.is_ok()
}
