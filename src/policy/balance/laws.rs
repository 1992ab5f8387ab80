//! What every strategy must do, whatever else it does.

use std::collections::VecDeque;

use super::testing::{STRATEGIES, candidates, hint, warm};
use super::*;
use crate::policy::score::Score;

const PICKS: usize = 20_000;

/// A balancer as one worker sees it, with keys that are all different.
struct Worker {
    balancer: Balancer,
    cursor: Cursor,
    rng: fastrand::Rng,
}

impl Worker {
    fn new(strategy: &Strategy, weights: &[u32], seed: u64) -> Self {
        let balancer = Balancer::new(strategy, candidates(weights));
        let mut rng = fastrand::Rng::with_seed(seed);
        let cursor = balancer.cursor(&mut rng);
        Self { balancer, cursor, rng }
    }

    fn pick(&mut self, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let key = self.rng.u64(..);
        let hint = Hint { key: Some(key), ..hint() };
        self.balancer.pick(&mut self.cursor, hint, eligible, &mut self.rng)
    }

    /// The share of each candidate over many picks, with up to `in_flight` requests that end in the order they began.
    fn shares(&mut self, in_flight: usize, eligible: impl Fn(usize) -> bool) -> Vec<f64> {
        warm(self.balancer.candidates());
        let mut counts = vec![0.0; self.balancer.candidates().len()];
        let mut running = VecDeque::new();
        for _ in 0..PICKS {
            let Some(index) = self.pick(&eligible) else { continue };
            counts[index] += 1.0 / PICKS as f64;
            running.push_back(self.balancer.candidates()[index].state.begin());
            while running.len() > in_flight {
                running.pop_front();
            }
        }
        counts
    }
}

/// Asserts that each share is within a tenth of its weight's part of the whole.
fn assert_shares(strategy: &Strategy, shares: &[f64], weights: &[u32]) {
    let total = f64::from(weights.iter().sum::<u32>());
    for (share, &weight) in shares.iter().zip(weights) {
        let want = f64::from(weight) / total;
        assert!((share - want).abs() <= want * 0.1, "{}: {shares:.3?} for {weights:?}", strategy.name());
    }
}

#[test]
fn only_eligible_endpoints_are_picked() {
    for strategy in &STRATEGIES {
        for count in [2, 5, 40] {
            let mut worker = Worker::new(strategy, &vec![1; count], 1);
            for mask in 0..500_usize {
                let eligible = |index: usize| (mask >> (index % 5)) & 1 == 1;
                let picked = worker.pick(eligible);
                assert!(picked.is_none_or(eligible), "{}", strategy.name());
            }
        }
    }
}

#[test]
fn none_is_picked_if_and_only_if_none_is_eligible() {
    for strategy in &STRATEGIES {
        for count in [1, 2, 5, 40] {
            let mut worker = Worker::new(strategy, &vec![3; count], 2);
            assert_eq!(worker.pick(|_| false), None, "{}", strategy.name());
            for only in 0..count {
                assert_eq!(worker.pick(|index| index == only), Some(only), "{}", strategy.name());
            }
        }
        assert_eq!(Worker::new(strategy, &[], 2).pick(|_| true), None);
    }
}

#[test]
fn weights_are_respected_under_load() {
    let weights = [1, 2, 3, 6];
    for strategy in STRATEGIES.iter().filter(|strategy| **strategy != Strategy::RoundRobin) {
        let shares = Worker::new(strategy, &weights, 3).shares(240, |_| true);
        assert_shares(strategy, &shares, &weights);
    }
}

#[test]
fn weights_are_respected_among_those_eligible() {
    for strategy in STRATEGIES.iter().filter(|strategy| **strategy != Strategy::RoundRobin) {
        let shares = Worker::new(strategy, &[1, 9, 2, 3], 3).shares(240, |index| index != 1);
        assert_shares(strategy, &shares, &[1, 0, 2, 3]);
    }
}

#[test]
fn weight_zero_drains() {
    for strategy in &STRATEGIES {
        let mut worker = Worker::new(strategy, &[1, 0, 1], 4);
        assert!((0..1000).all(|_| worker.pick(|_| true) != Some(1)), "{}", strategy.name());
        assert_eq!(worker.pick(|index| index == 1), None, "{}", strategy.name());
        assert_eq!(Worker::new(strategy, &[0, 0], 4).pick(|_| true), None, "{}", strategy.name());
    }
}

