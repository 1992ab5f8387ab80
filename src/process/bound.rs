//! The listeners that are open now, and how a reload gets from them to those of the next config.

use std::hash::RandomState;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::config::{self, AcceptProxy, Limits};
use crate::net::listen;
use crate::net::tls::Termination;
use crate::policy::clients::{Clients, Counted, TooMany};
use crate::policy::forward::TrustedProxies;
use crate::policy::proxy_header::{self, Expect, Refusal};
use crate::snapshot::Id;
use crate::telemetry::metrics::{EndedEarly, Rejected};

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
    /// The TLS of connections accepted from now on; none where it speaks plain HTTP.
    pub tls: ArcSwapOption<Termination>,
    /// Whether connections accepted from now on begin with a PROXY header.
    pub proxy_protocol: ArcSwap<AcceptProxy>,
    /// Connections open now, over all workers.
    pub open: AtomicUsize,
    /// The connections of each client, since they are bounded.
    clients: ArcSwapOption<Clients>,
    /// Closed unserved because there were too many.
    full: AtomicU64,
    /// Closed unserved because their client had too many.
    over: AtomicU64,
    /// Closed unserved for want of a good PROXY header, index by index [`Refusal::ALL`].
    refused: [AtomicU64; Refusal::ALL.len()],
    /// HTTP/2 connections that were ended before their clients would have, by cause.
    ended: [AtomicU64; EndedEarly::ALL.len()],
}

impl Bound {
    /// Counts a connection in, unless the listener is full, or its client has as many as it may.
    pub fn admit(self: &Arc<Self>, client: IpAddr, trusted: &TrustedProxies) -> Option<Seat> {
        let limits = self.limits.load();
        if self.open.fetch_add(1, Ordering::Relaxed) >= limits.max_connections {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.full.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let mut seat = Seat { bound: Arc::clone(self), counted: None };
        if let Some(most) = limits.max_connections_per_client {
            // Dropping the seat counts the connection out again.
            seat.counted = self.count(client, most, trusted).ok()?;
        }
        Some(seat)
    }

    /// Whether a connection of this peer begins with a PROXY header. `None` if it is of no use, which is counted.
    pub fn expects(&self, peer: IpAddr, trusted: &TrustedProxies) -> Option<Expect> {
        let expected = proxy_header::expect(**self.proxy_protocol.load(), || trusted.contains(peer));
        expected.inspect_err(|refusal| self.refuse(*refusal)).ok()
    }

    /// Counts a connection that is closed for want of a good PROXY header.
    pub fn refuse(&self, refusal: Refusal) {
        self.refused[refusal.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Connections closed unserved so far.
    pub fn rejected(&self) -> Rejected {
        Rejected {
            by_listener: self.full.load(Ordering::Relaxed),
            by_client: self.over.load(Ordering::Relaxed),
            by_proxy_header: self.refused.each_ref().map(|count| count.load(Ordering::Relaxed)),
        }
    }

    /// HTTP/2 connections that were ended before their clients would have, by cause.
    pub fn ended_early(&self) -> [u64; EndedEarly::ALL.len()] {
        self.ended.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// A trusted proxy speaks for many clients.
    fn count(
        &self,
        client: IpAddr,
        most: usize,
        trusted: &TrustedProxies,
    ) -> Result<Option<Counted>, TooMany> {
        let clients = self.clients.load();
        let Some(clients) = clients.as_ref().filter(|_| !trusted.contains(client)) else { return Ok(None) };
        let counted = clients.admit(client, most);
        self.over.fetch_add(u64::from(counted.is_err()), Ordering::Relaxed);
        counted.map(Some)
    }

    /// Takes over the limits of a config. Clients are counted from the first one on that bounds them, and what is
    /// counted stays counted.
    fn limit(&self, limits: &Limits) {
        if limits.max_connections_per_client.is_some() && self.clients.load().is_none() {
            let clients = Clients::with_room_for(limits.max_connections, RandomState::new());
            self.clients.store(Some(Arc::new(clients)));
        }
        self.limits.store(Arc::new(limits.clone()));
    }

    pub(super) fn is(&self, config: &config::Listener) -> bool {
        // An address names its listener: one that is only renamed goes on as it is. Many may have port 0.
        let named = config.address.port() != 0 || **self.name.load() == config.name;
        named && self.configured == config.address
    }
}

/// A connection's place among those a listener may hold.
#[derive(Debug)]
pub struct Seat {
    bound: Arc<Bound>,
    /// Its place among those of its client, where these are bounded.
    counted: Option<Counted>,
}

impl Seat {
    /// The connection is another client's than its peer: counts it there. Whether that may have it.
    pub fn pass_to(&mut self, client: IpAddr, trusted: &TrustedProxies) -> bool {
        let Some(most) = self.bound.limits.load().max_connections_per_client else { return true };
        let counted = self.bound.count(client, most, trusted);
        counted.map(|counted| self.counted = counted).is_ok()
    }

    /// Whose place it is.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Its connection was ended before its client would have.
    pub fn ended_early(&self, cause: EndedEarly) {
        self.bound.ended[cause as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.bound.open.fetch_sub(1, Ordering::Relaxed);
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

/// The names, limits and PROXY headers of a config take effect on listeners that stay open.
pub fn retune(listeners: &[config::Listener], open: &[Arc<Bound>]) {
    for (config, bound) in listeners.iter().zip(open) {
        if **bound.limits.load() != config.limits {
            bound.limit(&config.limits);
        }
        if **bound.proxy_protocol.load() != config.proxy_protocol {
            bound.proxy_protocol.store(Arc::new(config.proxy_protocol));
        }
        if **bound.name.load() != config.name {
            bound.name.store(Arc::new(config.name.clone()));
        }
    }
}

/// What the files of a config hold takes effect for connections to come.
pub fn secure(terminations: Vec<Option<Arc<Termination>>>, open: &[Arc<Bound>]) {
    for (termination, bound) in terminations.into_iter().zip(open) {
        bound.tls.store(termination);
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
        tls: ArcSwapOption::empty(),
        proxy_protocol: ArcSwap::from_pointee(config.proxy_protocol),
        open: AtomicUsize::new(0),
        clients: ArcSwapOption::empty(),
        full: AtomicU64::new(0),
        over: AtomicU64::new(0),
        refused: [const { AtomicU64::new(0) }; Refusal::ALL.len()],
        ended: Default::default(),
    };
    bound.limit(&config.limits);
    Ok(Opened { bound: Arc::new(bound), sockets })
}
