//! `random`: in proportion to weight.
//!
//! Other strategies draw from it too.

use super::alias::AliasTable;
use super::open::Open;
use super::reservoir::Reservoir;
use crate::policy::endpoint::Candidate;

/// Draws from all candidates before a walk over the open ones takes over. With half of the candidates closed, one
/// pick in sixteen walks.
const DRAWS: usize = 4;

/// Draws open candidates in proportion to weight.
#[derive(Debug)]
pub(super) struct Random {
    table: AliasTable,
    mean_weight: f32,
}

impl Random {
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let weights: Vec<_> = candidates.iter().map(|candidate| candidate.weight).collect();
        let open = weights.iter().filter(|weight| **weight > 0);
        let (count, sum) =
            open.fold((0_u32, 0_u64), |(count, sum), weight| (count + 1, sum + u64::from(*weight)));
        Self { table: AliasTable::new(&weights), mean_weight: sum as f32 / count.max(1) as f32 }
    }

    /// Over the candidates that have one.
    pub(super) fn mean_weight(&self) -> f32 {
        self.mean_weight
    }

    /// An open candidate; `None` if and only if there is none.
    ///
    /// Both ways give an open candidate its weight over the weight of all that are open, so mixing them does too.
    pub(super) fn pick(
        &self,
        open: &Open<'_, impl Fn(usize) -> bool>,
        rng: &mut fastrand::Rng,
    ) -> Option<usize> {
        (0..DRAWS).find_map(|_| self.draw(open, rng)).map(|(index, _)| index).or_else(|| walk(open, rng))
    }

    /// One draw from all candidates; `None` if it is not open.
    #[inline]
    pub(super) fn draw<'a>(
        &self,
        open: &Open<'a, impl Fn(usize) -> bool>,
        rng: &mut fastrand::Rng,
    ) -> Option<(usize, &'a Candidate)> {
        let index = self.table.draw(rng)?;
        Some((index, open.get(index)?))
    }
}

fn walk(open: &Open<'_, impl Fn(usize) -> bool>, rng: &mut fastrand::Rng) -> Option<usize> {
    let mut reservoir = Reservoir::default();
    open.iter().for_each(|(index, candidate)| reservoir.offer(index, candidate.weight, rng));
    reservoir.kept()
}
