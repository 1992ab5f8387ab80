//! The endpoint of these tests, as a process of its own: answers each request with its target, until told to misbehave.
//!
//! It notes each request in its journal as soon as it can read the target, before anything else: whatever becomes of the
//! request and of the process, it counts as received. A line is one write to a file opened for appending, so that a
//! SIGKILL loses none. Told what to do by a word on its standard input, the end of which ends it.

mod brittle;
mod visit;

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::rc::Rc;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

pub use brittle::mixed;

/// In the environment of the process: where to listen, the journal, and a seed.
pub const ADDRESS: &str = "FAULTS_ENDPOINT_ADDRESS";
pub const JOURNAL: &str = "FAULTS_ENDPOINT_JOURNAL";
pub const SEED: &str = "FAULTS_ENDPOINT_SEED";

/// What is done to whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Answers.
    Normal,
    /// Does not listen, and has closed all connections.
    Refuse,
    /// Reads, and never answers.
    Silent,
    /// Closes in the head of the answer.
    HalfHead,
    /// Closes in the body of the answer.
    HalfBody,
    /// Answers what is not HTTP.
    Garbage,
    /// Answers, and goes on with what looks like another answer.
    TooMuch,
    /// One answer in sixteen has a head that does not end.
    EndlessHead,
    /// Answers 500 at once.
    Error,
    /// Breaks off at a stage that the seed and the request decide.
    Brittle,
}

impl Mode {
    const ALL: [Self; 10] = [
        Self::Normal,
        Self::Refuse,
        Self::Silent,
        Self::HalfHead,
        Self::HalfBody,
        Self::Garbage,
        Self::TooMuch,
        Self::EndlessHead,
        Self::Error,
        Self::Brittle,
    ];

    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| format!("{mode:?}") == word)
    }
}

/// What the connections share.
struct Endpoint {
    journal: File,
    mode: watch::Receiver<Mode>,
    seed: u64,
    connections: Cell<u64>,
}

impl Endpoint {
    fn note(&self, request: &str) {
        (&self.journal).write_all(format!("{request}\n").as_bytes()).expect("the journal can be written");
    }

    fn mode(&self) -> Mode {
        *self.mode.borrow()
    }
}

/// Not a test: the process itself, which the tests start from their own binary, so that it is never older than they are.
#[test]
fn endpoint_process() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let address = address.parse().expect("an address");
    let journal = std::env::var_os(JOURNAL).expect("a journal");
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).expect("a seed");
    let journal = OpenOptions::new().append(true).create(true).open(journal).expect("open the journal");
    let (tell, mode) = watch::channel(Mode::Normal);
    std::thread::spawn(move || obey(&tell));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let endpoint = Rc::new(Endpoint { journal, mode, seed, connections: Cell::new(0) });
    LocalSet::new().block_on(&runtime, listen(&endpoint, address));
}

/// Passes on what is said on standard input, and drops the sender at its end.
fn obey(tell: &watch::Sender<Mode>) {
    for word in std::io::stdin().lock().lines().map_while(Result::ok) {
        tell.send_replace(Mode::named(&word).unwrap_or_else(|| panic!("no mode {word}")));
    }
}

async fn listen(endpoint: &Rc<Endpoint>, address: SocketAddr) {
    let mut told = endpoint.mode.clone();
    let mut visits = JoinSet::new();
    let mut listener = Some(bind(address));
    loop {
        let accepted = tokio::select! {
            changed = told.changed() => match changed {
                Ok(()) => None,
                Err(_) => return,
            },
            accepted = accept(listener.as_ref()) => Some(accepted),
            Some(_) = visits.join_next() => None,
        };
        if let Some(stream) = accepted {
            visits.spawn_local(visit::serve(Rc::clone(endpoint), stream));
        }
        if endpoint.mode() == Mode::Refuse {
            listener = None;
            visits.abort_all();
        } else if listener.is_none() {
            listener = Some(bind(address));
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => listener.accept().await.expect("accept").0,
        None => std::future::pending().await,
    }
}

/// The test holds the same address, without listening, so that nobody else gets it while this process is gone.
fn bind(address: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("reuse");
    socket.bind(&address.into()).expect("bind");
    socket.listen(1024).expect("listen");
    socket.set_nonblocking(true).expect("nonblocking");
    TcpListener::from_std(socket.into()).expect("a listener")
}
