//! How many of an upstream's requests may be sent again: a share of them, so that retries never double the load of an
//! upstream that is failing under it, and a few a second whatever the traffic (Finagle's retry budget).
//!
//! A bucket of tokens that all workers share without a lock. A request pays a part of a token in, a retry takes one out;
//! time fills it up to a second's worth only. So up to any moment no more than 10 + 10 a second + the share have been
//! taken, and in no stretch between two moments 90 more than that.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// A token in the unit that is counted in, so that a hundredth of a request's share is a whole number.
const TOKEN: i64 = 1000;

/// Retries that always may be: those of one second at 10 a second.
const RESERVE: i64 = 10 * TOKEN;

/// What a millisecond adds, up to the reserve.
const PER_MILLISECOND: i64 = RESERVE / 1000;

/// What requests may save up, so that an hour of calm does not pay for a storm: enough for those that an endpoint has in
/// flight when it dies.
const MOST: i64 = 100 * TOKEN;

/// The retries that one upstream has left.
#[derive(Debug)]
pub struct Budget {
    tokens: AtomicI64,
    /// Milliseconds after `born` up to which time has paid in.
    paid_until: AtomicU64,
    born: Instant,
}

impl Budget {
    /// With its reserve. `now`: nothing is taken from it earlier.
    pub fn new(now: Instant) -> Self {
        Self { tokens: AtomicI64::new(RESERVE), paid_until: AtomicU64::new(0), born: now }
    }

    /// A request has come, of which `percent` may be sent again. While nothing fails the bucket is full, and this reads
    /// one number that nobody writes.
    #[inline]
    pub fn pay_in(&self, percent: u8) {
        if self.tokens.load(Relaxed) < MOST {
            self.tokens.fetch_add(i64::from(percent) * (TOKEN / 100), Relaxed);
        }
    }

    /// Takes a retry out, if there is one left.
    pub fn take(&self, now: Instant) -> bool {
        self.pay_for_time(now);
        let less = |tokens: i64| (tokens >= TOKEN).then_some(tokens - TOKEN);
        self.tokens.fetch_update(Relaxed, Relaxed, less).is_ok()
    }

    /// Whoever moves `paid_until` on pays for the time between.
    fn pay_for_time(&self, now: Instant) {
        let until = u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX);
        let since = self.paid_until.fetch_max(until, Relaxed);
        let passed = i64::try_from(until.saturating_sub(since)).unwrap_or(i64::MAX);
        let worth = passed.saturating_mul(PER_MILLISECOND);
        let more =
            |tokens: i64| (tokens < RESERVE && worth > 0).then(|| RESERVE.min(tokens.saturating_add(worth)));
        // Nothing to pay where the reserve is there.
        let _ = self.tokens.fetch_update(Relaxed, Relaxed, more);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(budget: &Budget, now: Instant, wanted: usize) -> usize {
        (0..wanted).filter(|_| budget.take(now)).count()
    }

    #[test]
    fn without_requests_ten_a_second_are_there() {
        let start = Instant::now();
        let budget = Budget::new(start);
        assert_eq!(taken(&budget, start, 100), 10);
        assert_eq!(taken(&budget, start + Duration::from_millis(99), 100), 0);
        assert_eq!(taken(&budget, start + Duration::from_millis(100), 100), 1);
        assert_eq!(taken(&budget, start + Duration::from_millis(1100), 100), 10);
        assert_eq!(taken(&budget, start + Duration::from_secs(3600), 100), 10, "an hour saves up no more");
    }

    #[test]
    fn a_fifth_of_the_requests_comes_on_top() {
        let start = Instant::now();
        let budget = Budget::new(start);
        assert_eq!(taken(&budget, start, 100), 10);
        (0..50).for_each(|_| budget.pay_in(20));
        assert_eq!(taken(&budget, start, 100), 10);
        (0..1_000_000).for_each(|_| budget.pay_in(20));
        assert_eq!(taken(&budget, start, 1000), 100, "no more than that is saved up");
    }

    #[test]
    fn a_clock_that_jumps_back_pays_nothing() {
        let start = Instant::now() + Duration::from_secs(60);
        let budget = Budget::new(start);
        taken(&budget, start + Duration::from_secs(5), 10);
        assert_eq!(taken(&budget, start - Duration::from_secs(5), 10), 0);
        assert_eq!(taken(&budget, start + Duration::from_secs(5), 10), 0);
    }

    /// Up to every moment: the reserve, ten a second, and the share. From any moment on: what may be saved up in place
    /// of the reserve.
    #[test]
    fn no_sequence_of_requests_and_failures_takes_more_than_its_share() {
        for seed in 0..50 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let start = Instant::now();
            let (budget, percent) = (Budget::new(start), rng.u8(1..=100));
            let (mut now, mut requests, mut retries) = (Duration::ZERO, 0_u32, 0_u32);
            let (failing, pace) = (rng.f64(), rng.u64(1..2000));
            let mut after_calm = f64::INFINITY;
            for _ in 0..5000 {
                now += Duration::from_micros(rng.u64(0..pace * 100));
                requests += 1;
                budget.pay_in(percent);
                while rng.f64() < failing && budget.take(start + now) {
                    retries += 1;
                }
                let earned = 10.0 * now.as_secs_f64() + f64::from(requests) * f64::from(percent) / 100.0;
                let over = f64::from(retries) - earned;
                assert!(over <= 10.0 + 1e-6, "{retries} of {requests}, seed {seed}");
                after_calm = after_calm.min(over);
                assert!(over - after_calm <= 101.0, "{over} after {after_calm}, seed {seed}");
            }
        }
    }

    #[test]
    fn workers_that_share_it_take_no_token_twice() {
        let start = Instant::now();
        let budget = Budget::new(start);
        (0..200).for_each(|_| budget.pay_in(20));
        let taken: usize = std::thread::scope(|scope| {
            let workers = [(); 4].map(|()| scope.spawn(|| taken(&budget, start, 1000)));
            workers.map(|worker| worker.join().expect("a worker")).into_iter().sum()
        });
        assert_eq!(taken, 50);
    }
}
