//! What is done to some requests of a route on purpose, and to how many it was.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::Route;
use crate::config;

/// A route's faults.
#[derive(Debug)]
pub struct Fault {
    /// As configured.
    pub config: config::Fault,
    /// How often; outlives a reload.
    pub counts: Arc<FaultCounts>,
}

/// Faults, by kind.
#[derive(Debug, Default)]
pub struct FaultCounts {
    /// Requests that were held back.
    pub delay: AtomicU64,
    /// Requests that were refused.
    pub abort: AtomicU64,
}

impl Fault {
    pub(super) fn build(route: &config::Route, carried: Option<&Route>) -> Option<Arc<Self>> {
        let config = route.fault.clone()?;
        let known = carried.and_then(|route| route.fault.as_ref());
        let counts = known.map_or_else(Arc::default, |known| Arc::clone(&known.counts));
        Some(Arc::new(Self { config, counts }))
    }
}
