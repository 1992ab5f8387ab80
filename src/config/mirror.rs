//! `routes[].mirror`: data only.

use super::model::Share;

/// Where copies of some requests go, whose answers nobody gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The name of the upstream; none that answers requests of the route, nor one with an endpoint of such a one.
    pub upstream: String,
    /// How many are copied. Default: all.
    pub percent: Share,
    /// Requests with a larger body are not, 0 to 1 MiB. Default 64 KiB.
    pub max_body: u64,
    /// Copies under way at the same time, over all workers; more are not sent. 1 to 10,000, default 100.
    pub max_in_flight: u32,
}

impl Mirror {
    /// All requests to this upstream, and else the defaults.
    pub fn to(upstream: String) -> Self {
        Self { upstream, percent: Share::ALL, max_body: 64 * 1024, max_in_flight: 100 }
    }
}
