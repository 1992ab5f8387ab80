//! `weighted`: smooth weighted round robin, nginx's (`ngx_http_upstream_get_peer`, by Maxim Dounin, 2012).
//!
//! A heavy candidate's turns are spread out instead of following each other: weights 5, 1, 1 give a a b a c a a. The
//! sequence repeats once every candidate has had its weight in turns, so one round is computed ahead: nginx looks at
//! every endpoint for each pick, which takes longer than all the rest of a pick over a hundred of them.

use super::open::Open;
use crate::policy::endpoint::Candidate;

/// Turns in the longest round. Where the weights add up to more, they are scaled down to it and rounded, to no less
/// than 1.
const LONGEST_ROUND: u64 = 32_768;

/// One round of turns, as indices of candidates.
#[derive(Debug)]
pub(super) struct Schedule {
    turns: Box<[usize]>,
}

impl Schedule {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let weights: Vec<_> = candidates.iter().map(|candidate| candidate.weight).collect();
        Self { turns: round_of(&reduce(&weights)) }
    }

    /// How many turns a round has.
    pub(super) fn len(&self) -> usize {
        self.turns.len()
    }

    /// The candidate of the first turn at or after `position` that is open; `position` then moves past it.
    ///
    /// The turns of a closed candidate are left out, so that the others keep their shares of what remains.
    pub(super) fn pick(
        &self,
        open: &Open<'_, impl Fn(usize) -> bool>,
        position: &mut usize,
    ) -> Option<usize> {
        // With nothing open, a long round would be walked for nothing.
        open.iter().next()?;
        let start = (*position).min(self.turns.len());
        let mut order = (start..self.turns.len()).chain(0..start);
        let turn = order.find(|&turn| open.get(self.turns[turn]).is_some())?;
        *position = turn + 1;
        Some(self.turns[turn])
    }
}

/// The weights by their greatest common divisor, and within the longest round.
fn reduce(weights: &[u32]) -> Vec<i64> {
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let divisor = weights.iter().fold(0, |divisor, &weight| gcd(divisor, weight)).max(1);
    if total / u64::from(divisor) <= LONGEST_ROUND {
        return weights.iter().map(|&weight| i64::from(weight / divisor)).collect();
    }
    let scaled = |weight: u32| (u64::from(weight) * LONGEST_ROUND / total).max(u64::from(weight.min(1)));
    weights.iter().map(|&weight| i64::try_from(scaled(weight)).unwrap_or(i64::MAX)).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// In each turn every candidate gains its weight as credit, and the richest (the first of equals) pays the whole
/// round's for it. A round ends as it began, with no credit left.
fn round_of(weights: &[i64]) -> Box<[usize]> {
    let total: i64 = weights.iter().sum();
    let mut credits = vec![0; weights.len()];
    let turn = |_| {
        credits.iter_mut().zip(weights).for_each(|(credit, weight)| *credit += weight);
        let richest = (0..credits.len()).rev().max_by_key(|&index| credits[index])?;
        credits[richest] -= total;
        Some(richest)
    };
    (0..total).filter_map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::balance::testing::candidates;

    fn turns(weights: &[u32], count: usize, eligible: impl Fn(usize) -> bool) -> String {
        let candidates = candidates(weights);
        let (schedule, open) = (Schedule::new(&candidates), Open::new(&candidates, eligible));
        let mut position = 0;
        let picks = (0..count).filter_map(|_| schedule.pick(&open, &mut position));
        picks.map(|index| ["a", "b", "c"][index]).collect()
    }

    #[test]
    fn nginx_s_published_sequence_comes_out() {
        assert_eq!(turns(&[5, 1, 1], 14, |_| true), "aabacaaaabacaa");
    }

    #[test]
    fn a_closed_candidate_leaves_the_others_their_shares() {
        assert_eq!(turns(&[5, 1, 1], 6, |index| index != 0), "bcbcbc");
        assert_eq!(turns(&[4, 2, 1], 6, |index| index != 1), turns(&[4, 0, 1], 6, |_| true).replace('b', ""));
    }

    #[test]
    fn a_round_is_as_short_as_the_weights_allow() {
        let round = |weights: &[u32]| Schedule::new(&candidates(weights)).len();
        assert_eq!(round(&[300, 100, 100]), 5);
        assert_eq!(round(&[7, 0, 14]), 3);
        assert_eq!(round(&[0, 0]), 0);
    }

    #[test]
    fn weights_that_make_a_round_too_long_are_scaled() {
        let reduced = reduce(&[999_983, 500_000, 1, 0]);
        assert!(reduced.iter().sum::<i64>() <= 32_769, "{reduced:?}");
        assert_eq!(reduced[2..], [1, 0]);
        assert!((reduced[0] as f64 / reduced[1] as f64 - 2.0).abs() < 0.001, "{reduced:?}");
    }
}
