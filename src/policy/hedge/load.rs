//! How many requests an endpoint of an upstream usually has in flight: a copy is for an idle moment elsewhere, not for a pool
//! in which everybody waits.
//!
//! Only the endpoint that would get the copy is asked. The sum over the pool would say nothing: a stall, for which hedges
//! are made, fills the endpoint that stalls, and the sum with it.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The mean follows its last 600 readings, a minute at ten a second: slower than an overload comes.
const READINGS: u32 = 600;

/// An endpoint is busy beyond so many times the usual.
const TIMES: f32 = 3.0;

/// And so many: of two requests now and then, six are no overload.
const SPARE: f32 = 3.0;

/// The running mean of requests in flight at one endpoint.
#[derive(Debug, Default)]
pub struct Load {
    /// An `f32` as bits.
    usual: AtomicU32,
    readings: AtomicU32,
}

impl Load {
    /// Takes in how many are in flight at each open endpoint. One thread at a time.
    pub fn read(&self, in_flight: impl Iterator<Item = u32>) {
        let (mut sum, mut count) = (0, 0_u32);
        in_flight.for_each(|one| (sum, count) = (sum + u64::from(one), count + 1));
        if count == 0 {
            return;
        }
        let readings = (self.readings.load(Relaxed) + 1).min(READINGS);
        self.readings.store(readings, Relaxed);
        let usual = f32::from_bits(self.usual.load(Relaxed));
        let mean = sum as f32 / count as f32;
        self.usual.store((usual + (mean - usual) / readings as f32).to_bits(), Relaxed);
    }

    /// Whether an endpoint with so many in flight has enough to do.
    pub fn is_busy(&self, in_flight: u32) -> bool {
        in_flight as f32 > SPARE + TIMES * f32::from_bits(self.usual.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_busy_by_what_is_usual_and_a_few_are_always_free() {
        let load = Load::default();
        assert!(!load.is_busy(3) && load.is_busy(4));
        (0..600).for_each(|_| load.read([10, 20, 30].into_iter()));
        assert!(!load.is_busy(63) && load.is_busy(64));
        load.read(std::iter::empty());
        assert!(!load.is_busy(63) && load.is_busy(64), "nobody open says nothing");
    }

    #[test]
    fn an_overload_does_not_look_usual_before_a_minute_of_it() {
        let load = Load::default();
        (0..600).for_each(|_| load.read(std::iter::once(2)));
        (0..50).for_each(|_| load.read(std::iter::once(40)));
        assert!(load.is_busy(40));
        (0..3000).for_each(|_| load.read(std::iter::once(40)));
        assert!(!load.is_busy(40));
    }
}
