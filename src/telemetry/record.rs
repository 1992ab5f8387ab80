//! One finished request in numbers.

use std::time::{Duration, Instant};

use crate::config::Condition;
use crate::policy::grpc::Code;
use crate::policy::hedge::Cause;
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
    /// Whether it became a tunnel, whose time and bytes are not those of a request.
    pub tunnel: bool,
    /// Bytes of the request body, or from the client.
    pub bytes_in: u64,
    /// Bytes of the response body, or to the client.
    pub bytes_out: u64,
    /// What a gRPC call ended with.
    pub grpc_status: Option<Code>,
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

/// What a route that hedges has to tell.
#[derive(Debug, Clone, Copy)]
pub struct Hedging {
    /// Which route.
    pub route: Id,
    /// What.
    pub told: Hedge,
}

/// One event of a hedged request.
#[derive(Debug, Clone, Copy)]
pub enum Hedge {
    /// The first copy was answered after so long, or had waited that long when it was given up.
    First(Duration),
    /// A second copy was due, and was not sent.
    Refused(Cause),
    /// A second copy was sent, and this became of it.
    Copied(Copied),
}

/// A request of which there were two copies.
#[derive(Debug, Clone, Copy)]
pub struct Copied {
    /// What the second copy came to.
    pub end: HedgeEnd,
    /// The endpoint whose copy was not passed on; the request's record tells of the other one.
    pub other: Id,
    /// Whether that one failed, rather than being given up.
    pub failed: bool,
}

/// What a second copy came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeEnd {
    /// Its answer was passed on.
    Won,
    /// The first copy was answered before it, or the client went away.
    Lost,
    /// It failed.
    Failed,
}

impl HedgeEnd {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Won, Self::Lost, Self::Failed];

    /// The word used for it in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Failed => "failed",
        }
    }
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
            tunnel: false,
            bytes_in: 0,
            bytes_out: 0,
            grpc_status: None,
        }
    }
}
