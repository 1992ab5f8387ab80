//! One worker: a thread with its own event loop, its own sockets and its own connections.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use slab::Slab;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::bound::{Bound, Seat};
use super::introduce::introduce;
use super::serve::serve;
use crate::net::accepted::Accepted;
use crate::net::downstream::{Connection, Ended, Waits};
use crate::net::timers::TICK;
use crate::policy::flood::Flood;
use crate::proxy::handle::Service;
use crate::proxy::view::Worker;
use crate::snapshot::{Id, Snapshot};
use crate::telemetry::metrics::EndedEarly;
use crate::telemetry::recorder::{Batch, Recorder};

/// Orders that may wait for one worker.
const ORDERS: usize = 1024;
/// Connections taken from a socket that is to be closed: as many as its queue holds (see `net::listen`).
const BACKLOG: usize = 4096;
/// How long to leave a full process alone before the next connection is tried.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a worker is told.
#[derive(Debug)]
pub enum Order {
    /// Accept connections from this socket.
    Listen(Arc<Bound>, StdListener),
    /// Accept no more from this listener, and let its connections finish.
    Unlisten(Id),
    /// Accept no more at all, let everything finish, then end.
    Drain,
    /// End now.
    Stop,
}

/// A running worker.
#[derive(Debug)]
pub struct Handle {
    /// Takes orders.
    pub orders: mpsc::Sender<Order>,
    thread: thread::JoinHandle<()>,
}

impl Handle {
    /// Starts a worker on the snapshots of `snapshots`.
    ///
    /// # Errors
    /// The operating system gives no thread or no event queue.
    pub fn start(
        index: usize,
        snapshots: Arc<ArcSwap<Snapshot>>,
        batches: mpsc::Sender<Batch>,
        seed: u64,
    ) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let runtime_ready = std::sync::mpsc::sync_channel(1);
        let (ready, started) = runtime_ready;
        let run =
            move || match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                Err(error) => drop(ready.send(Err(error))),
                Ok(runtime) => {
                    drop(ready.send(Ok(())));
                    let worker = Worker::new(snapshots, Recorder::new(batches), seed);
                    runtime.block_on(Floor::new(worker).run(inbox));
                }
            };
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(run)?;
        started.recv().map_err(|_| io::Error::other("the worker ended at once"))??;
        Ok(Self { orders, thread })
    }

    /// Waits for the worker to end. Whether it ended as it should.
    pub fn join(self) -> bool {
        drop(self.orders);
        self.thread.join().is_ok()
    }
}

/// What the tasks of one worker share.
struct Floor {
    worker: Rc<Worker>,
    connections: RefCell<Slab<(Id, Rc<Connection>)>>,
    listeners: RefCell<Vec<(Id, oneshot::Sender<()>)>>,
    /// Accept loops that have not ended.
    accepting: Cell<usize>,
    emptied: Notify,
}

impl Floor {
    fn new(worker: Rc<Worker>) -> Rc<Self> {
        Rc::new(Self {
            worker,
            connections: RefCell::default(),
            listeners: RefCell::default(),
            accepting: Cell::new(0),
            emptied: Notify::new(),
        })
    }

    /// Obeys until told to end. Dropping the event loop afterwards cuts off whatever still runs.
    async fn run(self: Rc<Self>, mut inbox: mpsc::Receiver<Order>) {
        let mut ticking = spawn_local(Rc::clone(&self).tick());
        self.obey(&mut inbox, &mut ticking).await;
        ticking.abort();
        self.worker.stop();
        self.worker.recorder.flush();
    }

