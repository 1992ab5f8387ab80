//! Listening sockets: one per worker and address, so that the kernel spreads connections and no worker shares a queue.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel may hold for one socket before they are accepted.
const BACKLOG: i32 = 4096;

/// Binds `count` sockets to one address with `SO_REUSEPORT`. With port 0, all of them get the port the first one got.
///
/// # Errors
/// Whatever the operating system says of the address: in use, not available, not permitted.
pub fn bind_all(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let first = bind(address)?;
    let bound = first.local_addr()?;
    let rest = (1..count).map(|_| bind(bound));
    std::iter::once(Ok(first)).chain(rest).collect()
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether somebody else already accepts connections there: `SO_REUSEPORT` would silently share the port with
/// another process of the same user, and half the traffic would go to it.
///
/// An address that overlaps one of `ours` cannot be asked for, and need not be: a listener that moves from every
/// interface to one of them shares its port with itself for a moment.
///
/// # Errors
/// The address is in use, or the operating system refuses it.
pub fn claim(address: SocketAddr, ours: impl IntoIterator<Item = SocketAddr>) -> io::Result<()> {
    if address.port() == 0 || ours.into_iter().any(|ours| overlaps(ours, address)) {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

fn overlaps(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && (a.ip() == b.ip() || any && a.is_ipv4() == b.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_gets_a_socket_on_the_same_free_port() {
        let sockets = bind_all(SocketAddr::from(([127, 0, 0, 1], 0)), 3).expect("bind");
        let ports: Vec<u16> = sockets.iter().map(|s| s.local_addr().expect("address").port()).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn a_port_that_another_process_serves_is_not_shared_with_it() {
        let taken = bind_all(SocketAddr::from(([127, 0, 0, 1], 0)), 1).expect("bind");
        let address = taken[0].local_addr().expect("address");
        let refused = claim(address, []).expect_err("claimed a port in use");
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }
}
