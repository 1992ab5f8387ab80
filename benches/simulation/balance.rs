//! What a balancer is to the world: the seam at which Tillgate and its rivals are exchanged for one another.

use std::time::Duration;

use tillgate::policy::score::Outcome;

/// One proxy's balancer. Times are since the start of the world.
pub trait Balance {
    /// The endpoint for a request; it is in flight there until `ended`.
    fn pick(&mut self, request: Request, now: Duration, rng: &mut fastrand::Rng) -> usize;

    /// The response head arrived, or the request failed, `latency` after it was sent.
    fn ended(&mut self, endpoint: usize, request: Request, latency: Duration, ending: Ending, now: Duration);

    /// Called ten times a second.
    fn tick(&mut self, _now: Duration) {}

    /// The next endpoint of the fleet is there, and nothing is known of it.
    fn joined(&mut self, endpoint: usize, now: Duration);
}

/// What a balancer may know of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Counts the requests of a run.
    pub id: usize,
    /// The route that took it, from 0.
    pub route: u16,
    /// Whether it is a GET or a HEAD.
    #[allow(
        dead_code,
        reason = "for a balancer that probes with requests that may be lost; none does as yet"
    )]
    pub safe: bool,
}

/// How a request ended. Finer than `policy::score::Outcome`: nginx tells a refused connection from a 503, and Traefik
/// times only requests that are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Success,
    Status500,
    Status503,
    Refused,
    TimedOut,
}

impl Ending {
    /// As Tillgate sees it.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Success => Outcome::Success,
            Self::Status500 => Outcome::SoftFailure,
            Self::Status503 | Self::Refused | Self::TimedOut => Outcome::Failure,
        }
    }

    /// Whether there was a response head, be it an error's.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Success | Self::Status500 | Self::Status503)
    }
}

/// The endpoints that a balancer is made for.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Weights of all, also of those that join later.
    pub weights: Vec<u32>,
    /// How many are there from the start; the others join in order.
    pub present: usize,
}
