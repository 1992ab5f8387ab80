//! Whether a read that is slow to be answered is sent to a second endpoint as well (J. Dean, L. A. Barroso, "The Tail at
//! Scale", CACM 56(2), 2013): after how long, how often, and not where it would make things worse. Nothing here sends
//! or waits.

mod allowance;
mod load;
mod usual_delay;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub use self::allowance::Allowance;
pub use self::load::Load;
pub use self::usual_delay::UsualDelay;
use crate::config::After;

/// The shortest delay: what timers tell apart.
const SHORTEST: Duration = Duration::from_millis(1);

/// When a request is looked at, in multiples of its delay. A second copy may be refused at one look and be due at the next.
pub const LOOKS: [u32; 4] = [1, 2, 4, 8];

/// Why a second copy that was due was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// So many endpoints are out that the others have enough to do.
    Unfit,
    /// No other endpoint may have it.
    NoEndpoint,
    /// The endpoint that would get it is busier than it usually is, or the upstream takes no more.
    Busy,
    /// The route's share of copies is used up.
    Budget,
}

impl Cause {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Unfit, Self::NoEndpoint, Self::Busy, Self::Budget];

    /// The word used for it in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unfit => "unfit",
            Self::NoEndpoint => "no_endpoint",
            Self::Busy => "busy",
            Self::Budget => "budget",
        }
    }
}

/// What all workers share of one route that hedges. It outlives a reload.
#[derive(Debug, Default)]
pub struct Hedging {
    /// Microseconds; 0 while not enough is known.
    measured: AtomicU64,
    /// How many copies may be sent.
    pub allowance: Allowance,
}

impl Hedging {
    /// How long a request waits for its response head before it is looked at first; `None` while too little is known.
    pub fn delay(&self, after: After) -> Option<Duration> {
        let delay = match after {
            After::Time(time) => time,
            After::Quantile(_) => match self.measured.load(Relaxed) {
                0 => return None,
                micros => Duration::from_micros(micros),
            },
        };
        Some(delay.max(SHORTEST))
    }

    /// Makes a measured delay the one that requests go by, in microseconds; `None` to hedge nothing.
    pub fn publish(&self, delay_us: Option<u64>) {
        self.measured.store(delay_us.unwrap_or(0), Relaxed);
    }
}

/// The endpoints that an upstream has in use, drained ones among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Members {
    /// All, save backups and those without weight.
    pub all: usize,
    /// Those of them that take requests.
    pub open: usize,
    /// Whether so few are fit that health is ignored.
    pub panic: bool,
}

impl Members {
    /// Whether so few are out that the others have room to spare: a quarter at most, so that none has a third more to do
    /// than usual.
    pub fn are_fit(self) -> bool {
        !self.panic && (self.all - self.open) * 4 <= self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Percentile;

    #[test]
    fn a_measured_delay_is_none_until_it_is_known_and_no_shorter_than_a_timer_can_tell() {
        let hedging = Hedging::default();
        let after = After::Quantile(Percentile::P95);
        assert_eq!(hedging.delay(after), None);
        hedging.publish(Some(12_345));
        assert_eq!(hedging.delay(after), Some(Duration::from_micros(12_345)));
        hedging.publish(Some(200));
        assert_eq!(hedging.delay(after), Some(SHORTEST));
        assert_eq!(hedging.delay(After::Time(Duration::from_millis(30))), Some(Duration::from_millis(30)));
        hedging.publish(None);
        assert_eq!(hedging.delay(after), None);
    }

    #[test]
    fn a_pool_with_more_than_a_quarter_out_has_nothing_to_spare() {
        let fit = |all, open| Members { all, open, panic: false }.are_fit();
        assert!(fit(2, 2) && fit(4, 3) && fit(8, 6) && fit(100, 75));
        assert!(!fit(2, 1) && !fit(3, 2) && !fit(4, 2) && !fit(100, 74));
        assert!(!Members { all: 4, open: 4, panic: true }.are_fit());
    }
}
