//! An endpoint that dies under traffic.

use std::io::{BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::{Message, OK, Origin, Yaml, eventually};

/// An endpoint that closes its listener and all its connections at once, wherever their requests are.
pub struct Mortal {
    address: SocketAddr,
    alive: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Mortal {
    /// Answers until it is killed.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("an address");
        let mortal = Self {
            address,
            alive: Arc::new(AtomicBool::new(true)),
            answered: Arc::default(),
            open: Arc::default(),
        };
        let (alive, answered, open) =
            (Arc::clone(&mortal.alive), Arc::clone(&mortal.answered), Arc::clone(&mortal.open));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut open = open.lock().expect("streams");
                if !alive.load(Ordering::SeqCst) {
                    return;
                }
                open.push(stream.try_clone().expect("clone"));
                let answered = Arc::clone(&answered);
                thread::spawn(move || serve(stream, &answered));
            }
        });
        mortal
    }

    /// Where it listens, or did.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it.
    pub fn kill(&self) {
        let open = self.open.lock().expect("streams");
        self.alive.store(false, Ordering::SeqCst);
        open.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        drop(open);
        // Wakes the accept loop, which then drops the listener.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(mut stream: TcpStream, answered: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().expect("clone"));
    while Message::read_request(&mut reader).is_some() && stream.write_all(OK).is_ok() {
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn no_get_fails_when_an_endpoint_dies_under_a_thousand_of_them() {
    let (mortal, survivor) = (Mortal::start(), Origin::answering(OK));
    let endpoints = format!("[\"{}\", \"{}\"]", mortal.address, survivor.address());
    let proxy = Yaml::new(&format!("strategy: least_response, endpoints: {endpoints}")).start();
    // What nothing is known of yet is tried one request at a time, dead or alive.
    let is_warm = |one: &serde_json::Value| one["cost"]["cold"] == false;
    let mut first = proxy.client();
    eventually("both are known", || {
        assert_eq!(first.get("/").status(), 200);
        proxy.endpoints_when("shop", |_| true).iter().all(is_warm).then_some(())
    });
    let asked = AtomicUsize::new(0);
    let failed: Vec<Message> = thread::scope(|scope| {
        let ask = || {
            let mut client = proxy.client();
            let answer = |_| {
                if asked.fetch_add(1, Ordering::SeqCst) == 300 {
                    mortal.kill();
                }
                client.get("/")
            };
            (0..250).map(answer).filter(|answer| answer.status() != 200).collect::<Vec<_>>()
        };
        let clients = [(); 4].map(|()| scope.spawn(ask));
        clients.into_iter().flat_map(|asking| asking.join().expect("a client")).collect()
    });
    let metrics = proxy.metrics_when(|metrics| metrics.count("tillgate_retries_total", &[]) > 0);
    assert!(failed.is_empty(), "{} failed, such as {:?}; {metrics:?}", failed.len(), failed[0]);
    assert!(mortal.answered.load(Ordering::SeqCst) > 20, "it was in use before");
    assert_eq!(metrics.count("tillgate_retries_refused_total", &[]), 0);
}
