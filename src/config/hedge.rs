//! `routes[].hedge`: data only. What follows from it for one request is decided by `policy::hedge`.

use std::fmt;
use std::time::Duration;

use super::decode::show_duration;

/// When a slow read is asked of a second endpoint as well, and how often that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// After how long without a response head. Default p95.
    pub after: After,
    /// How many reads in a hundred may be sent a second time, 1 to 100. Default 3.
    pub max_percent: u8,
}

impl Default for Hedge {
    fn default() -> Self {
        Self { after: After::Quantile(Percentile::P95), max_percent: 3 }
    }
}

/// `hedge.after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// What this share of the route's reads do not take.
    Quantile(Percentile),
    /// A fixed time, 1 ms to 1 min.
    Time(Duration),
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantile(percentile) => percentile.fmt(f),
            Self::Time(time) => f.write_str(&show_duration(*time)),
        }
    }
}

/// p50 to p99.9, in tenths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentile(u16);

impl Percentile {
    /// The default.
    pub const P95: Self = Self(950);

    /// From tenths of a percent; `None` outside 500 to 999.
    pub fn new(tenths: u16) -> Option<Self> {
        (500..=999).contains(&tenths).then_some(Self(tenths))
    }

    /// As a share, 0.5 to 0.999.
    pub fn share(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (whole, 0) => write!(f, "p{whole}"),
            (whole, tenth) => write!(f, "p{whole}.{tenth}"),
        }
    }
}
