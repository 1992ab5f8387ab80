//! The client of `make bench-peers` for what wrk and h2load cannot ask: TLS handshakes apart by whether they resume,
//! WebSocket messages, gRPC calls, and connections that are only held.
//!
//! Not part of the product. One thread. Each of its callers asks, waits for the whole answer, looks whether it is the right
//! one, and asks again; when the time is over it finishes what it has begun and counts that too. So it prints how often
//! it was answered, no more and no less, in one line of JSON. Any other answer ends it with an error.
//!
//!     peers_client --to 127.0.0.1:8443 --connections 16 --seconds 5 handshake --ca ca.pem --resume
//!     peers_client --to 127.0.0.1:8080 --connections 10000 idle       a line when all are open, then until stdin ends

#[path = "client/grpc.rs"]
mod grpc;
#[path = "client/handshake.rs"]
mod handshake;
#[path = "client/http1.rs"]
mod http1;
#[path = "client/idle.rs"]
mod idle;
#[path = "client/tally.rs"]
mod tally;
#[cfg(test)]
#[path = "client/tests.rs"]
mod tests;
#[path = "client/tls.rs"]
mod tls;
#[path = "client/websocket.rs"]
mod websocket;

use std::error::Error;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::Value;
use tokio::task::LocalSet;

/// What went wrong is for a person to read; nothing here depends on it.
type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(arguments))
}

#[derive(Parser)]
#[command(about = "Asks a proxy for as long as it is told, and prints how often it was answered")]
struct Arguments {
    /// Where the proxy listens.
    #[arg(long)]
    to: SocketAddr,
    /// How many connections are open at a time.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How long to ask.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// A connection, a TLS 1.3 handshake and one GET for each request.
    Handshake {
        /// The authority that signed the proxy's certificate.
        #[arg(long)]
        ca: PathBuf,
        /// Resume the session of the connection before; a full handshake is then an error.
        #[arg(long)]
        resume: bool,
    },
    /// A message on each connection, and its echo.
    Websocket {
        /// How long a message is.
        #[arg(long, default_value_t = 100)]
        bytes: usize,
    },
    /// Unary calls over HTTP/2 without TLS.
    Grpc {
        /// How many calls are under way on each connection.
        #[arg(long, default_value_t = 16)]
        streams: usize,
        /// How long a message is.
        #[arg(long, default_value_t = 100)]
        bytes: usize,
    },
    /// One GET on each connection, then silence until stdin ends.
    Idle {
        /// The authority that signed the proxy's certificate. Without it there is no TLS.
        #[arg(long)]
        ca: Option<PathBuf>,
    },
}

async fn run(arguments: Arguments) -> Outcome<()> {
    let Arguments { to, connections, seconds, load } = arguments;
    let time = Duration::from_secs(seconds);
    let tally = match load {
        Load::Handshake { ca, resume } => {
            tally::drive(handshake::visitors(to, connections, &ca, resume).await?, time).await?
        }
        Load::Websocket { bytes } => {
            tally::drive(websocket::sockets(to, connections, bytes).await?, time).await?
        }
        Load::Grpc { streams, bytes } => {
            tally::drive(grpc::callers(to, connections, streams, bytes).await?, time).await?
        }
        Load::Idle { ca } => return idle::hold(to, connections, ca.as_deref()).await,
    };
    say(&tally.as_json())
}

fn say(value: &Value) -> Outcome<()> {
    let mut out = stdout();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
