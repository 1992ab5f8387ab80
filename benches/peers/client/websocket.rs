//! A WebSocket, on which a message goes out and comes back.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::Outcome;
use super::tally::Caller;

/// An open one.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    message: Bytes,
}

/// As many, all open when this returns.
pub(crate) async fn sockets(to: SocketAddr, number: usize, bytes: usize) -> Outcome<Vec<Socket>> {
    let mut sockets = Vec::with_capacity(number);
    for _ in 0..number {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (stream, _) = client_async(format!("ws://{to}/echo"), stream).await?;
        sockets.push(Socket { stream, message: vec![b'x'; bytes].into() });
    }
    Ok(sockets)
}

impl Caller for Socket {
    async fn call(&mut self) -> Outcome<()> {
        self.stream.send(Message::Binary(self.message.clone())).await?;
        match self.stream.next().await.ok_or("closed where an echo was due")?? {
            Message::Binary(echo) if echo == self.message => Ok(()),
            other => Err(format!("{other:?} where an echo was due").into()),
        }
    }
}
