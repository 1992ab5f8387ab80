//! Addresses where nobody answers, in the two ways of doing so.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How long an attempt to connect may take before the address counts as silent. On loopback it takes microseconds.
const SILENCE: Duration = Duration::from_millis(100);

/// An address that refuses connections, and that nobody else can take meanwhile.
pub struct Refuser {
    socket: Socket,
}

impl Refuser {
    /// Binds, but does not listen.
    pub fn bind() -> Self {
        Self { socket: bound() }
    }

    /// Where nobody listens.
    pub fn address(&self) -> SocketAddr {
        address(&self.socket)
    }
}

/// An address that does not even refuse: its queue is full, so the kernel drops whoever knocks.
pub struct Blackhole {
    socket: Socket,
    _waiting: Vec<TcpStream>,
}

impl Blackhole {
    /// Listens, never accepts, and fills the queue.
    pub fn bind() -> Self {
        let socket = bound();
        socket.listen(0).expect("listen");
        let connect = || TcpStream::connect_timeout(&address(&socket), SILENCE).ok();
        let waiting = std::iter::from_fn(connect).collect();
        Self { socket, _waiting: waiting }
    }

    /// Where nobody answers.
    pub fn address(&self) -> SocketAddr {
        address(&self.socket)
    }
}

fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    socket
}

fn address(socket: &Socket) -> SocketAddr {
    socket.local_addr().expect("an address").as_socket().expect("an internet address")
}
