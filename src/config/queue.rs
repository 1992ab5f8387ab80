//! `upstreams.*.queue` and `adaptive_concurrency`: data only. What follows from them is decided by `policy::admission` and
//! `policy::concurrency`.

use std::time::Duration;

/// How many requests an upstream has in flight at most, and where those go that come meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Requests in flight over all workers, 1 to 1,000,000. Default 1000.
    pub max_in_flight: u32,
    /// Requests that wait over all workers, 0 to 1,000,000. Default 1000.
    pub max_waiting: u32,
    /// How long a request waits at most, 1 ms to 60 s. Default 1 s.
    pub timeout: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self { max_in_flight: 1000, max_waiting: 1000, timeout: Duration::from_secs(1) }
    }
}

/// Between which bounds the limit of requests in flight follows the upstream's latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveConcurrency {
    /// The limit is never lower, 1 to 1,000,000. Default 10.
    pub min: u32,
    /// The limit is never higher, `min` to 1,000,000. Default 1000.
    pub max: u32,
    /// By how many hundredths a latency may lie over that of an upstream without a queue and count as equal, 0 to 200.
    /// Default 25.
    pub tolerance_percent: u8,
}

impl Default for AdaptiveConcurrency {
    fn default() -> Self {
        Self { min: 10, max: 1000, tolerance_percent: 25 }
    }
}
