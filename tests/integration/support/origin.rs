//! An endpoint that does exactly what a test tells it to, and remembers what it was sent.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::message::is_timeout;
use super::{DEADLINE, Gate, Message, OK, eventually, ok_with};

/// A listening endpoint, closed on drop.
pub struct Origin {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Message>>,
    connections: AtomicUsize,
    ended: AtomicUsize,
    closed: AtomicBool,
}

/// One connection that the proxy made.
pub struct Visit {
    /// To read from.
    pub reader: BufReader<TcpStream>,
    /// To write to.
    pub stream: TcpStream,
    /// Counted from 1.
    pub number: usize,
    seen: Arc<Seen>,
}

impl Visit {
    /// Reads a whole request and remembers it.
    pub fn request(&mut self) -> Option<Message> {
        let request = Message::read_request(&mut self.reader)?;
        self.seen.requests.lock().expect("requests").push(request.clone());
        Some(request)
    }

    /// Reads a request's head and remembers it; the body is still to be read.
    pub fn request_head(&mut self) -> Option<Message> {
        let request = Message::read_request_head(&mut self.reader)?;
        self.seen.requests.lock().expect("requests").push(request.clone());
        Some(request)
    }

    /// Waits for the proxy to close or reset the connection. Whether it did so without another byte.
    pub fn closes(&mut self) -> bool {
        let mut byte = [0];
        match self.reader.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => !is_timeout(&error),
        }
    }

    /// Takes in what the proxy sends, whatever it is. False at the end.
    pub fn sends(&mut self) -> bool {
        let mut bytes = [0; 1024];
        matches!(self.reader.read(&mut bytes), Ok(count) if count > 0)
    }

    /// Writes bytes as they are. Whether the proxy still took them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }
}

impl Origin {
    /// Runs `visit` for each connection, in a thread of its own.
    pub fn start(visit: impl Fn(&mut Visit) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let seen = Arc::new(Seen::default());
        let (shared, visit) = (Arc::clone(&seen), Arc::new(visit));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                let (shared, visit) = (Arc::clone(&shared), Arc::clone(&visit));
                thread::spawn(move || visit(&mut Visit::new(stream, number, shared)));
            }
        });
        Self { address, seen }
    }

    /// Answers each request with the same bytes, on connections that stay open.
    pub fn answering(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::start(move |visit| while visit.request().is_some() && visit.send(&response) {})
    }

    /// Answers each request with `name`, a space and the target it was sent.
    pub fn echoing(name: &'static str) -> Self {
        Self::start(move |visit| {
            while let Some(request) = visit.request() {
                let target = request.start_line().split(' ').nth(1).unwrap_or("");
                if !visit.send(ok_with(&format!("{name} {target}"))) {
                    return;
                }
            }
        })
    }

    /// Reads each request, and answers it when the gate opens.
    pub fn behind(gate: &Gate) -> Self {
        let gate = gate.clone();
        Self::start(move |visit| {
            while visit.request().is_some() {
                gate.pass();
                if !visit.send(OK) {
                    return;
                }
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was sent so far.
    pub fn requests(&self) -> Vec<Message> {
        self.seen.requests.lock().expect("requests").clone()
    }

    /// The only request it was sent.
    pub fn request(&self) -> Message {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    /// Waits until it has been sent that many.
    pub fn wait_for(&self, requests: usize) {
        eventually("requests at the origin", || (self.requests().len() >= requests).then_some(()));
    }

    /// Waits until that many connections have ended, and what came on them is in [`requests`](Self::requests).
    pub fn wait_for_ends(&self, connections: usize) {
        let ended = || self.seen.ended.load(Ordering::SeqCst);
        eventually("ends of connections", || (ended() >= connections).then_some(()));
    }

    /// Connections made to it so far.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

impl Visit {
    fn new(stream: TcpStream, number: usize, seen: Arc<Seen>) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("read timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("write timeout");
        stream.set_nodelay(true).expect("nodelay");
        let reader = BufReader::new(stream.try_clone().expect("clone"));
        Self { reader, stream, number, seen }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        // The connection is over for the proxy before it is counted as ended.
        drop(self.stream.shutdown(Shutdown::Both));
        self.seen.ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.seen.closed.store(true, Ordering::SeqCst);
        // Wakes the accept loop, which then sees the flag.
        drop(TcpStream::connect(self.address));
    }
}
