//! The PROXY protocol, versions 1 and 2: what stands before the first byte of a connection that a proxy makes, and says
//! for whom it was made (haproxy.org, `proxy-protocol.txt`, sections 2.1 and 2.2).
//!
//! Of our own, since what there is takes ports such as `+80`, does not check the checksum, or does not say where a header
//! ends that is not all there yet. Reads nothing and writes nothing: bytes in, bytes out. Whether a peer is believed is
//! asked elsewhere, before.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::config::SendProxy;

mod refusal;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use refusal::{Expect, Refusal, expect};

/// Bytes of a header at most. Version 1 has 107; of version 2 a few hundred are usual, more where it carries a client's
/// certificate.
pub const LONGEST: usize = 4096;

/// The two ends of the connection that a header speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Who made it.
    pub client: SocketAddr,
    /// Whom it was made to.
    pub server: SocketAddr,
}

impl Ends {
    /// Both as IPv4 or both as IPv6, as a header has room for: IPv4 beside IPv6 is written as `::ffff:a.b.c.d`.
    fn paired(self) -> Pair {
        match (self.client, self.server) {
            (SocketAddr::V4(client), SocketAddr::V4(server)) => Pair::V4(client, server),
            (client, server) => Pair::V6(as_v6(client), as_v6(server)),
        }
    }
}

enum Pair {
    V4(SocketAddrV4, SocketAddrV4),
    V6(SocketAddrV6, SocketAddrV6),
}

fn as_v6(address: SocketAddr) -> SocketAddrV6 {
    let plain = |ip: Ipv6Addr| SocketAddrV6::new(ip, address.port(), 0, 0);
    match address {
        SocketAddr::V4(address) => plain(address.ip().to_ipv6_mapped()),
        SocketAddr::V6(address) => plain(*address.ip()),
    }
}

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// All of them may be the beginning of a header.
    Partial,
    /// The connection does not begin with a header.
    Absent,
    /// A whole header, and of whom it speaks.
    Whole {
        /// How many bytes it has. What comes after them is the client's.
        length: usize,
        /// `None`: of nobody but the proxy itself (LOCAL, as its health checks), or of somebody without such addresses.
        /// The connection's own hold then.
        ends: Option<Ends>,
    },
}

/// What is wrong with what begins like a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It breaks a rule of its version.
    Malformed,
    /// It has more than [`LONGEST`] bytes, or of version 1 more than 107.
    TooLong,
    /// It is not what its checksum was made of.
    WrongChecksum,
}

/// Reads the first bytes of a connection, as many as there are yet.
///
/// # Errors
/// They begin like a header and cannot become a good one.
pub fn read(bytes: &[u8]) -> Result<Reading, Flaw> {
    match (begins(bytes, v1::SIGNATURE), begins(bytes, v2::SIGNATURE)) {
        (Some(true), _) => v1::read(bytes),
        (_, Some(true)) => v2::read(bytes),
        (Some(false), Some(false)) => Ok(Reading::Absent),
        (None, _) | (_, None) => Ok(Reading::Partial),
    }
}

/// `None` while the bytes are too few to tell.
fn begins(bytes: &[u8], signature: &[u8]) -> Option<bool> {
    let count = bytes.len().min(signature.len());
    match bytes[..count] == signature[..count] {
        true => (count == signature.len()).then_some(true),
        false => Some(false),
    }
}

/// The header that says for whom a connection is made; without ends, that it is the proxy's own. Empty where none is sent.
pub fn write(send: SendProxy, ends: Option<Ends>) -> Vec<u8> {
    let pair = ends.map(Ends::paired);
    match send {
        SendProxy::Off => vec![],
        SendProxy::V1 => v1::write(pair.as_ref()),
        SendProxy::V2 => v2::write(pair.as_ref()),
    }
}
