//! The candidates that may take one request, so that no strategy has to remember to ask.

use std::time::Instant;

use crate::policy::endpoint::Candidate;

/// The candidates of one pick; those with a weight above 0 that are eligible are open, save some in their slow start.
pub(super) struct Open<'a, F> {
    candidates: &'a [Candidate],
    eligible: F,
    /// Those that have not come as far in their slow start are passed over.
    least_ramp: f32,
}

impl<'a, F: Fn(usize) -> bool> Open<'a, F> {
    pub(super) fn new(candidates: &'a [Candidate], eligible: F) -> Self {
        Self { candidates, eligible, least_ramp: 0.0 }
    }

    /// As `new`, without those whose slow start has not come to `least_ramp`, 0 to 1.
    pub(super) fn ramped(candidates: &'a [Candidate], eligible: F, least_ramp: f32) -> Self {
        Self { least_ramp, ..Self::new(candidates, eligible) }
    }

    /// What the moments of the candidates' states are counted from; `None` without candidates.
    pub(super) fn epoch(&self) -> Option<Instant> {
        Some(self.candidates.first()?.state.epoch())
    }

    /// How many candidates there are, open or not.
    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }

    /// The candidate at `index`, if it is open.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&'a Candidate> {
        self.candidates.get(index).filter(|candidate| self.admits(index, candidate))
    }

    /// The open candidates and their indices, in order.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &'a Candidate)> {
        self.candidates.iter().enumerate().filter(|&(index, candidate)| self.admits(index, candidate))
    }

    #[inline]
    fn admits(&self, index: usize, candidate: &Candidate) -> bool {
        candidate.weight > 0 && candidate.state.ramp() >= self.least_ramp && (self.eligible)(index)
    }
}
