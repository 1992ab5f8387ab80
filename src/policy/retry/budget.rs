//! How many of an upstream's requests may be sent again: a share of those of the last ten seconds, so that retries never
//! double the load of an upstream that is failing under it, and a few a second whatever the traffic (Finagle's retry
//! budget, whose deposits live for ten seconds too).
//!
//! A bucket of tokens that all workers share without a lock. A request pays a part of a token in, a retry takes one out;
//! time fills it up to a second's worth only, and what is saved up beyond that fades. So up to any moment no more than 10 +
//! 10 a second + the share have been taken; and after a calm, however long, no more at once than ten seconds' share, which
//! is what an endpoint may have in flight when it stops.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// A token in the unit that is counted in, so that a hundredth of a request's share is a whole number.
const TOKEN: i64 = 1000;

/// Retries that always may be: those of one second at 10 a second.
const RESERVE: i64 = 10 * TOKEN;

/// What a millisecond adds, up to the reserve.
const PER_MILLISECOND: i64 = RESERVE / 1000;

/// What is saved up loses a part in so many ten times a second: as much is there in the end as ten seconds bring.
const FADE: i64 = 100;

/// No traffic saves up more, so that no sum overflows.
const MOST: i64 = 1_000_000 * TOKEN;

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

    /// Requests have come, of which so many hundredths may be sent again: 20 for one of which a fifth may. Workers add up
    /// what they owe and pay it ten times a second, since to write here for each request would cost them more.
    pub fn pay_in(&self, hundredths: u32) {
        if self.tokens.load(Relaxed) < MOST {
            self.tokens.fetch_add(i64::from(hundredths) * (TOKEN / 100), Relaxed);
        }
    }

    /// A tenth of a second has passed.
    pub fn fade(&self) {
        let less = |tokens: i64| (tokens > RESERVE).then(|| tokens - (tokens - RESERVE) / FADE);
        // Nothing is saved up in a quiet upstream.
        let _ = self.tokens.fetch_update(Relaxed, Relaxed, less);
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
    }

    #[test]
    fn a_calm_saves_up_the_share_of_ten_seconds_and_forgets_it() {
        let start = Instant::now();
        let budget = Budget::new(start);
        for _ in 0..3600 {
            budget.pay_in(20 * 100);
            budget.fade();
        }
        assert!((1900..=2010).contains(&taken(&budget, start, 10_000)), "a fifth of 1000 a second");
        budget.pay_in(20 * 10_000);
        (0..1200).for_each(|_| budget.fade());
        assert_eq!(taken(&budget, start, 10_000), 10, "the reserve, and nothing of what was saved up");
    }

    #[test]
    fn a_clock_that_jumps_back_pays_nothing() {
        let start = Instant::now() + Duration::from_secs(60);
        let budget = Budget::new(start);
        taken(&budget, start + Duration::from_secs(5), 10);
        assert_eq!(taken(&budget, start - Duration::from_secs(5), 10), 0);
        assert_eq!(taken(&budget, start + Duration::from_secs(5), 10), 0);
    }

    #[test]
    fn no_sequence_of_requests_and_failures_takes_more_than_its_share() {
        for seed in 0..50 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let start = Instant::now();
            let (budget, percent) = (Budget::new(start), rng.u32(1..=100));
            let (mut now, mut requests, mut retries) = (Duration::ZERO, 0_u32, 0_u32);
            let (failing, pace) = (rng.f64(), rng.u64(1..2000));
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
