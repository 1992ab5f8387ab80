//! The listeners that are open now, and how a reload gets from them to those of the next config.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::config::{self, Limits};
use crate::net::listen;
use crate::snapshot::Id;

/// A listener that is open on every worker.
#[derive(Debug)]
pub struct Bound {
    /// For records.
    pub id: Id,
    /// Its name in the config, which a reload may change.
    pub name: ArcSwap<String>,
    /// As configured; port 0 stays port 0.
    pub configured: SocketAddr,
    /// As bound.
    pub address: SocketAddr,
    /// In force for connections accepted from now on.
    pub limits: ArcSwap<Limits>,
    /// Connections open now, over all workers.
    pub open: AtomicUsize,
    /// Connections closed unserved because there were too many.
    pub rejected: AtomicU64,
}

impl Bound {
    /// Counts a connection in, unless the listener is full.
    pub fn admit(self: &Arc<Self>) -> Option<Seat> {
        let most = self.limits.load().max_connections;
        if self.open.fetch_add(1, Ordering::Relaxed) < most {
            return Some(Seat(Arc::clone(self)));
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.rejected.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn is(&self, config: &config::Listener) -> bool {
        // An address names its listener: one that is only renamed goes on as it is. Many may have port 0.
        let named = config.address.port() != 0 || **self.name.load() == config.name;
        named && self.configured == config.address
    }
}

/// A connection's place among those a listener may hold.
#[derive(Debug)]
pub struct Seat(Arc<Bound>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A listener with its sockets, one per worker.
#[derive(Debug)]
pub struct Opened {
    /// What the workers share.
    pub bound: Arc<Bound>,
    /// One per worker.
    pub sockets: Vec<TcpListener>,
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The listener's name.
    pub listener: String,
    /// The address.
    pub address: SocketAddr,
    /// What the operating system said.
    pub error: io::Error,
}

/// How to get from the listeners that are open to those of a config.
#[derive(Debug)]
pub struct Change {
    /// All that will be open, in the order of the config.
    pub next: Vec<Arc<Bound>>,
    /// Those that are new.
    pub opened: Vec<Opened>,
    /// Those that are to be closed.
    pub closed: Vec<Arc<Bound>>,
}

/// Binds what is new. Nothing that is open is touched, so that an error leaves everything as it was.
///
/// # Errors
/// The first address that cannot be bound.
pub fn plan(
    listeners: &[config::Listener],
    open: &[Arc<Bound>],
    workers: usize,
) -> Result<Change, BindError> {
    let (mut next, mut opened) = (Vec::with_capacity(listeners.len()), Vec::new());
    for config in listeners {
        match open.iter().find(|bound| bound.is(config)) {
            Some(bound) => next.push(Arc::clone(bound)),
            None => {
                let new = bind(config, open, workers)?;
                next.push(Arc::clone(&new.bound));
                opened.push(new);
            }
        }
    }
    let closed = open.iter().filter(|bound| !next.iter().any(|kept| Arc::ptr_eq(kept, bound)));
    let closed = closed.cloned().collect();
    Ok(Change { next, opened, closed })
}

/// The names and limits of a config take effect on listeners that stay open.
pub fn retune(listeners: &[config::Listener], open: &[Arc<Bound>]) {
    for (config, bound) in listeners.iter().zip(open) {
        if **bound.limits.load() != config.limits {
            bound.limits.store(Arc::new(config.limits.clone()));
        }
        if **bound.name.load() != config.name {
            bound.name.store(Arc::new(config.name.clone()));
        }
    }
}

fn bind(config: &config::Listener, open: &[Arc<Bound>], workers: usize) -> Result<Opened, BindError> {
    let failed = |error| BindError { listener: config.name.clone(), address: config.address, error };
    listen::claim(config.address, open.iter().map(|bound| bound.address)).map_err(failed)?;
    let sockets = listen::bind_all(config.address, workers).map_err(failed)?;
    let address = sockets[0].local_addr().map_err(failed)?;
    let bound = Bound {
        id: Id::next(),
        name: ArcSwap::from_pointee(config.name.clone()),
        configured: config.address,
        address,
        limits: ArcSwap::from_pointee(config.limits.clone()),
        open: AtomicUsize::new(0),
        rejected: AtomicU64::new(0),
    };
    Ok(Opened { bound: Arc::new(bound), sockets })
}
