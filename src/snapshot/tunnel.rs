//! What the tunnels of a route do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Tunnels of one route and what went through them; outlives a reload.
#[derive(Debug, Default)]
pub struct TunnelCounts {
    /// Those open now.
    pub open: AtomicU64,
    /// All that were ever opened.
    pub opened: AtomicU64,
    /// Bytes that endpoints took from clients.
    pub bytes_in: AtomicU64,
    /// Bytes that clients took from endpoints.
    pub bytes_out: AtomicU64,
}

/// One open tunnel, counted until this is dropped.
#[derive(Debug)]
pub struct OpenTunnel(Arc<TunnelCounts>);

impl OpenTunnel {
    /// Counts one from now on.
    pub fn count(counts: &Arc<TunnelCounts>) -> Self {
        counts.open.fetch_add(1, Relaxed);
        counts.opened.fetch_add(1, Relaxed);
        Self(Arc::clone(counts))
    }

    /// So many bytes went through it.
    pub fn moved(&self, bytes_in: u64, bytes_out: u64) {
        self.0.bytes_in.fetch_add(bytes_in, Relaxed);
        self.0.bytes_out.fetch_add(bytes_out, Relaxed);
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}
