//! One worker: a thread with its own event loop, its own sockets and its own connections.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use slab::Slab;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::bound::{Bound, Seat};
use crate::net::downstream::{Connection, Socket, Waits};
use crate::net::timers::TICK;
use crate::proxy;
use crate::proxy::body::ResponseBody;
use crate::proxy::handle::Service;
use crate::proxy::view::Worker;
use crate::snapshot::{Id, Snapshot};
use crate::telemetry::recorder::{Batch, Recorder};

/// Orders that may wait for one worker.
const ORDERS: usize = 1024;
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
    thread: JoinHandle<()>,
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
        let ticking = spawn_local(Rc::clone(&self).tick());
        while let Some(order) = inbox.recv().await {
            match order {
                Order::Listen(bound, socket) => self.listen(bound, socket),
                Order::Unlisten(listener) => self.unlisten(|id| id == listener),
                Order::Stop => break,
                Order::Drain => {
                    self.unlisten(|_| true);
                    tokio::select! {
                        () = self.wait_until_empty() => break,
                        _ = stop_order(&mut inbox) => break,
                    }
                }
            }
        }
        ticking.abort();
        self.worker.recorder.flush();
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
        // It ends when nothing is left to accept, or the socket is of no more use.
        let _ = self.accept_backlog(&bound, socket);
        self.accepting.set(self.accepting.get() - 1);
        self.emptied.notify_one();
    }

    /// What the kernel has accepted already would be reset when the socket closes: it is served instead, once.
    ///
    /// The socket is asked itself: the event loop does not know yet of what came in since its last turn.
    fn accept_backlog(self: &Rc<Self>, bound: &Arc<Bound>, socket: TcpListener) -> io::Result<()> {
        let socket = socket.into_std()?;
        loop {
            let (stream, peer) = socket.accept()?;
            stream.set_nonblocking(true)?;
            if let Some(connection) = self.admit(bound, TcpStream::from_std(stream)?, peer) {
                connection.close_gracefully();
            }
        }
    }

    async fn accepted(self: &Rc<Self>, bound: &Arc<Bound>, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => drop(self.admit(bound, stream, peer)),
            // The client gave up while it was in the queue.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
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
        let seat = bound.admit()?;
        let limits = bound.limits.load();
        let waits = Waits { idle: limits.idle_timeout, header: limits.header_timeout };
        stream.set_nodelay(true).ok()?;
        let connection = Connection::new(peer, bound.address, waits, &self.worker.timers);
        let key = self.connections.borrow_mut().insert((bound.id, Rc::clone(&connection)));
        let service = Service {
            worker: Rc::clone(&self.worker),
            connection: Rc::clone(&connection),
            listener: bound.id,
            scheme: "http",
        };
        let guest = Guest { floor: Rc::clone(self), key, _seat: seat };
        spawn_local(serve(service, stream, limits.max_header_bytes, guest));
        Some(connection)
    }

    /// What the kernel has accepted counts too: an accept loop ends when it has taken it in.
    async fn wait_until_empty(&self) {
        while self.accepting.get() > 0 || !self.connections.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }
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
    _seat: Seat,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut connections = self.floor.connections.borrow_mut();
        let (_, connection) = connections.remove(self.key);
        self.floor.worker.recorder.heads_refused(connection.heads_refused());
        if connections.is_empty() {
            self.floor.emptied.notify_one();
        }
    }
}

/// Answers one request, and tells the client where it is the connection's last.
async fn answer(
    service: Rc<Service>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let connection = Rc::clone(&service.connection);
    let mut response = proxy::handle(service, request).await?;
    if connection.is_closing() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Serves one connection to its end.
async fn serve(service: Service, stream: TcpStream, max_header_bytes: usize, _guest: Guest) {
    let connection = Rc::clone(&service.connection);
    let socket = Socket::new(stream, Rc::clone(&connection));
    let service = Rc::new(service);
    let handler = service_fn(move |request| answer(Rc::clone(&service), request));
    let mut http = http1::Builder::new();
    http.auto_date_header(false).max_header_size(max_header_bytes);
    let mut serving = std::pin::pin!(http.serve_connection(TokioIo::new(socket), handler));
    let mut closing = false;
    let ended = std::future::poll_fn(|cx| {
        if !closing && connection.poll_closing(cx) {
            closing = true;
            serving.as_mut().graceful_shutdown();
        }
        serving.as_mut().poll(cx)
    });
    if let Err(error) = ended.await {
        tracing::debug!(peer = %connection.peer, %error, "connection ended early");
    }
}
