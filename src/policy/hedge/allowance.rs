//! How many of a route's reads may be sent a second time: a share of them, and never a copy more.
//!
//! A bucket of tokens that all workers share without a lock, as the retry budget is. It starts empty and only requests
//! fill it, so that at no moment more than the share of all requests so far have been copied. What is not used is saved
//! up, for a stall wants many at once. The last of it is for those that have waited for long: after p95 one request in
//! twenty is due, more than a share of 3 % has for them, and they would leave nothing for the stall.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// A token in the unit that is counted in: a request pays its percent.
const TOKEN: i64 = 100;

/// What requests may save up: enough for those that an endpoint has in flight when it stalls.
const MOST: i64 = 100 * TOKEN;

/// What those that wait for the first time leave for the others.
const KEPT: i64 = 10 * TOKEN;

/// The copies that one route has left.
#[derive(Debug, Default)]
pub struct Allowance(AtomicI64);

impl Allowance {
    /// A read has come, of which `percent` may be sent twice. While all are quick the bucket is full, and this reads one
    /// number that nobody writes.
    #[inline]
    pub fn pay_in(&self, percent: u8) {
        if self.0.load(Relaxed) < MOST {
            self.0.fetch_add(i64::from(percent), Relaxed);
        }
    }

    /// Takes a copy out, if there is one left. `patient`: it has been looked at before, and may have the last.
    pub fn take(&self, patient: bool) -> bool {
        let least = if patient { TOKEN } else { TOKEN + KEPT };
        let less = |tokens: i64| (tokens >= least).then_some(tokens - TOKEN);
        self.0.fetch_update(Relaxed, Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(allowance: &Allowance, patient: bool, wanted: usize) -> usize {
        (0..wanted).filter(|_| allowance.take(patient)).count()
    }

    #[test]
    fn without_requests_there_is_none_and_each_brings_its_share() {
        let allowance = Allowance::default();
        assert!(!allowance.take(true));
        (0..33).for_each(|_| allowance.pay_in(3));
        assert!(!allowance.take(true));
        allowance.pay_in(3);
        assert!(allowance.take(true) && !allowance.take(true));
    }

    #[test]
    fn who_waits_for_the_first_time_leaves_the_last_ten_to_the_others() {
        let allowance = Allowance::default();
        (0..20).for_each(|_| allowance.pay_in(100));
        assert_eq!(taken(&allowance, false, 100), 10);
        assert_eq!(taken(&allowance, true, 100), 10);
    }

    #[test]
    fn an_hour_of_calm_saves_up_a_hundred() {
        let allowance = Allowance::default();
        (0..1_000_000).for_each(|_| allowance.pay_in(100));
        assert_eq!(taken(&allowance, true, 1000), 100);
    }

    #[test]
    fn no_sequence_of_requests_and_stalls_takes_more_than_the_share() {
        for seed in 0..50 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (allowance, percent) = (Allowance::default(), rng.u8(1..=100));
            let (mut requests, mut copies) = (0_u64, 0_u64);
            for _ in 0..5000 {
                requests += 1;
                allowance.pay_in(percent);
                copies += taken(&allowance, rng.bool(), rng.usize(0..3)) as u64;
                assert!(copies * 100 <= requests * u64::from(percent), "{copies} of {requests}, seed {seed}");
            }
        }
    }

    #[test]
    fn workers_that_share_it_take_no_token_twice() {
        let allowance = Allowance::default();
        (0..5000).for_each(|_| allowance.pay_in(1));
        let taken: usize = std::thread::scope(|scope| {
            let workers = [(); 4].map(|()| scope.spawn(|| taken(&allowance, true, 1000)));
            workers.map(|worker| worker.join().expect("a worker")).into_iter().sum()
        });
        assert_eq!(taken, 50);
    }
}
