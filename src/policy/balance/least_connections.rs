//! `least_connections`: fewest requests in flight per weight; ties, as of those that are idle, at random by weight.
//!
//! Above 32 candidates, the fewest of several drawn at random: a look at a hundred endpoints, each on a cache line that
//! every worker writes, costs more than the rest of a pick, and workers that all saw the same least would meet there.

use super::open::Open;
use super::random::Random;
use super::reservoir::Reservoir;
use crate::policy::endpoint::Candidate;

/// Up to this many candidates are all compared.
const SCAN: usize = 32;
/// Above, this many draws by weight, with repetition.
const DRAWS: usize = 8;

/// The open candidate with the lowest `in_flight / weight`.
pub(super) fn pick(
    open: &Open<'_, impl Fn(usize) -> bool>,
    random: &Random,
    rng: &mut fastrand::Rng,
) -> Option<usize> {
    let sampled = if open.len() > SCAN { sample(open, random, rng) } else { None };
    sampled.or_else(|| scan(open, rng))
}

/// The first drawn of equals is at random by weight already.
fn sample(
    open: &Open<'_, impl Fn(usize) -> bool>,
    random: &Random,
    rng: &mut fastrand::Rng,
) -> Option<usize> {
    let drawn = (0..DRAWS).filter_map(|_| random.draw(open, rng));
    let loads = drawn.map(|(index, candidate)| (index, load_of(candidate)));
    loads.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
}

fn scan(open: &Open<'_, impl Fn(usize) -> bool>, rng: &mut fastrand::Rng) -> Option<usize> {
    let mut least = f32::INFINITY;
    let mut ties = Reservoir::default();
    for (index, candidate) in open.iter() {
        let load = load_of(candidate);
        if load < least {
            least = load;
            ties = Reservoir::starting(index, candidate.weight);
        } else if load == least {
            ties.offer(index, candidate.weight, rng);
        }
    }
    ties.kept()
}

/// Division rounds equal fractions equally, so that a tie is exact.
#[inline]
fn load_of(candidate: &Candidate) -> f32 {
    candidate.state.in_flight() as f32 / candidate.weight as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::balance::testing::{candidates, load};

    fn pick_at(weights: &[u32], in_flight: &[u32]) -> Option<usize> {
        let candidates = candidates(weights);
        let _guards = load(&candidates, in_flight);
        let random = Random::new(&candidates);
        pick(&Open::new(&candidates, |_| true), &random, &mut fastrand::Rng::with_seed(1))
    }

    #[test]
    fn the_least_loaded_per_weight_is_picked() {
        assert_eq!(pick_at(&[1, 1, 1], &[2, 1, 3]), Some(1));
        assert_eq!(pick_at(&[1, 4, 1], &[2, 6, 3]), Some(1));
        assert_eq!(pick_at(&[1, 2], &[0, 2]), Some(0));
    }

    #[test]
    fn in_a_large_pool_the_busy_half_gets_almost_nothing() {
        let candidates = candidates(&[1; 100]);
        let _guards = load(&candidates, &[1; 50]);
        let (open, random) = (Open::new(&candidates, |_| true), Random::new(&candidates));
        let mut rng = fastrand::Rng::with_seed(1);
        let busy =
            (0..10_000).filter(|_| pick(&open, &random, &mut rng).is_some_and(|index| index < 50)).count();
        assert!(busy < 100, "{busy} of 10000");
    }
}
