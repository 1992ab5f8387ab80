//! Requests at a rate that does not depend on how they are answered: what a slow or failing endpoint meets in the field.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::wire::{Answer, read_answer};
use crate::support::{DEADLINE, eventually};

/// Requests a second.
pub const RATE: usize = 1000;

/// Requests that may wait for their answers at once. Enough for all that an endpoint which never answers takes in the time
/// of one try; on a machine that is busy with something else, more would only measure that.
const WAITING: usize = 400;

/// How often it is looked whether a request is due.
const TICK: Duration = Duration::from_millis(1);

/// One request in so many is a POST.
const POSTS: usize = 4;

/// One request, and what came of it.
#[derive(Debug)]
pub struct Asked {
    /// As in `POST /7`: nobody else asks for it.
    pub request: String,
    /// `None` if the connection ended without an answer.
    pub answer: Option<Answer>,
}

impl Asked {
    /// Whether it may not be sent twice.
    pub fn is_post(&self) -> bool {
        self.request.starts_with("POST")
    }

    /// What an answer to it says.
    pub fn target(&self) -> &str {
        self.request.split(' ').nth(1).unwrap_or("")
    }
}

/// A load that is over.
#[derive(Default)]
pub struct Finished {
    /// All of it.
    pub asked: Vec<Asked>,
    /// The longest that its thread, which has nothing to wait for but the clock, was late: how long the machine may let any
    /// process of the test wait for a core.
    pub late: Duration,
}

/// A running load.
pub struct Load {
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Finished>>,
}

type Idle = Rc<RefCell<Vec<BufReader<TcpStream>>>>;

impl Load {
    /// Starts to ask.
    pub fn start(web: SocketAddr) -> Self {
        let (sent, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopping) = (Arc::clone(&sent), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            LocalSet::new().block_on(&runtime, ask_on(web, &count, &stopping))
        });
        Self { sent, stop, thread: Some(thread) }
    }

    /// Waits until so many more have been sent.
    pub fn meet(&self, more: usize) {
        let until = self.sent.load(Ordering::SeqCst) + more;
        eventually("requests of the load", || (self.sent.load(Ordering::SeqCst) >= until).then_some(()));
    }

    /// Ends it, once all are answered.
    pub fn finish(mut self) -> Finished {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().expect("it is finished once").join().expect("the load")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

async fn ask_on(web: SocketAddr, sent: &AtomicUsize, stop: &AtomicBool) -> Finished {
    let (mut asking, mut finished, idle) = (JoinSet::new(), Finished::default(), Idle::default());
    let (begun, mut ticks) = (Instant::now(), tokio::time::interval(TICK));
    let (mut next, mut left_out) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        let before = Instant::now();
        ticks.tick().await;
        finished.late = finished.late.max(before.elapsed());
        while let Some(asked) = asking.try_join_next() {
            finished.asked.push(asked.expect("a request"));
        }
        let due = usize::try_from(begun.elapsed().as_micros()).unwrap_or(usize::MAX) / (1_000_000 / RATE);
        let wanted = due.saturating_sub(next + left_out);
        let now = wanted.min(WAITING.saturating_sub(asking.len()));
        for number in next..next + now {
            asking.spawn_local(ask(web, number, Rc::clone(&idle)));
        }
        (next, left_out) = (next + now, left_out + wanted - now);
        sent.store(next, Ordering::SeqCst);
    }
    finished.asked.extend(asking.join_all().await);
    finished
}

async fn ask(web: SocketAddr, number: usize, idle: Idle) -> Asked {
    let post = number.is_multiple_of(POSTS);
    let request = format!("{} /{number}", if post { "POST" } else { "GET" });
    let body = if post { "content-length: 5\r\n\r\nhello" } else { "\r\n" };
    let bytes = format!("{request} HTTP/1.1\r\nhost: shop.example\r\n{body}");
    let kept = idle.borrow_mut().pop();
    let mut stream = match kept {
        Some(stream) => stream,
        None => BufReader::new(TcpStream::connect(web).await.expect("connect")),
    };
    let exchange = async {
        stream.write_all(bytes.as_bytes()).await.ok()?;
        read_answer(&mut stream).await
    };
    let answer = tokio::time::timeout(DEADLINE, exchange).await;
    let answer = answer.unwrap_or_else(|_| panic!("{request} is never answered"));
    if answer.as_ref().is_some_and(|answer| !answer.cut && !answer.closes) {
        idle.borrow_mut().push(stream);
    }
    Asked { request, answer }
}
