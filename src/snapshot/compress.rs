//! How the responses of a route are compressed, and what that came to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::Route;
use crate::config::{self, Coding};

/// A route's compression.
#[derive(Debug)]
pub struct Compress {
    /// As configured.
    pub config: config::Compress,
    /// What it came to; outlives a reload.
    pub counts: Arc<CompressCounts>,
}

/// What was compressed.
#[derive(Debug, Default)]
pub struct CompressCounts {
    in_flight: AtomicU32,
    /// Responses that went out as they were because too many were being compressed.
    pub busy: AtomicU64,
    codings: [CodingCounts; Coding::ALL.len()],
}

/// What was compressed by one algorithm.
#[derive(Debug, Default)]
pub struct CodingCounts {
    /// Responses.
    pub responses: AtomicU64,
    /// Bytes from endpoints.
    pub bytes_in: AtomicU64,
    /// Bytes to clients.
    pub bytes_out: AtomicU64,
}

impl Compress {
    pub(super) fn build(route: &config::Route, carried: Option<&Route>) -> Option<Arc<Self>> {
        let config = route.compress.clone()?;
        let known = carried.and_then(|route| route.compress.as_ref());
        let counts = known.map_or_else(Arc::default, |known| Arc::clone(&known.counts));
        Some(Arc::new(Self { config, counts }))
    }

    /// A place for one more response, if there is room.
    pub fn begin(&self, coding: Coding) -> Option<Compressing> {
        let most = self.config.max_in_flight;
        let room = |now: u32| (now < most).then_some(now + 1);
        if self.counts.in_flight.fetch_update(Relaxed, Relaxed, room).is_err() {
            self.counts.busy.fetch_add(1, Relaxed);
            return None;
        }
        Some(Compressing { counts: Arc::clone(&self.counts), coding, bytes_in: 0, bytes_out: 0 })
    }
}

impl CompressCounts {
    /// Responses that are being compressed.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// What was done with one algorithm.
    pub fn of(&self, coding: Coding) -> &CodingCounts {
        &self.codings[coding as usize]
    }
}

/// A response that is being compressed. It is counted when it is dropped, whole or not.
#[derive(Debug)]
pub struct Compressing {
    counts: Arc<CompressCounts>,
    coding: Coding,
    /// Bytes from the endpoint so far.
    pub bytes_in: u64,
    /// Bytes to the client so far.
    pub bytes_out: u64,
}

impl Drop for Compressing {
    fn drop(&mut self) {
        self.counts.in_flight.fetch_sub(1, Relaxed);
        let counts = self.counts.of(self.coding);
        counts.responses.fetch_add(1, Relaxed);
        counts.bytes_in.fetch_add(self.bytes_in, Relaxed);
        counts.bytes_out.fetch_add(self.bytes_out, Relaxed);
    }
}
