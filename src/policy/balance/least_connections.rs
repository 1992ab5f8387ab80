//! `least_connections`: fewest requests in flight per weight, the new one included; ties at random by weight.

use super::open::Open;
use super::reservoir::Reservoir;
use crate::policy::endpoint::Candidate;

/// Two passes: one finds the least without a branch to mispredict, one chooses among those that have it. If other
/// workers have moved every one of them in between, the first pass's candidate stands.
pub(super) fn pick(open: &Open<'_, impl Fn(usize) -> bool>, rng: &mut fastrand::Rng) -> Option<usize> {
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

/// `(in_flight + 1) / weight`. Division rounds equal fractions equally, so that a tie is exact.
#[inline]
fn load_of(candidate: &Candidate) -> f32 {
    (candidate.state.in_flight() as f32 + 1.0) / candidate.weight as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::balance::testing::{candidates, load};

    fn pick_at(weights: &[u32], in_flight: &[u32]) -> Option<usize> {
        let candidates = candidates(weights);
        let _guards = load(&candidates, in_flight);
        pick(&Open::new(&candidates, |_| true), &mut fastrand::Rng::with_seed(1))
    }

    #[test]
    fn the_least_loaded_per_weight_is_picked() {
        assert_eq!(pick_at(&[1, 1, 1], &[2, 1, 3]), Some(1));
        assert_eq!(pick_at(&[1, 4, 1], &[2, 6, 3]), Some(1));
        assert_eq!(pick_at(&[1, 2], &[0, 2]), Some(0));
    }
}
