//! Keeps one of a run of candidates in proportion to weight, without knowing how long the run is.
//!
//! Reservoir sampling with a reservoir of one (M. T. Chao, "A general purpose unequal probability sampling plan",
//! Biometrika 1982). One random number for each candidate but the first.

/// The candidate kept so far.
#[derive(Debug, Default)]
pub(super) struct Reservoir {
    kept: Option<usize>,
    total: u64,
}

impl Reservoir {
    /// A run that begins with `index`.
    #[inline]
    pub(super) fn starting(index: usize, weight: u32) -> Self {
        Self { kept: Some(index), total: u64::from(weight) }
    }

    /// Takes `index` in the place of what is kept, with probability `weight` over the run's weight so far.
    #[inline]
    pub(super) fn offer(&mut self, index: usize, weight: u32, rng: &mut fastrand::Rng) {
        let weight = u64::from(weight);
        self.total += weight;
        if self.kept.is_none() || rng.u64(0..self.total.max(1)) < weight {
            self.kept = Some(index);
        }
    }

    /// What is kept, if anything was offered.
    pub(super) fn kept(&self) -> Option<usize> {
        self.kept
    }
}