#[test]
fn the_same_seed_gives_the_same_picks() {
    for strategy in &STRATEGIES {
        let picks = |seed| -> Vec<_> {
            let mut worker = Worker::new(strategy, &[1, 2, 3, 4, 5], seed);
            (0..200).map(|_| worker.pick(|index| index != 2)).collect()
        };
        assert_eq!(picks(5), picks(5), "{}", strategy.name());
    }
}

#[test]
fn equal_endpoints_get_even_shares() {
    for strategy in &STRATEGIES {
        for count in [2, 5, 20] {
            for in_flight in [0, 200] {
                let weights = vec![1; count];
                let shares = Worker::new(strategy, &weights, 6).shares(in_flight, |_| true);
                assert_shares(strategy, &shares, &weights);
            }
        }
    }
}

#[test]
fn an_endpoint_in_its_slow_start_gets_the_share_that_it_has_come_to() {
    for strategy in &STRATEGIES {
        for count in [4, 40] {
            let mut worker = Worker::new(strategy, &vec![1; count], 9);
            let mut at = |ramp| {
                let mut new = 0;
                for _ in 0..PICKS {
                    worker.balancer.candidates()[0].state.publish(Score {
                        ramp,
                        samples: 1,
                        ..Score::default()
                    });
                    new += usize::from(worker.pick(|_| true) == Some(0));
                }
                new as f64 / PICKS as f64 * count as f64
            };
            let (start, end) = (at(0.25), at(1.0));
            let want = if matches!(strategy, Strategy::ConsistentHash(_)) { 1.0 } else { 0.25 };
            assert!(
                (start - want).abs() < 0.15 && (end - 1.0).abs() < 0.25,
                "{}: {start}, {end}",
                strategy.name()
            );
        }
    }
}

#[test]
fn an_endpoint_in_its_slow_start_is_picked_where_there_is_no_other() {
    for strategy in &STRATEGIES {
        let mut worker = Worker::new(strategy, &[1, 1], 10);
        worker.balancer.candidates()[0].state.publish(Score { ramp: 0.1, samples: 1, ..Score::default() });
        assert!((0..100).all(|_| worker.pick(|index| index == 0) == Some(0)), "{}", strategy.name());
    }
}

#[test]
fn a_single_endpoint_is_always_picked() {
    for strategy in &STRATEGIES {
        let mut worker = Worker::new(strategy, &[1], 7);
        let shares = worker.shares(50, |_| true);
        assert!((shares[0] - 1.0).abs() < 1e-9, "{}: {shares:?}", strategy.name());
    }
}

#[test]
fn a_request_without_a_key_is_balanced_by_weight() {
    let strategy = Strategy::ConsistentHash(crate::config::HashKey::ClientIp);
    let mut worker = Worker::new(&strategy, &[1, 3], 8);
    let picks = (0..PICKS).filter(|_| {
        let Worker { balancer, cursor, rng } = &mut worker;
        balancer.pick(cursor, hint(), |_| true, rng) == Some(1)
    });
    let share = picks.count() as f64 / PICKS as f64;
    assert_shares(&strategy, &[1.0 - share, share], &[1, 3]);
}

#[test]
fn a_reload_without_a_change_shares_the_table() {
    let strategy = &Strategy::ConsistentHash(crate::config::HashKey::ClientIp);
    let table = |balancer: &Balancer| match &balancer.rule {
        Rule::ConsistentHash(table) => table.clone(),
        rule => panic!("{rule:?}"),
    };
    let first = Balancer::new(strategy, candidates(&[1, 2]));
    let same = Balancer::renew(&first, strategy, candidates(&[1, 2]));
    let other = Balancer::renew(&first, strategy, candidates(&[2, 1]));
    assert!(table(&same).is(&table(&first)));
    assert!(!table(&other).is(&table(&first)));
}

#[test]
fn workers_start_their_turns_at_different_places() {
    for strategy in [Strategy::RoundRobin, Strategy::Weighted] {
        let first = |seed| Worker::new(&strategy, &[1; 10], seed).pick(|_| true);
        let starts: std::collections::BTreeSet<_> = (0..100).map(first).collect();
        assert!(starts.len() >= 8, "{}: {starts:?}", strategy.name());
    }
}
