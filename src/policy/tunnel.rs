//! How long a tunnel may stand still.

use std::time::{Duration, Instant};

/// Bounds of a tunnel.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// Without a byte in either direction.
    pub idle: Duration,
    /// For a side to take what is there for it; and without a byte once one side has ended, since nobody may be left.
    pub stall: Duration,
}

/// Why a tunnel is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Still {
    /// Nothing moved for too long.
    Idle,
    /// A side did not take what was there for it.
    Stalled,
}

/// One direction since the last look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Bytes that were taken.
    pub moved: u64,
    /// Whether more waits to be taken.
    pub blocked: bool,
    /// Whether there is nothing more to come.
    pub ending: bool,
}

/// Watches both directions of one tunnel.
#[derive(Debug)]
pub struct Patience {
    waits: Waits,
    last: Instant,
    blocked: [Option<Instant>; 2],
    ending: bool,
}

impl Patience {
    /// A tunnel that opens at `now`.
    pub fn new(waits: Waits, now: Instant) -> Self {
        Self { waits, last: now, blocked: [None; 2], ending: false }
    }

    /// Takes note of both directions at `now`. Whether the deadline may have come nearer: what just moves puts it off, and
    /// that can wait until it passes.
    pub fn look(&mut self, looks: [Look; 2], now: Instant) -> bool {
        let before = (self.blocked.map(|since| since.is_some()), self.ending);
        for (since, look) in self.blocked.iter_mut().zip(looks) {
            let again = since.filter(|_| look.moved == 0);
            *since = look.blocked.then(|| again.unwrap_or(now));
        }
        if looks.iter().any(|look| look.moved > 0) {
            self.last = now;
        }
        self.ending = looks.iter().any(|look| look.ending);
        before != (self.blocked.map(|since| since.is_some()), self.ending)
    }

    /// When it is over unless something moves.
    pub fn deadline(&self) -> Instant {
        let idle = if self.ending { self.waits.idle.min(self.waits.stall) } else { self.waits.idle };
        let stalls = self.blocked.iter().flatten().map(|since| *since + self.waits.stall);
        stalls.fold(self.last + idle, Instant::min)
    }

    /// Why it is over at `now`, if it is.
    pub fn expired(&self, now: Instant) -> Option<Still> {
        let stalled = self.blocked.iter().flatten().any(|since| now >= *since + self.waits.stall);
        match now >= self.deadline() {
            false => None,
            true if stalled => Some(Still::Stalled),
            true => Some(Still::Idle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits { idle: Duration::from_secs(100), stall: Duration::from_secs(10) };
    const NONE: Look = Look { moved: 0, blocked: false, ending: false };
    const MOVED: Look = Look { moved: 1, ..NONE };
    const BLOCKED: Look = Look { blocked: true, ..NONE };

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_byte_in_either_direction_puts_the_end_off() {
        let start = Instant::now();
        for looks in [[MOVED, NONE], [NONE, MOVED]] {
            let mut patience = Patience::new(WAITS, start);
            assert_eq!(patience.deadline(), at(start, 100));
            assert!(!patience.look(looks, at(start, 60)));
            assert!(!patience.look([NONE, NONE], at(start, 90)));
            assert_eq!(patience.expired(at(start, 159)), None);
            assert_eq!(patience.expired(at(start, 160)), Some(Still::Idle));
        }
    }

    #[test]
    fn who_takes_nothing_is_given_up_though_the_other_direction_moves() {
        let start = Instant::now();
        let mut patience = Patience::new(WAITS, start);
        assert!(patience.look([NONE, BLOCKED], at(start, 20)));
        assert!(!patience.look([MOVED, BLOCKED], at(start, 25)));
        assert_eq!(patience.expired(at(start, 29)), None);
        assert_eq!(patience.expired(at(start, 30)), Some(Still::Stalled));
        // A little of it was taken.
        assert!(!patience.look([NONE, Look { moved: 1, ..BLOCKED }], at(start, 29)));
        assert_eq!(patience.expired(at(start, 38)), None);
        assert!(patience.look([NONE, MOVED], at(start, 38)));
        assert_eq!(patience.deadline(), at(start, 138));
    }

    #[test]
    fn half_a_tunnel_waits_less_for_the_other_half() {
        let start = Instant::now();
        let mut patience = Patience::new(WAITS, start);
        assert!(patience.look([Look { ending: true, ..MOVED }, NONE], at(start, 20)));
        assert_eq!(patience.deadline(), at(start, 30));
        assert!(!patience.look([Look { ending: true, ..NONE }, MOVED], at(start, 29)));
        assert_eq!(patience.expired(at(start, 38)), None);
        assert_eq!(patience.expired(at(start, 39)), Some(Still::Idle));
    }
}
