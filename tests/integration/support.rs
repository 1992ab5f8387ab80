//! What every test stands on: a [`Proxy`] under test, an [`Origin`] behind it, a [`Client`] before it.
//!
//! All three speak bytes. Every wait has a deadline, after which the test fails with what it was waiting for.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

mod asker;
mod certificates;
mod client;
mod dead;
mod fifo;
pub mod frames;
mod gate;
mod grpc;
pub mod http2;
mod issuer;
mod message;
mod metrics;
mod openssl;
mod origin;
pub mod peer;
mod program;
mod proxy;
mod shop;
mod yaml;

pub use asker::ask2;
pub use certificates::Authority;
pub use client::Client;
pub use dead::{Blackhole, Refuser};
pub use fifo::Fifo;
pub use gate::Gate;
pub use grpc::{Calls, Echo, ask_patiently, calling};
pub use issuer::Issuer;
pub use message::Message;
pub use metrics::Metrics;
pub use openssl::{Openssl, say, shake_hands};
pub use origin::{Origin, Visit};
pub use program::Program;
pub use proxy::{Proxy, ask_admin, replace};
pub use shop::{LARGE, Shop, http1_shop};
pub use yaml::{Yaml, endpoints};

/// No test waits for anything longer than this.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The smallest complete response.
pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Polls until `found` finds something.
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A response of `body` with its length.
pub fn ok_with(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// An address that nothing listened on a moment ago.
pub fn free_address() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    socket.local_addr().expect("address")
}

/// Whether a new connection to `address` is turned away.
pub fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, DEADLINE).is_err()
}