    /// # Panics
    /// When `ticking` did: without ticks no deadline passes and nothing is reported any more.
    async fn obey(self: &Rc<Self>, inbox: &mut mpsc::Receiver<Order>, ticking: &mut JoinHandle<()>) {
        loop {
            let order = tokio::select! {
                order = inbox.recv() => order,
                ended = &mut *ticking => return ended.expect("a worker's tick does not panic"),
            };
            match order {
                Some(Order::Listen(bound, socket)) => self.listen(bound, socket),
                Some(Order::Unlisten(listener)) => self.unlisten(|id| id == listener),
                Some(Order::Stop) | None => return,
                Some(Order::Drain) => {
                    self.unlisten(|_| true);
                    tokio::select! {
                        () = self.wait_until_empty() => return,
                        () = stop_order(inbox) => return,
                        ended = &mut *ticking => return ended.expect("a worker's tick does not panic"),
                    }
                }
            }
        }
    }

    async fn tick(self: Rc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.worker.tick(Instant::now());
        }
    }

    fn listen(self: &Rc<Self>, bound: Arc<Bound>, socket: StdListener) {
        match TcpListener::from_std(socket) {
            Err(error) => {
                tracing::error!(listener = %bound.name.load(), %error, "cannot watch a listening socket")
            }
            Ok(socket) => {
                let (close, closed) = oneshot::channel();
                self.listeners.borrow_mut().push((bound.id, close));
                self.accepting.set(self.accepting.get() + 1);
                spawn_local(Rc::clone(self).accept_all(bound, socket, closed));
            }
        }
    }

    fn unlisten(&self, of: impl Fn(Id) -> bool) {
        // Dropping the sender ends the accept loop.
        self.listeners.borrow_mut().retain(|(id, _)| !of(*id));
        for (_, (listener, connection)) in self.connections.borrow().iter() {
            if of(*listener) {
                connection.close_gracefully();
            }
        }
    }

    async fn accept_all(
        self: Rc<Self>,
        bound: Arc<Bound>,
        socket: TcpListener,
        mut closed: oneshot::Receiver<()>,
    ) {
        loop {
            tokio::select! {
                biased;
                _ = &mut closed => break,
                accepted = socket.accept() => self.accepted(&bound, accepted).await,
            }
        }
        // An error means that the socket is of no more use.
        let _ = self.accept_backlog(&bound, socket);
        self.accepting.set(self.accepting.get() - 1);
        self.emptied.notify_one();
    }

    /// What the kernel has accepted already would be reset when the socket closes: it is served instead, once.
    ///
    /// The socket is asked itself: the event loop does not know yet of what came in since its last turn.
    fn accept_backlog(self: &Rc<Self>, bound: &Arc<Bound>, socket: TcpListener) -> io::Result<()> {
        let socket = socket.into_std()?;
        for (stream, peer) in backlog(|| socket.accept()) {
            stream.set_nonblocking(true)?;
            if let Some(connection) = self.admit(bound, TcpStream::from_std(stream)?, peer) {
                connection.close_gracefully();
            }
        }
        Ok(())
    }

    async fn accepted(self: &Rc<Self>, bound: &Arc<Bound>, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => drop(self.admit(bound, stream, peer)),
            // The client gave up while it was in the queue.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(listener = %bound.name.load(), %error, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn admit(
        self: &Rc<Self>,
        bound: &Arc<Bound>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<Rc<Connection>> {
        let view = self.worker.view();
        let expect = bound.expects(peer.ip(), &view.snapshot.trusted)?;
        let seat = bound.admit(peer.ip(), &view.snapshot.trusted)?;
        let limits = bound.limits.load();
        let waits = Waits { idle: limits.idle_timeout, header: limits.header_timeout };
        stream.set_nodelay(true).ok()?;
        let local = local(&stream, bound.address, view.snapshot.names_clients);
        let connection = Connection::new(peer, local, waits, &self.worker.timers);
        let key = self.connections.borrow_mut().insert((bound.id, Rc::clone(&connection)));
        let tls = bound.tls.load_full();
        let service = Service {
            worker: Rc::clone(&self.worker),
            connection: Rc::clone(&connection),
            listener: bound.id,
            scheme: if tls.is_some() { "https" } else { "http" },
            tunnel: RefCell::default(),
        };
        let mut guest = Guest { floor: Rc::clone(self), key, seat };
        let limits = Arc::clone(&limits);
        let mut stream = Accepted::from(stream);
        spawn_local(async move {
            if introduce(&service, &mut guest.seat, &mut stream, expect).await {
                serve(service, stream, tls, &limits).await;
            }
            drop(guest);
        });
        Some(connection)
    }

    /// What the kernel has accepted counts too: an accept loop ends when it has taken it in.
    async fn wait_until_empty(&self) {
        while self.accepting.get() > 0 || !self.connections.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }
}

