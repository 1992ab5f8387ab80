//! Ten thousand orders that must not be placed twice, with everything against them: endpoints that break off at every
//! stage, in every way, or are killed and started again; connections that close as the next request is being written;
//! several workers; retries as eager as the config allows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::{JoinSet, LocalSet};

use super::endpoint::{Endpoint, tally};
use super::load::Asked;
use super::server::{Mode, mixed};
use super::verdict::post_fits;
use super::wire::{Answer, read_answer, read_head, status};
use super::{LOAD, rounds};
use crate::support::{DEADLINE, Yaml, eventually};

const ORDERS: usize = 10_000;

/// Orders under way at once, each client on a connection that it keeps.
const CLIENTS: usize = 24;

/// More than the sockets between client and endpoint hold.
const LARGE: usize = 6 << 20;

/// As eager as it gets.
const ROUTE: &str = "max_body: 16MiB, timeouts: { request: 15s, per_try: 2s }, \
                     retry: { attempts: 5, on: [connect_failure, reset, timeout, 429, 500, 502, 503, 504], \
                     budget_percent: 100, max_body: 1MiB }";

/// How an order's body is sent.
#[derive(Debug, Clone, Copy)]
enum Body {
    None,
    /// With the head, in one piece.
    Length(usize),
    /// In several pieces.
    Pieces(usize),
    Chunked(usize),
    /// After a 100 (Continue).
    Expected(usize),
}

impl Body {
    fn of(seed: u64, number: usize) -> Self {
        let chance = mixed(seed.rotate_left(29) ^ number as u64);
        match chance % 64 {
            0 if chance & 64 == 0 => Self::Pieces(LARGE),
            1..=8 => Self::None,
            9..=24 => Self::Length(100),
            25..=32 => Self::Length(20_000),
            33..=40 => Self::Pieces(50_000),
            41..=52 => Self::Chunked(3_000),
            53..=56 => Self::Chunked(80_000),
            _ => Self::Expected(2_000),
        }
    }

    fn headers(self) -> String {
        match self {
            Self::None => "content-length: 0\r\n".into(),
            Self::Length(length) | Self::Pieces(length) => format!("content-length: {length}\r\n"),
            Self::Chunked(_) => "transfer-encoding: chunked\r\n".into(),
            Self::Expected(length) => format!("expect: 100-continue\r\ncontent-length: {length}\r\n"),
        }
    }

    /// What is written after the head, piece by piece. The first goes with the head, unless it is waited for.
    fn pieces(self) -> Vec<Vec<u8>> {
        match self {
            Self::None => vec![],
            Self::Length(length) | Self::Expected(length) => vec![vec![b'x'; length]],
            Self::Pieces(length) => vec![vec![b'x'; length / 8]; 8],
            Self::Chunked(length) => {
                let size = length / 4;
                let chunk =
                    [format!("{size:x}\r\n").into_bytes(), vec![b'x'; size], b"\r\n".to_vec()].concat();
                let mut pieces = vec![chunk; 4];
                pieces.push(b"0\r\n\r\n".to_vec());
                pieces
            }
        }
    }
}

/// A client's connection.
struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Connection {
    async fn open(web: SocketAddr) -> Self {
        let stream = TcpStream::connect(web).await.expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(reader), writer }
    }

    /// Places an order. Returns the answer, and whether the connection may be used again.
    async fn order(&mut self, request: &str, body: Body) -> (Option<Answer>, bool) {
        let head = format!("{request} HTTP/1.1\r\nhost: shop.example\r\n{}\r\n", body.headers());
        let Self { reader, writer } = self;
        if matches!(body, Body::Expected(_)) {
            return expect(reader, writer, &head, body).await;
        }
        let writing = write(writer, head.into_bytes(), body);
        let (mut writing, mut written) = (std::pin::pin!(writing), false);
        let mut reading = std::pin::pin!(read_answer(reader));
        loop {
            tokio::select! {
                done = &mut writing, if !written => written = done,
                answer = &mut reading => {
                    let again = answer.as_ref().is_some_and(|answer| written && !answer.closes && !answer.cut);
                    return (answer, again);
                }
            }
            if !written {
                // The other side has closed for writing; what it said is still to be read.
                return (reading.await, false);
            }
        }
    }
}

/// Whether all of it was taken.
async fn write(writer: &mut OwnedWriteHalf, mut head: Vec<u8>, body: Body) -> bool {
    let mut pieces = body.pieces().into_iter();
    head.extend(pieces.next().unwrap_or_default());
    for piece in std::iter::once(head).chain(pieces) {
        if writer.write_all(&piece).await.is_err() {
            return false;
        }
    }
    true
}

/// Sends the head, and the body once it is asked for.
async fn expect(
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
    head: &str,
    body: Body,
) -> (Option<Answer>, bool) {
    if writer.write_all(head.as_bytes()).await.is_err() {
        return (read_answer(reader).await, false);
    }
    let Some(first) = read_head(reader).await else { return (None, false) };
    if status(&first) != 100 {
        // Without the body, the connection is not at the beginning of a request.
        return (read_answer(&mut first.as_bytes().chain(reader)).await, false);
    }
    let written = write(writer, Vec::new(), body).await;
    let answer = read_answer(reader).await;
    let again = answer.as_ref().is_some_and(|answer| written && !answer.closes && !answer.cut);
    (answer, again)
}

