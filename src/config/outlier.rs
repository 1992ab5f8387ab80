//! `upstreams.*.outlier_detection`: data only. What follows from it for an endpoint is decided by `policy::outlier`.

use std::time::Duration;

/// When live traffic takes an endpoint out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlierDetection {
    /// So many failures in a row take it out at once, 1 to 1000; `None` for any number. Default 5.
    pub consecutive_failures: Option<u32>,
    /// So does this share of failures over `interval`, 1 to 100, where the rest of the pool fails half as often at most;
    /// `None` for any share. Default 50.
    pub failure_percent: Option<u8>,
    /// So many times the pool's tail latency for a whole `interval` takes it out, 2 to 100. Default: no latency does.
    pub latency_factor: Option<u8>,
    /// Below so many requests within `interval` neither share nor latency counts, 1 to 1,000,000. Default 20.
    pub min_requests: u32,
    /// How long a request counts, 1 s to 10 min. Default 10 s.
    pub interval: Duration,
    /// How long it stays out the first time, 100 ms to 1 h; doubles with each time that follows. Default 10 s.
    pub base_ejection: Duration,
    /// The longest, 100 ms to 24 h and no less than `base_ejection`. Default 5 min.
    pub max_ejection: Duration,
    /// The share of a pool's endpoints that may be out at once, 0 to 100; above 0 it is one at least, and never the last.
    /// Default 50.
    pub max_ejected_percent: u8,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_failures: Some(5),
            failure_percent: Some(50),
            latency_factor: None,
            min_requests: 20,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(10),
            max_ejection: Duration::from_secs(300),
            max_ejected_percent: 50,
        }
    }
}
