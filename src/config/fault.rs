//! `routes[].fault`: data only.

use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::model::Share;

/// What is done to some requests of a route on purpose, to see how the shop takes it. At least one of the two is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Some are held back first.
    pub delay: Option<Delay>,
    /// Some are refused, held back or not.
    pub abort: Option<Abort>,
    /// `when.header`: only requests that have this header. Default: all.
    pub when: Option<HeaderName>,
}

impl Fault {
    /// Whether it is done to any request at all.
    pub fn is_on(&self) -> bool {
        let delays = self.delay.is_some_and(|delay| !delay.percent.is_none());
        delays || self.abort.is_some_and(|abort| !abort.percent.is_none())
    }
}

/// `fault.delay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// For how long, 1 ms to 60 s.
    pub length: Duration,
    /// How many. Default: all.
    pub percent: Share,
}

/// `fault.abort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abort {
    /// What they are answered, 400 to 599.
    pub status: StatusCode,
    /// How many. Default: all.
    pub percent: Share,
}