/// Places orders, one after the other, until there are no more.
async fn place(web: SocketAddr, seed: u64, next: Arc<AtomicUsize>) -> Vec<Asked> {
    let (mut placed, mut kept) = (Vec::new(), None);
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number >= ORDERS {
            return placed;
        }
        let request = format!("POST /{number}");
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(web).await,
        };
        let body = Body::of(seed, number);
        let ordered = tokio::time::timeout(DEADLINE, connection.order(&request, body)).await;
        let (answer, again) =
            ordered.unwrap_or_else(|_| panic!("{request} with {body:?} is never answered, seed {seed}"));
        kept = again.then_some(connection);
        placed.push(Asked { request, answer });
    }
}

/// All of them, by clients of one thread.
fn place_all(web: SocketAddr, seed: u64, next: &Arc<AtomicUsize>) -> Vec<Asked> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let mut clients = JoinSet::new();
        (0..CLIENTS).for_each(|_| drop(clients.spawn_local(place(web, seed, Arc::clone(next)))));
        clients.join_all().await.into_iter().flatten().collect()
    })
}

/// Kills endpoints and starts them again, one after the other and now and then all at once, until all is placed.
fn restart(endpoints: &mut [Endpoint], next: &AtomicUsize) {
    let meet = |more: usize| {
        let until = ORDERS.min(next.load(Ordering::SeqCst) + more);
        eventually("orders", || (next.load(Ordering::SeqCst) >= until).then_some(()));
    };
    for round in 1.. {
        let hit = if round % 4 == 0 { 0..3 } else { round % 3..round % 3 + 1 };
        endpoints[hit.clone()].iter_mut().for_each(Endpoint::kill);
        // So that some meet nobody.
        meet(30);
        endpoints[hit].iter_mut().for_each(revive);
        meet(500);
        if next.load(Ordering::SeqCst) >= ORDERS {
            return;
        }
    }
}

fn revive(endpoint: &mut Endpoint) {
    endpoint.revive();
    endpoint.becomes(Mode::Brittle);
}

/// Places all orders with endpoints that break off as `seed` says, and checks what became of each.
fn no_order_is_placed_twice(seed: u64) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut endpoints: Vec<Endpoint> = (0..3)
        .map(|number| {
            let mut endpoint = Endpoint::start(directory.path(), mixed(seed ^ number));
            endpoint.becomes(Mode::Brittle);
            endpoint
        })
        .collect();
    let addresses: Vec<String> =
        endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    let shop = format!("strategy: round_robin, endpoints: [{}]", addresses.join(", "));
    let proxy = Yaml::new(&shop).route(ROUTE).workers(3).start();
    let (web, next) = (proxy.web(), Arc::new(AtomicUsize::new(0)));
    let placed = thread::scope(|scope| {
        let placing = scope.spawn(|| place_all(web, seed, &next));
        restart(&mut endpoints, &next);
        placing.join().expect("clients")
    });
    let tally = tally(&endpoints);
    let twice: Vec<_> = tally.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "received twice: {twice:?}, seed {seed}");
    let received = |asked: &Asked| tally.get(&asked.request).copied().unwrap_or(0);
    let told_right =
        |asked: &&Asked| asked.answer.as_ref().is_none_or(|answer| post_fits(asked, answer, received(asked)));
    let wrong: Vec<&Asked> = placed.iter().filter(|asked| !told_right(asked)).collect();
    assert!(
        wrong.is_empty(),
        "{} are told what is not so, such as {:#?}, seed {seed}",
        wrong.len(),
        wrong[0]
    );
    let mut told = BTreeMap::<&str, usize>::new();
    for asked in &placed {
        *told.entry(kind(asked)).or_default() += 1;
    }
    assert_eq!(placed.len(), ORDERS);
    assert!(
        told["answered"] > ORDERS / 4 && told["maybe"] > ORDERS / 20 && told["none"] > 0,
        "{told:?}, seed {seed}"
    );
    let retries = |reason| [("upstream", "shop"), ("reason", reason)];
    proxy.metrics_when(|metrics| metrics.count("tillgate_retries_total", &retries("connect_failure")) > 0);
    let resets = proxy.metrics().count("tillgate_retries_total", &retries("reset"));
    assert_eq!(resets, 0, "seed {seed}");
}

fn kind(asked: &Asked) -> &str {
    match &asked.answer {
        None => "unanswered",
        Some(answer) => answer.sent.as_deref().unwrap_or("answered"),
    }
}

#[test]
fn no_post_of_ten_thousand_is_received_twice_and_every_loss_is_told() {
    let _alone = LOAD.lock().unwrap_or_else(PoisonError::into_inner);
    (0..rounds().unwrap_or(1) as u64).for_each(|round| no_order_is_placed_twice(20_261_122 + round));
}
