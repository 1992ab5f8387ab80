//! The control thread: adds up what the workers report, reloads, answers the admin server, and stops everything.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::bound::{Bound, Change};
use super::certificates::Certificates;
use super::health::Checks;
use super::reload::{Digest, Refused};
use super::server::Options;
use super::worker::{Handle, Order};
use super::{certificates, signals, watch};
use crate::admin;
use crate::net::timers::TICK;
use crate::snapshot::Snapshot;
use crate::telemetry::aggregate::{Figures, Shared};
use crate::telemetry::metrics::Process;
use crate::telemetry::recorder::Batch;

/// Batches of records that may wait for the aggregator.
pub(super) const BATCHES: usize = 256;
/// Requests to the control thread that may wait.
pub(super) const REQUESTS: usize = 16;
/// How long workers get to end once they have been told to stop.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// What the control thread is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Read the config again.
    Reload(Cause),
    /// Finish what is running, then end.
    Drain,
    /// End now.
    Stop,
}

/// Why the config is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The file changed.
    File,
    /// `SIGHUP`.
    Signal,
    /// `POST /api/v1/reload`.
    Admin,
    /// A certificate, a key or an authority may have changed.
    Certificates,
}

/// What the control thread and the admin server share.
#[derive(Debug)]
pub struct Control {
    /// How this process was asked to run.
    pub(super) options: Options,
    /// When it was started.
    pub started: SystemTime,
    /// One reload at a time; holds the digest of the text that was accepted, or found wrong, last.
    pub(super) reloading: AsyncMutex<Option<Digest>>,
    pub(super) snapshots: Arc<ArcSwap<Snapshot>>,
    pub(super) orders: Vec<mpsc::Sender<Order>>,
    pub(super) counts: Counts,
    figures: Shared,
    checks: Checks,
    /// What became of certificates that were replaced.
    pub certificates: Certificates,
    listeners: Mutex<Vec<Arc<Bound>>>,
    admin: Mutex<Option<admin::Running>>,
    refused: Mutex<Option<Refused>>,
    draining: AtomicBool,
}