/// Which address a client connected to. Asked of the system only where the listener's own does not say it, and somebody is
/// to be told.
fn local(stream: &TcpStream, bound: SocketAddr, is_told: bool) -> SocketAddr {
    match is_told && bound.ip().is_unspecified() {
        true => stream.local_addr().unwrap_or(bound),
        false => bound,
    }
}

/// What `accept` has at hand: as much as a queue holds, since a flood that goes on would never be at its end.
fn backlog<T>(mut accept: impl FnMut() -> io::Result<T>) -> impl Iterator<Item = T> {
    let next = move |_| match accept() {
        Ok(accepted) => Some(Some(accepted)),
        // The client gave up while it was in the queue, or a signal came.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {
            Some(None)
        }
        Err(_) => None,
    };
    (0..BACKLOG).map_while(next).flatten()
}

async fn stop_order(inbox: &mut mpsc::Receiver<Order>) {
    while let Some(order) = inbox.recv().await {
        if matches!(order, Order::Stop) {
            return;
        }
    }
}

/// A connection's entry in the worker's books, struck out when it ends.
struct Guest {
    floor: Rc<Floor>,
    key: usize,
    seat: Seat,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut connections = self.floor.connections.borrow_mut();
        let (listener, connection) = connections.remove(self.key);
        if let Some(reason) = connection.refused() {
            self.floor.worker.recorder.head_refused(listener, connection.peer().ip(), reason);
        }
        if let Some(cause) = connection.ended().and_then(ended_early) {
            self.seat.ended_early(cause);
        }
        if connections.is_empty() {
            self.floor.emptied.notify_one();
        }
    }
}

/// An idle connection has had its time.
fn ended_early(ended: Ended) -> Option<EndedEarly> {
    match ended {
        Ended::Idle => None,
        Ended::HeaderTimeout => Some(EndedEarly::HeaderTimeout),
        Ended::Flood(Flood::ControlFrames) => Some(EndedEarly::ControlFrames),
        Ended::Flood(Flood::CancelledRequests) => Some(EndedEarly::CancelledRequests),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_gave_up_in_the_queue_does_not_hide_those_behind_it() {
        let queue = [Ok(1), Err(ErrorKind::ConnectionAborted), Ok(2), Err(ErrorKind::WouldBlock), Ok(3)];
        let mut queue = queue.into_iter();
        let accepted: Vec<i32> =
            backlog(|| queue.next().expect("an answer").map_err(io::Error::from)).collect();
        assert_eq!(accepted, [1, 2]);
    }

    #[test]
    fn a_flood_that_goes_on_is_not_taken_in_for_ever() {
        assert_eq!(backlog(|| Ok(())).count(), BACKLOG);
    }

    #[test]
    #[should_panic(expected = "a worker's tick does not panic")]
    fn a_worker_whose_ticks_end_ends_too() {
        let snapshot =
            crate::snapshot::build(crate::config::Config::default(), None, None, &|_, _| Ok(vec![]));
        let snapshots = Arc::new(ArcSwap::from_pointee(snapshot.expect("nothing to resolve")));
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        runtime.expect("a runtime").block_on(async {
            let (batches, _inbox) = mpsc::channel(1);
            let floor = Floor::new(Worker::new(snapshots, Recorder::new(batches), 0));
            let (_orders, mut inbox) = mpsc::channel(1);
            floor.obey(&mut inbox, &mut spawn_local(async { panic!("of a test") })).await;
        });
    }
}
