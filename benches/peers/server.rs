//! The services behind the proxies of `make bench-peers` that nginx cannot be: a WebSocket echo and a unary gRPC call.
//!
//! Not part of the product. One thread; both send back what they got.
//!
//!     peers_server server.json      {"websocket": "127.0.0.1:7001", "grpc": "127.0.0.1:7002"}

#[path = "server/echo.rs"]
mod echo;
#[path = "server/unary.rs"]
mod unary;

use std::error::Error;
use std::net::SocketAddr;

use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: peers_server CONFIG.json")?;
    let config: Config = serde_json::from_slice(&std::fs::read(path)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(config))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    websocket: SocketAddr,
    grpc: SocketAddr,
}

async fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    let (websocket, grpc) =
        (TcpListener::bind(config.websocket).await?, TcpListener::bind(config.grpc).await?);
    let echo = spawn_local(async move { echo::serve(&websocket, || ()).await });
    unary::serve(&grpc, || ()).await?;
    Ok(echo.await??)
}