/// What became of reloads.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) reloads: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Control {
    pub(super) fn new(
        options: Options,
        snapshots: Arc<ArcSwap<Snapshot>>,
        figures: Figures,
        orders: Vec<mpsc::Sender<Order>>,
        digest: Option<Digest>,
    ) -> Self {
        let figures = Arc::new(Mutex::new(figures));
        Self {
            checks: Checks::new(Arc::clone(&snapshots), Arc::clone(&figures)),
            options,
            started: SystemTime::now(),
            reloading: AsyncMutex::new(digest),
            snapshots,
            orders,
            counts: Counts::default(),
            figures,
            certificates: Certificates::default(),
            listeners: Mutex::default(),
            admin: Mutex::default(),
            refused: Mutex::default(),
            draining: AtomicBool::new(false),
        }
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.load_full()
    }

    /// What has been counted.
    pub fn figures(&self) -> &Shared {
        &self.figures
    }

    /// What asks the endpoints whether they are well.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// The listeners that are open.
    pub fn listeners(&self) -> Vec<Arc<Bound>> {
        lock(&self.listeners).clone()
    }

    /// Where the admin server listens, if it does on TCP.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        lock(&self.admin).as_ref().and_then(admin::Running::address)
    }

    /// Whether the process takes requests and is not about to end.
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
    }

    /// How many workers serve.
    pub fn workers(&self) -> usize {
        self.orders.len()
    }

    /// Why the config read last was refused, unless it was not.
    pub fn last_refusal(&self) -> Option<String> {
        lock(&self.refused).as_ref().map(ToString::to_string)
    }

    /// What the process counts beside the figures.
    pub fn process(&self) -> Process {
        let listeners = self.listeners();
        Process {
            reloads: self.counts.reloads.load(Ordering::Relaxed),
            reloads_refused: self.counts.refused.load(Ordering::Relaxed),
            listeners: listeners.iter().map(|bound| (bound.id, bound.name.load().to_string())).collect(),
            connections: listeners.iter().map(|bound| bound.open.load(Ordering::Relaxed)).collect(),
            checks: Arc::clone(self.checks.records()),
            connections_ended: listeners.iter().map(|bound| bound.ended_early()).collect(),
            connections_rejected: listeners.iter().map(|bound| bound.rejected()).collect(),
            terminations: listeners.iter().map(|bound| bound.tls.load_full()).collect(),
            certificates: self.certificates.counts(),
        }
    }

    pub(super) fn remember_refusal(&self, refused: Option<Refused>) {
        *lock(&self.refused) = refused;
    }

    /// Puts a snapshot and its listeners in force. Requests that run keep the old one.
    pub(super) async fn enforce(&self, snapshot: Option<Arc<Snapshot>>, change: Change) {
        let Change { next, opened, closed } = change;
        {
            let mut figures = lock(&self.figures);
            figures.follow_listeners(&next.iter().map(|bound| bound.id).collect::<HashSet<_>>());
            if let Some(snapshot) = &snapshot {
                figures.follow(snapshot, Instant::now());
            }
        }
        if let Some(snapshot) = snapshot {
            self.checks.follow(&snapshot);
            // What became known while it was built.
            snapshot.upstreams.iter().for_each(|upstream| upstream.reopen());
            snapshot.upstreams.iter().for_each(|upstream| upstream.enforce());
            self.snapshots.store(snapshot);
        }
        *lock(&self.listeners) = next;
        self.certificates.follow();
        for opened in opened {
            for (orders, socket) in self.orders.iter().zip(opened.sockets) {
                // An error means that the worker has ended, and the process is about to.
                drop(orders.send(Order::Listen(Arc::clone(&opened.bound), socket)).await);
            }
        }
        for bound in closed {
            self.tell_all(|| Order::Unlisten(bound.id)).await;
        }
    }

    /// Replaces the admin server; the old one finishes what it is answering.
    pub(super) fn serve_admin(self: &Arc<Self>, listener: admin::Listener, requests: mpsc::Sender<Request>) {
        let running = admin::serve(listener, Arc::clone(self), requests);
        *lock(&self.admin) = running;
    }

    async fn tell_all(&self, order: impl Fn() -> Order) {
        for orders in &self.orders {
            drop(orders.send(order()).await);
        }
    }
}

/// What is only counted and listed stays usable after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything the control thread starts with.
pub(super) struct Run {
    pub(super) control: Arc<Control>,
    pub(super) workers: Vec<Handle>,
    pub(super) change: Change,
    pub(super) admin: admin::Listener,
    pub(super) batches: mpsc::Receiver<Batch>,
    pub(super) wanted: mpsc::Receiver<Request>,
}

type Ready = std::sync::mpsc::SyncSender<io::Result<()>>;

impl Run {
    /// Runs until asked to end. Reports on `ready` once every listener is open. Returns whether it ended as it should.
    pub(super) fn run(self, requests: mpsc::Sender<Request>, ready: &Ready) -> bool {
        match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let well = self.serve(&runtime, requests, ready);
                // Dropping it would wait for a reload that waits for a name server, or for ever.
                runtime.shutdown_background();
                well
            }
            Err(error) => {
                drop(ready.send(Err(error)));
                false
            }
        }
    }

    fn serve(self, runtime: &Runtime, requests: mpsc::Sender<Request>, ready: &Ready) -> bool {
        let Self { control, workers, change, admin, batches, wanted } = self;
        let mut well = runtime.block_on(async {
            tokio::spawn(aggregate(Arc::clone(&control), batches));
            // Before anything is served: a process that does not start has served nobody.
            if let Err(error) = signals::start(&control.options, &requests) {
                drop(ready.send(Err(error)));
                stop(&control).await;
                return false;
            }
            control.checks.follow(&control.snapshot());
            control.enforce(None, change).await;
            control.serve_admin(admin, requests.clone());
            watch::start(&control.options, requests.clone());
            certificates::start(&control, requests.clone());
            drop(ready.send(Ok(())));
            let well = obey(&control, wanted, requests).await;
            stop(&control).await;
            well
        });
        for worker in workers {
            if !worker.join() {
                tracing::error!("a worker panicked");
                well = false;
            }
        }
        if control.snapshot().access_log.as_ref().is_some_and(|log| !log.settle(LAST_WAIT)) {
            tracing::warn!("the last lines of the access log were not written in time");
        }
        well
    }
}

