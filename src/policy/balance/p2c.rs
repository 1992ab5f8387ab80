//! `p2c`: the less loaded of two drawn at random by weight.
//!
//! M. Mitzenmacher, "The power of two choices in randomized load balancing", IEEE Transactions on Parallel and
//! Distributed Systems, 2001.

use super::open::Open;
use super::random::Random;
use crate::policy::endpoint::Candidate;

/// Draws for a second that differs from the first. In a pool of two, one pick in sixteen goes without a choice.
const SECOND_DRAWS: usize = 4;

/// Compares `in_flight / weight`; a tie goes to the first drawn.
pub(super) fn pick(
    open: &Open<'_, impl Fn(usize) -> bool>,
    random: &Random,
    rng: &mut fastrand::Rng,
) -> Option<usize> {
    let first = random.pick(open, rng)?;
    let other = (0..SECOND_DRAWS).find_map(|_| random.draw(open, rng).filter(|(index, _)| *index != first));
    let (Some(a), Some((second, b))) = (open.get(first), other) else { return Some(first) };
    // b.in_flight / b.weight < a.in_flight / a.weight, without the divisions
    let cross = |of: &Candidate, over: &Candidate| u64::from(of.state.in_flight()) * u64::from(over.weight);
    Some(if cross(b, a) < cross(a, b) { second } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::balance::testing::{candidates, load};

    #[test]
    fn the_busiest_of_a_pool_is_almost_never_picked() {
        let candidates = candidates(&[1, 1, 1]);
        let _guards = load(&candidates, &[9, 0, 0]);
        let (open, random) = (Open::new(&candidates, |_| true), Random::new(&candidates));
        let mut rng = fastrand::Rng::with_seed(3);
        let busiest = (0..10_000).filter(|_| pick(&open, &random, &mut rng) == Some(0)).count();
        assert!(busiest < 100, "{busiest} of 10000");
    }
}
