//! A pool added up once per tick, so that no endpoint has to look at all the others.
//!
//! Backups are a group by themselves: what waits for the others to go is neither one of them nor a proof that one of them
//! does worse.

use super::watch::Watch;
use crate::policy::endpoint::Candidate;

/// The endpoints of a pool that are in use.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    own: Group,
    backups: Group,
}

/// Some of them: how many there are, and what those that are fit have done within the interval.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Group {
    in_use: usize,
    fit: usize,
    ejected: usize,
    /// Those that have answered, and not failed since.
    pub(super) working: usize,
    pub(super) requests: u64,
    pub(super) failed: u64,
}

impl Tally {
    pub(super) fn of(watches: &[Watch], candidates: &[Candidate]) -> Self {
        let mut tally = Self::default();
        watches.iter().zip(candidates).for_each(|(watch, candidate)| tally.add(watch, candidate));
        tally
    }

    /// Counts an endpoint as it is now.
    pub(super) fn add(&mut self, watch: &Watch, candidate: &Candidate) {
        let group = self.group_mut(candidate);
        *group = group.plus(Group::one(watch, candidate));
    }

    /// Takes an endpoint out that is as it was when it was added.
    pub(super) fn remove(&mut self, watch: &Watch, candidate: &Candidate) {
        let group = self.group_mut(candidate);
        *group = group.minus(Group::one(watch, candidate));
    }

    /// Those that would have the requests of one that is fit, if it were ejected: its siblings, or the backups if it is the
    /// last. Nobody is there for the last backup.
    pub(super) fn heirs(&self, watch: &Watch, candidate: &Candidate) -> Group {
        match (self.group(candidate).fit, candidate.backup) {
            (2.., _) => self.group(candidate).minus(Group::one(watch, candidate)),
            (0 | 1, false) => self.backups,
            (0 | 1, true) => Group::default(),
        }
    }

    /// Whether one that is fit may be ejected. Those that a health check has taken out are out as well: one more would be
    /// the panic in which all get requests, the dead among them.
    pub(super) fn allows(&self, watch: &Watch, candidate: &Candidate, percent: u8) -> bool {
        let group = self.group(candidate);
        let is_last = group.fit < 2;
        let is_replaced = !is_last || self.heirs(watch, candidate).working > 0;
        is_replaced && group.in_use.saturating_sub(group.fit) < group.most(percent)
    }

    /// Whether the pool cannot do without one that is out: more are than may be, or nothing is left.
    pub(super) fn needs(&self, ejected: &Candidate, percent: u8) -> bool {
        let would_help = is_in_use(ejected) && !ejected.state.standing().unhealthy;
        let (group, others) =
            if ejected.backup { (self.backups, self.own) } else { (self.own, self.backups) };
        let is_overdrawn = match (group.fit, others.fit) {
            (0, 0) => true,
            (0, 1..) => false,
            (1.., _) => group.ejected > group.most(percent),
        };
        would_help && is_overdrawn
    }

    fn group(&self, candidate: &Candidate) -> &Group {
        if candidate.backup { &self.backups } else { &self.own }
    }

    fn group_mut(&mut self, candidate: &Candidate) -> &mut Group {
        if candidate.backup { &mut self.backups } else { &mut self.own }
    }
}

impl Group {
    /// The share of one endpoint.
    fn one(watch: &Watch, candidate: &Candidate) -> Self {
        let standing = candidate.state.standing();
        if !is_in_use(candidate) {
            return Self::default();
        }
        let around = Self { in_use: 1, ejected: usize::from(standing.ejected), ..Self::default() };
        if !standing.is_fit() {
            return around;
        }
        let (requests, failed) = watch.requests();
        Self {
            fit: 1,
            working: usize::from(watch.works()),
            requests: requests.into(),
            failed: failed.into(),
            ..around
        }
    }

    fn plus(self, more: Self) -> Self {
        Self {
            in_use: self.in_use + more.in_use,
            fit: self.fit + more.fit,
            ejected: self.ejected + more.ejected,
            working: self.working + more.working,
            requests: self.requests + more.requests,
            failed: self.failed + more.failed,
        }
    }

    /// An obstacle may have come or gone since they were added up.
    fn minus(self, less: Self) -> Self {
        Self {
            in_use: self.in_use.saturating_sub(less.in_use),
            fit: self.fit.saturating_sub(less.fit),
            ejected: self.ejected.saturating_sub(less.ejected),
            working: self.working.saturating_sub(less.working),
            requests: self.requests.saturating_sub(less.requests),
            failed: self.failed.saturating_sub(less.failed),
        }
    }

    /// How many may be out. One at least, or a pool of two would need 50 % and one of three 34.
    fn most(self, percent: u8) -> usize {
        if percent == 0 {
            return 0;
        }
        (self.in_use * usize::from(percent) / 100).max(1)
    }
}

/// Whether requests may come to it by themselves.
pub(super) fn is_in_service(candidate: &Candidate) -> bool {
    is_in_use(candidate) && candidate.state.standing().is_fit()
}

/// What nobody sends anything to does not count as part of the pool.
fn is_in_use(candidate: &Candidate) -> bool {
    candidate.weight > 0 && !candidate.state.standing().drained
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::policy::endpoint::EndpointState;

    fn allows(in_use: usize, fit: usize, percent: u8) -> bool {
        let (watch, candidate) = some(false);
        Tally { own: Group { in_use, fit, ..Group::default() }, ..Tally::default() }
            .allows(&watch, &candidate, percent)
    }

    fn some(backup: bool) -> (Watch, Candidate) {
        let now = Instant::now();
        let state = Arc::new(EndpointState::new(now));
        let candidate = Candidate { address: ([127, 0, 0, 1], 1).into(), weight: 1, backup, state };
        (Watch::new(Duration::from_secs(10), now), candidate)
    }

    #[test]
    fn at_least_one_may_be_out_of_two_and_never_the_last() {
        let most =
            |in_use, percent| (1..=in_use).rev().take_while(|fit| allows(in_use, *fit, percent)).count();
        assert_eq!([0, 1, 2, 3, 4, 5, 10].map(|in_use| most(in_use, 50)), [0, 0, 1, 1, 2, 2, 5]);
        assert_eq!([1, 2, 3, 10].map(|in_use| most(in_use, 10)), [0, 1, 1, 1]);
        assert_eq!([1, 2, 10].map(|in_use| most(in_use, 100)), [0, 1, 9]);
        assert_eq!(most(10, 0), 0);
    }

    #[test]
    fn the_unhealthy_are_out_as_well() {
        let needs = |in_use, fit, ejected| {
            Tally { own: Group { in_use, fit, ejected, ..Group::default() }, ..Tally::default() }
                .needs(&some(false).1, 50)
        };
        assert!(allows(4, 3, 50));
        assert!(!allows(4, 2, 50));
        assert!(!allows(2, 1, 50), "the last that is fit");
        assert!(needs(3, 0, 1) && needs(3, 1, 2));
        assert!(!needs(3, 1, 1));
    }
}
