//! The whole proxy as one value: start it, ask it, stop it. `main` runs one; a test runs as many as it likes.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::bound::{self, BindError, Change};
use super::control::{self, Control, Request};
use super::reload::{self, Refused};
use super::worker::Handle;
use crate::admin;
use crate::config::{Config, Workers};
use crate::snapshot::Snapshot;
use crate::telemetry::aggregate::Figures;
use crate::telemetry::recorder::Batch;

/// Where the config comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, read again at every reload.
    File(PathBuf),
    /// Given once; a reload finds the same again.
    Fixed(Box<Config>),
}

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the config comes from.
    pub source: Source,
    /// Reload when the file changes.
    pub watch: bool,
    /// Obey `SIGHUP`, `SIGTERM` and `SIGINT`. Only one server of a process can.
    pub signals: bool,
}

/// Why the proxy did not start.
#[derive(Debug)]
pub enum StartError {
    /// The config is refused.
    Config(Refused),
    /// The operating system gives no threads.
    Threads(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(refused) => refused.fmt(f),
            Self::Threads(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl Error for StartError {}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        Self::Config(error.into())
    }
}

/// A running proxy. Dropping it stops it at once.
#[derive(Debug)]
pub struct Server {
    control: Arc<Control>,
    requests: mpsc::Sender<Request>,
    thread: Option<JoinHandle<bool>>,
}

impl Server {
    /// Loads the config, binds every address, and serves.
    ///
    /// # Errors
    /// Nothing has been started when one is returned.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let digest = reload::digest(&options.source);
        let compiled = reload::compile(&options.source, None, &[]).map_err(StartError::Config)?;
        compiled.report_warnings();
        let snapshot = Arc::new(compiled.snapshot);
        let count = worker_count(snapshot.config.workers);
        let change = bound::plan(&snapshot.config.listeners, &[], count.get())?;
        bound::secure(compiled.terminations, &change.next);
        let admin = admin::Listener::bind(&snapshot.config.admin, None)
            .map_err(|error| StartError::Config(error.into()))?;
        let figures = figures_of(&snapshot, &change);
        let snapshots = Arc::new(ArcSwap::new(snapshot));
        let (batches, inbox) = mpsc::channel(control::BATCHES);
        let workers = start_workers(count, &snapshots, &batches).map_err(StartError::Threads)?;
        let orders = workers.iter().map(|worker| worker.orders.clone()).collect();
        let control = Arc::new(Control::new(options, snapshots, figures, orders, digest));
        let (requests, wanted) = mpsc::channel(control::REQUESTS);
        let run =
            control::Run { control: Arc::clone(&control), workers, change, admin, batches: inbox, wanted };
        let thread = start_control(run, requests.clone()).map_err(StartError::Threads)?;
        Ok(Self { control, requests, thread: Some(thread) })
    }

    /// Where a listener is bound, if there is one of that name.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.control
            .listeners()
            .iter()
            .find(|bound| **bound.name.load() == listener)
            .map(|bound| bound.address)
    }

    /// Where the admin server listens, if it does on TCP.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.control.admin_address()
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.control.snapshot()
    }

    /// Waits until the server has been stopped by a signal. Whether it ended as it should: if not, a thread of it
    /// panicked, which has been logged.
    #[must_use]
    pub fn wait(mut self) -> bool {
        self.join()
    }

    fn join(&mut self) -> bool {
        let Some(thread) = self.thread.take() else { return true };
        thread.join().unwrap_or_else(|_| {
            tracing::error!("the control thread panicked");
            false
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() {
            // An error means that it has ended already.
            let _ = self.requests.blocking_send(Request::Stop);
            self.join();
        }
    }
}

fn figures_of(snapshot: &Snapshot, change: &Change) -> Figures {
    let mut figures = Figures::default();
    figures.follow(snapshot, Instant::now());
    figures.follow_listeners(&change.next.iter().map(|bound| bound.id).collect::<HashSet<_>>());
    figures
}

fn start_workers(
    count: NonZeroUsize,
    snapshots: &Arc<ArcSwap<Snapshot>>,
    batches: &mpsc::Sender<Batch>,
) -> io::Result<Vec<Handle>> {
    let start = |index| Handle::start(index, Arc::clone(snapshots), batches.clone(), fastrand::u64(..));
    (0..count.get()).map(start).collect()
}

/// Returns once every listener is open.
fn start_control(run: control::Run, requests: mpsc::Sender<Request>) -> io::Result<JoinHandle<bool>> {
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new().name("control".into()).spawn(move || run.run(requests, &ready))?;
    started.recv().map_err(|_| io::Error::other("the control thread ended at once"))??;
    Ok(thread)
}

/// How many workers a config asks for on this machine.
pub(super) fn worker_count(workers: Workers) -> NonZeroUsize {
    match workers {
        Workers::Count(count) => count,
        Workers::Auto => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    }
}