/// Does what is asked, until the end is. Whether it was: a worker that ends unasked ends the process, so that whoever
/// started it starts it again, rather than it serve on with a part of its listeners' queues unread.
async fn obey(
    control: &Arc<Control>,
    mut wanted: mpsc::Receiver<Request>,
    requests: mpsc::Sender<Request>,
) -> bool {
    loop {
        let request = tokio::select! {
            request = wanted.recv() => request,
            () = one_ended(&control.orders) => {
                tracing::error!("a worker ended unasked: the process stops");
                return false;
            }
        };
        match request {
            // What comes of it is logged and counted.
            // Not waited for: it may take as long as a name server likes, and the next request may be to end.
            Some(Request::Reload(cause)) => drop(control.start_reload(cause, requests.clone())),
            Some(Request::Stop) | None => return true,
            Some(Request::Drain) => {
                drain(control, &mut wanted).await;
                return true;
            }
        }
    }
}

async fn stop(control: &Control) {
    control.tell_all(|| Order::Stop).await;
    let ended = all_ended(&control.orders);
    if timeout(LAST_WAIT, ended).await.is_err() {
        tracing::warn!("a worker does not end");
    }
}

/// Lets running requests finish, until the drain timeout or a second request to end.
async fn drain(control: &Control, wanted: &mut mpsc::Receiver<Request>) {
    control.draining.store(true, Ordering::Relaxed);
    let limit = control.snapshot().config.shutdown.drain_timeout;
    tracing::info!(timeout = ?limit, "draining");
    control.tell_all(|| Order::Drain).await;
    tokio::select! {
        ended = timeout(limit, all_ended(&control.orders)) => match ended {
            Ok(()) => tracing::info!("drained"),
            Err(_) => tracing::warn!("requests still running are cut off"),
        },
        () = asked_again(wanted) => tracing::warn!("asked again to end: requests still running are cut off"),
    }
}

async fn asked_again(wanted: &mut mpsc::Receiver<Request>) {
    while let Some(request) = wanted.recv().await {
        if matches!(request, Request::Drain | Request::Stop) {
            return;
        }
    }
    std::future::pending().await
}

/// Ready when every worker has dropped its inbox.
async fn all_ended(orders: &[mpsc::Sender<Order>]) {
    for worker in orders {
        worker.closed().await;
    }
}

/// Ready when a worker has dropped its inbox.
async fn one_ended(orders: &[mpsc::Sender<Order>]) {
    let mut ends: Vec<_> = orders.iter().map(|worker| Box::pin(worker.closed())).collect();
    poll_fn(|cx| match ends.iter_mut().any(|end| end.as_mut().poll(cx).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// Adds up batches as they come, and tells the balancers ten times a second.
async fn aggregate(control: Arc<Control>, mut batches: mpsc::Receiver<Batch>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            batch = batches.recv() => match batch {
                Some(batch) => {
                    let (mut figures, now) = (lock(&control.figures), Instant::now());
                    figures.absorb(&batch, now);
                    figures.answer_alarms(&control.snapshot(), now);
                }
                None => return,
            },
            _ = ticks.tick() => lock(&control.figures).publish(&control.snapshot(), Instant::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::process::Source;

    #[tokio::test]
    async fn a_worker_that_ends_unasked_ends_the_process_badly() {
        let source = Source::Fixed(Box::default());
        let options = Options { source, watch: false, signals: false };
        let snapshot = crate::snapshot::build(Config::default(), None, None, &|_, _| Ok(vec![]));
        let snapshots = Arc::new(ArcSwap::from_pointee(snapshot.expect("nothing to resolve")));
        let ((alive, _inbox), (dead, _)) = (mpsc::channel(1), mpsc::channel(1));
        let control = Arc::new(Control::new(options, snapshots, Figures::default(), vec![alive, dead], None));
        let (requests, wanted) = mpsc::channel(1);
        assert!(!obey(&control, wanted, requests).await);
    }
}
