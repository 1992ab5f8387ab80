//! Why a pick fell as it did, in a few words for whoever may know.
//!
//! Read off the candidates right after the pick: what another worker changes in between shows too.

use std::time::Instant;

use super::{Balancer, Hint};
use crate::config::Strategy;
use crate::policy::endpoint::Ticks;

impl Balancer {
    /// As in `least_response: cost 1.00 of 3 (L 1.00, M 1.00, T 0.40, A 1.00, E 1.00, W 1, 2 in flight)`. ASCII without control characters.
    pub fn account(&self, strategy: &Strategy, picked: usize, hint: Hint) -> String {
        let candidate = &self.candidates[picked];
        let open = self.candidates.iter().filter(|candidate| candidate.weight > 0).count();
        let (weight, busy) = (candidate.weight, candidate.state.in_flight());
        let why = match (strategy, hint.key) {
            (Strategy::RoundRobin, _) => format!("turn, of {open}"),
            (Strategy::Weighted, _) => format!("turn, W {weight}, of {open}"),
            (Strategy::Random, _) => format!("drawn, W {weight}, of {open}"),
            (Strategy::LeastConnections, _) => format!("{busy} in flight, W {weight}, of {open}"),
            (Strategy::P2c, _) => format!("{busy} in flight, W {weight}, the less busy of two of {open}"),
            (Strategy::LeastResponse, _) => self.account_cost(picked, open, hint.now),
            (Strategy::ConsistentHash(_), Some(key)) => format!("hash {key:016x}, of {open}"),
            (Strategy::ConsistentHash(_), None) => format!("no key, so drawn, W {weight}, of {open}"),
        };
        format!("{}: {why}", strategy.name())
    }

    fn account_cost(&self, picked: usize, open: usize, now: Instant) -> String {
        let candidate = &self.candidates[picked];
        let state = &candidate.state;
        let [tail, mean, fast, error] = state.parts();
        let age = state.age(Ticks::between(state.epoch(), now));
        let cold = if state.is_cold() { ", cold" } else { "" };
        let penalty = state.penalty();
        let failing = if penalty > 0 { format!(", penalty {penalty}") } else { String::new() };
        format!(
            "cost {:.2} of {open} (L {tail:.2}, M {mean:.2}, T {fast:.2}, A {age:.2}, E {error:.2}, W {}, {} in flight{cold}{failing})",
            self.cost(picked, now),
            candidate.weight,
            state.in_flight()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::balance::testing::{STRATEGIES, candidates, hint, load, warm};
    use crate::policy::score::{Outcome, Score};

    #[test]
    fn every_strategy_accounts_for_its_pick_in_words_fit_for_a_header() {
        for strategy in STRATEGIES {
            let balancer = Balancer::new(&strategy, candidates(&[1, 2, 0]));
            let account = balancer.account(&strategy, 1, Hint { key: Some(7), ..hint() });
            assert!(account.starts_with(&format!("{}: ", strategy.name())), "{account}");
            assert!(account.ends_with(" of 2") || account.contains(" of 2 ("), "{account}");
            assert!(http::HeaderValue::from_str(&account).is_ok() && account.len() < 120, "{account}");
        }
    }

    #[test]
    fn the_account_of_least_response_has_what_the_pick_compared() {
        let candidates = candidates(&[2, 1]);
        let _guards = load(&candidates, &[3]);
        let balancer = Balancer::new(&Strategy::LeastResponse, candidates.clone());
        let account = || balancer.account(&Strategy::LeastResponse, 0, hint());
        assert!(account().contains("in flight, cold)"), "{}", account());
        warm(&candidates);
        candidates[0].state.publish(Score {
            factor: 1.5,
            tail: 1.5,
            fast: 0.4,
            samples: 1,
            ..Score::default()
        });
        assert_eq!(
            account(),
            "least_response: cost 4.50 of 2 (L 1.50, M 1.00, T 0.40, A 1.00, E 1.00, W 2, 3 in flight)"
        );
        candidates[0].state.observe(Outcome::Failure);
        assert!(account().ends_with("3 in flight, penalty 2)"), "{}", account());
    }
}
