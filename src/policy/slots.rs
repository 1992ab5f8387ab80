//! Histograms that forget slot by slot: what is older than a window leaves, a sixth of the window at a time.
//!
//! A decaying mean forgets a stall between two stalls; a window remembers it for its whole length, which is what makes
//! a tail visible. Nothing here reads a clock or runs backwards: an instant earlier than one already seen is the
//! current slot. No memory is taken before the first value.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// The window loses a sixth of its values at a time.
const SLOTS: u32 = 6;

/// What a histogram can hold and how finely it tells values apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Values outside are counted as the nearest of these.
    pub(super) range: (u64, u64),
    /// Width of the finest bucket.
    pub(super) resolution: u64,
    /// Significant decimal digits.
    pub(super) digits: u8,
}

impl Scale {
    /// A histogram of this scale.
    pub(super) fn histogram(&self) -> Histogram<u32> {
        Histogram::new_with_bounds(self.resolution, self.range.1, self.digits)
            .expect("scales are constants that hdrhistogram accepts")
    }
}

/// Six histograms in turn.
#[derive(Debug)]
pub(super) struct Ring {
    scale: Scale,
    window: Duration,
    clock: SlotClock,
    slots: Option<Box<[Histogram<u32>; SLOTS as usize]>>,
    current: usize,
}

impl Ring {
    pub(super) fn new(scale: Scale, window: Duration, now: Instant) -> Self {
        Self { scale, window, clock: clock(window, now), slots: None, current: 0 }
    }

    /// Counts a value, clamped to the scale's range. The caller has advanced to now.
    pub(super) fn record(&mut self, value: u64) {
        let scale = self.scale;
        let slots = self.slots.get_or_insert_with(|| Box::new(std::array::from_fn(|_| scale.histogram())));
        slots[self.current].saturating_record(value.clamp(scale.range.0, scale.range.1));
    }

    /// Forgets the slots that have left the window at `now`, each after a last look at it.
    pub(super) fn advance(&mut self, now: Instant, mut leaves: impl FnMut(&Histogram<u32>)) {
        let begun = self.clock.advance(now).min(u64::from(SLOTS));
        let Some(slots) = &mut self.slots else { return };
        for _ in 0..begun {
            self.current = (self.current + 1) % slots.len();
            let oldest = &mut slots[self.current];
            if !oldest.is_empty() {
                leaves(oldest);
                oldest.reset();
            }
        }
    }

    /// Changes the length. What is in the window stays, and counts for one more window from `now`, to which the caller
    /// has advanced. Whether it changed.
    pub(super) fn resize(&mut self, window: Duration, now: Instant) {
        if window == self.window {
            return;
        }
        self.window = window;
        self.clock = clock(window, now);
        let sum = self.sum();
        if let (Some(slots), Some(sum)) = (&mut self.slots, sum) {
            slots.iter_mut().for_each(Histogram::reset);
            slots[self.current] = sum;
        }
    }

    /// How long a value counts at the least.
    pub(super) fn retention(&self) -> Duration {
        self.window * (SLOTS - 1) / SLOTS
    }

    /// Values in the window.
    pub(super) fn count(&self) -> u64 {
        self.slots.iter().flat_map(|slots| slots.iter()).map(Histogram::len).sum()
    }

    /// Every value in the window; `None` if there never was one.
    pub(super) fn sum(&self) -> Option<Histogram<u32>> {
        let slots = self.slots.as_ref()?;
        let mut sum = self.scale.histogram();
        slots.iter().for_each(|slot| sum.add(slot).expect("all are of one scale"));
        Some(sum)
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let slots = self.slots.iter().flat_map(|slots| slots.iter());
        slots.map(|slot| size_of::<Histogram<u32>>() + slot.distinct_values() * size_of::<u32>()).sum()
    }
}

fn clock(window: Duration, now: Instant) -> SlotClock {
    SlotClock::new(window / SLOTS, now)
}

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
