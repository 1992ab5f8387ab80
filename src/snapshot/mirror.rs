//! Where copies of a route's requests go, and how many have.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::Route;
use crate::config::{self, Share};

/// A copy that has no answer by then is given up, whatever the route allows.
const LONGEST: Duration = Duration::from_secs(30);

/// A route's mirror.
#[derive(Debug)]
pub struct Mirror {
    /// Index into [`Snapshot::upstreams`](super::Snapshot::upstreams).
    pub upstream: usize,
    /// How many requests are copied.
    pub percent: Share,
    /// Those with a larger body are not.
    pub max_body: u64,
    /// How long a copy may take.
    pub timeout: Duration,
    /// What became of the copies so far; outlives a reload.
    pub counts: Arc<MirrorCounts>,
    max_in_flight: u32,
}

/// Copies, by what became of them.
#[derive(Debug, Default)]
pub struct MirrorCounts {
    /// Got an answer.
    pub answered: AtomicU64,
    /// Got none: not connected, reset, too late.
    pub failed: AtomicU64,
    /// Not sent: too many were under way.
    pub busy: AtomicU64,
    /// Not sent: the body was too large, or not at hand.
    pub body: AtomicU64,
    in_flight: AtomicU32,
}

impl MirrorCounts {
    /// Copies under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }
}

impl Mirror {
    pub(super) fn build(
        route: &config::Route,
        indices: &HashMap<&str, usize>,
        carried: Option<&Route>,
    ) -> Option<Arc<Self>> {
        let mirror = route.mirror.as_ref()?;
        let known = carried.and_then(|route| route.mirror.as_ref());
        Some(Arc::new(Self {
            upstream: indices[mirror.upstream.as_str()],
            percent: mirror.percent,
            max_body: mirror.max_body,
            timeout: route.timeouts.request.map_or(LONGEST, |whole| whole.min(LONGEST)),
            counts: known.map_or_else(Arc::default, |known| Arc::clone(&known.counts)),
            max_in_flight: mirror.max_in_flight,
        }))
    }

    /// Leave to send one more copy, until it is dropped; `None` and counted where too many are under way.
    pub fn place(self: &Arc<Self>) -> Option<Place> {
        if self.counts.in_flight.fetch_add(1, Relaxed) < self.max_in_flight {
            return Some(Place(Arc::clone(self)));
        }
        self.counts.in_flight.fetch_sub(1, Relaxed);
        self.counts.busy.fetch_add(1, Relaxed);
        None
    }
}

/// One copy under way.
#[derive(Debug)]
#[must_use = "the copy counts only while this lives"]
pub struct Place(Arc<Mirror>);

impl Place {
    /// Whose copy it is.
    pub fn mirror(&self) -> &Arc<Mirror> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.counts.in_flight.fetch_sub(1, Relaxed);
    }
}
