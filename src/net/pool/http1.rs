//! Connections that serve one request at a time.
//!
//! Last in, first out: the connection used last is the least likely to have been closed by the other side, and those
//! a quieter hour does not need age out at the front. A connection that the endpoint closed while it was unused is
//! dropped unseen.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;

use super::SUSPECT_AFTER;

/// Those that are unused.
#[derive(Debug)]
pub(super) struct Idle<B>(RefCell<Vec<Entry<B>>>);

#[derive(Debug)]
struct Entry<B> {
    sender: SendRequest<B>,
    since: Instant,
}

impl<B> Default for Idle<B> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<B> Idle<B> {
    /// For the next request, unless there are `most` already.
    pub(super) fn put(&self, sender: SendRequest<B>, now: Instant, most: usize) {
        let mut idle = self.0.borrow_mut();
        if idle.len() < most && !sender.is_closed() {
            idle.push(Entry { sender, since: now });
        }
    }

    /// The one used last that is open.
    pub(super) async fn reuse(&self, now: Instant, timeout: Duration) -> Option<SendRequest<B>> {
        while let Some(Entry { sender, since }) = self.pop() {
            let unused = now.saturating_duration_since(since);
            if unused >= timeout {
                continue;
            }
            if unused >= SUSPECT_AFTER {
                // The event loop hands a pending end-of-stream to the connection's task before it comes back here.
                tokio::task::yield_now().await;
            }
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    /// Closes what has been unused for so long.
    pub(super) fn expire(&self, now: Instant, timeout: Duration) {
        let mut idle = self.0.borrow_mut();
        let expired = idle.partition_point(|entry| now.saturating_duration_since(entry.since) >= timeout);
        idle.drain(..expired);
        idle.retain(|entry| !entry.sender.is_closed());
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    fn pop(&self) -> Option<Entry<B>> {
        self.0.borrow_mut().pop()
    }
}
