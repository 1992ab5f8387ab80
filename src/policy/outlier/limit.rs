//! How much of a pool may be out at once.

use crate::policy::endpoint::Candidate;

/// Whether requests may come to it by themselves.
pub(super) fn is_in_service(candidate: &Candidate) -> bool {
    is_in_use(candidate) && candidate.state.standing().is_fit()
}

/// What nobody sends anything to does not count as part of the pool.
fn is_in_use(candidate: &Candidate) -> bool {
    candidate.weight > 0 && !candidate.state.standing().drained
}

/// A pool at one moment: those that are in use, and what is known against them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    in_use: usize,
    fit: usize,
    ejected: usize,
}

impl Room {
    pub(super) fn of(candidates: &[Candidate]) -> Self {
        let in_use = || candidates.iter().filter(|candidate| is_in_use(candidate));
        let standings = || in_use().map(|candidate| candidate.state.standing());
        Self {
            in_use: in_use().count(),
            fit: standings().filter(|standing| standing.is_fit()).count(),
            ejected: standings().filter(|standing| standing.ejected).count(),
        }
    }

    /// Whether one more may be ejected. Those that a health check has taken out are out as well: one more would be the
    /// panic in which all get requests, the dead among them.
    pub(super) fn allows(self, percent: u8) -> bool {
        self.fit > 1 && self.in_use - self.fit < self.most(percent)
    }

    /// Whether more are ejected than may be, or nothing is left.
    pub(super) fn is_overdrawn(self, percent: u8) -> bool {
        self.fit == 0 || self.ejected > self.most(percent)
    }

    /// Whether its return would help the pool.
    pub(super) fn needs(self, ejected: &Candidate) -> bool {
        is_in_use(ejected) && !ejected.state.standing().unhealthy
    }

    /// One at least, or a pool of two would need 50 % and one of three 34; and never all.
    fn most(self, percent: u8) -> usize {
        if percent == 0 {
            return 0;
        }
        (self.in_use * usize::from(percent) / 100).max(1).min(self.in_use.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_one_may_be_out_of_two_and_never_the_last() {
        let most = |in_use, percent| Room { in_use, fit: in_use, ejected: 0 }.most(percent);
        assert_eq!([0, 1, 2, 3, 4, 5, 10].map(|in_use| most(in_use, 50)), [0, 0, 1, 1, 2, 2, 5]);
        assert_eq!([1, 2, 3, 10].map(|in_use| most(in_use, 10)), [0, 1, 1, 1]);
        assert_eq!([1, 2, 10].map(|in_use| most(in_use, 100)), [0, 1, 9]);
        assert_eq!(most(10, 0), 0);
    }

    #[test]
    fn the_unhealthy_are_out_as_well() {
        let room = |in_use, fit, ejected| Room { in_use, fit, ejected };
        assert!(room(4, 3, 0).allows(50));
        assert!(!room(4, 2, 0).allows(50));
        assert!(!room(2, 1, 0).allows(50), "the last that is fit");
        assert!(room(3, 0, 1).is_overdrawn(50) && room(3, 1, 2).is_overdrawn(50));
        assert!(!room(3, 1, 1).is_overdrawn(50));
    }
}
