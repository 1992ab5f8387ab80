//! One finished request in numbers.

use std::time::{Duration, Instant};

use crate::config::Condition;
use crate::policy::outlier::Sign;
use crate::policy::reason::Reason;
use crate::policy::score::{self, Outcome};
use crate::snapshot::Id;

/// What one request leaves behind for the metrics and the balancer.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// Where it came in.
    pub listener: Id,
    /// The route that took it, if one did.
    pub route: Option<Id>,
    /// The endpoint it was sent to last, if it was.
    pub endpoint: Option<Id>,
    /// How many times it was sent to an endpoint.
    pub tries: u8,
    /// The status the client was sent, or 499 if it went away first.
    pub status: u16,
    /// Why Tillgate answered by itself, if it did.
    pub reason: Option<Reason>,
    /// What it says of the endpoint.
    pub outcome: Outcome,
    /// Whether the response stopped before its end.
    pub truncated: bool,
    /// How long it waited for its upstream before it was sent.
    pub waited: Duration,
    /// From the last byte of the request sent to the endpoint's response head.
    pub latency: Option<Duration>,
    /// From the request head to the last byte of the response handed over.
    pub total: Duration,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
}

/// What one answer, or the lack of one, says of an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Which endpoint.
    pub endpoint: Id,
    /// What it did.
    pub learned: score::Sample,
    /// The same to outlier detection.
    pub sign: Sign,
    /// When the try began.
    pub began: Instant,
}

/// A try that came to nothing, and what followed.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Which endpoint failed.
    pub endpoint: Id,
    /// Why the request was sent again; `None` if the budget was used up.
    pub condition: Option<Condition>,
}

impl Record {
    /// A request on `listener` of which nothing else is known yet.
    pub fn new(listener: Id) -> Self {
        Self {
            listener,
            route: None,
            endpoint: None,
            tries: 0,
            status: 0,
            reason: None,
            outcome: Outcome::Neutral,
            truncated: false,
            waited: Duration::ZERO,
            latency: None,
            total: Duration::ZERO,
            bytes_in: 0,
            bytes_out: 0,
        }
    }
}
