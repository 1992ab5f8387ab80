//! Turns a clock into the number of slots that have begun, for windows that forget slot by slot.
//!
//! It holds no samples and never runs backwards: an instant earlier than one already seen is the current slot.

use std::time::{Duration, Instant};

/// Counts slots of one length from a start.
#[derive(Debug, Clone)]
pub(super) struct SlotClock {
    start: Instant,
    slot: Duration,
    turn: u64,
}

impl SlotClock {
    /// `slot` shorter than 1 ms is taken as 1 ms.
    pub(super) fn new(slot: Duration, now: Instant) -> Self {
        Self { start: now, slot: slot.max(Duration::from_millis(1)), turn: 0 }
    }

    /// How many slots have begun since the last call.
    pub(super) fn advance(&mut self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start).as_nanos() / self.slot.as_nanos();
        let turn = u64::try_from(elapsed).unwrap_or(u64::MAX).max(self.turn);
        let begun = turn - self.turn;
        self.turn = turn;
        begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_once_and_never_backwards() {
        let start = Instant::now();
        let mut clock = SlotClock::new(Duration::from_secs(5), start);
        assert_eq!(clock.advance(start + Duration::from_secs(4)), 0);
        assert_eq!(clock.advance(start + Duration::from_secs(16)), 3);
        assert_eq!(clock.advance(start + Duration::from_secs(2)), 0);
        assert_eq!(clock.advance(start + Duration::from_secs(19)), 0);
        assert_eq!(clock.advance(start + Duration::from_secs(20)), 1);
    }
}
