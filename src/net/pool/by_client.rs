//! Connections that say in a PROXY header for which client they are made, and serve nobody else: a pool for each client's
//! connection, which ends with it.
//!
//! HAProxy and Envoy key their pools by the header too. By the connection and not by its addresses, since these may be
//! another's a moment later.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::Pool;
use crate::config::{Connection as Settings, SendProxy};
use crate::net::downstream::Connection;

/// Unused HTTP/1 connections of one client: it needs several only where it asks several things at a time.
pub(super) const MOST_IDLE: usize = 8;

/// The pools of clients, the one used last at the end.
#[derive(Debug)]
pub(super) struct ByClient<B> {
    pools: RefCell<Vec<Own<B>>>,
    most: usize,
}

#[derive(Debug)]
struct Own<B> {
    client: Weak<Connection>,
    pool: Rc<Pool<B>>,
}

impl<B> ByClient<B> {
    /// `None` where connections name nobody.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let names_clients = settings.proxy_protocol != SendProxy::Off;
        names_clients.then(|| Self { pools: RefCell::default(), most: settings.max_idle.max(1) })
    }

    /// The pool of a client, made where there is none. Where there are too many, the one unused for longest goes, with what
    /// is unused in it.
    pub(super) fn get_or(&self, client: &Rc<Connection>, make: impl FnOnce() -> Rc<Pool<B>>) -> Rc<Pool<B>> {
        let mut pools = self.pools.borrow_mut();
        let own = pools.iter().rposition(|own| own.client.as_ptr() == Rc::as_ptr(client));
        let own = match own {
            Some(at) => pools.remove(at),
            None => Own { client: Rc::downgrade(client), pool: make() },
        };
        if pools.len() >= self.most {
            pools.remove(0);
        }
        let pool = Rc::clone(&own.pool);
        pools.push(own);
        pool
    }

    /// Looks after all of them; those of clients that have left go.
    pub(super) fn each(&self, look_after: impl Fn(&Pool<B>)) {
        let mut pools = self.pools.borrow_mut();
        pools.retain(|own| own.client.strong_count() > 0);
        pools.iter().for_each(|own| look_after(&own.pool));
    }
}
