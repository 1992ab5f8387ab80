//! A WebSocket on any path, which sends back what it gets.

use std::io;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Error;

/// Serves for ever; `count` is called for each message.
pub(crate) async fn serve(listener: &TcpListener, count: impl Fn() + Clone + 'static) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        spawn_local(echo(stream, count.clone()));
    }
}

/// Ends when the client closes, in what way ever.
async fn echo(stream: TcpStream, count: impl Fn()) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        // The library answers a ping and a close by itself.
        if message.is_binary() || message.is_text() {
            count();
            socket.send(message).await?;
        }
    }
    Ok(())
}
