//! Which endpoints of a pool get requests: those that are fit; where none is, the backups; and when too few are left, all.
//!
//! What is known against an endpoint comes from its health check, from outlier detection and from operators. What
//! follows from it is worked out here for the whole pool, whenever something changes, so that a pick reads one word.

/// What is known against an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Its health check fails.
    pub unhealthy: bool,
    /// Outlier detection has taken it out for a time.
    pub ejected: bool,
    /// An operator wants it to get nothing new.
    pub drained: bool,
}

impl Standing {
    /// Whether a request is likely to be answered.
    pub fn is_fit(self) -> bool {
        !self.unhealthy && !self.ejected
    }
}

/// One endpoint, as far as its siblings are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// What is known against it.
    pub standing: Standing,
    /// Its weight; 0 is as good as drained.
    pub weight: u32,
    /// Whether it waits until no other is fit.
    pub backup: bool,
}

impl Member {
    fn is_drained(&self) -> bool {
        self.standing.drained || self.weight == 0
    }
}

/// What an endpoint gets; each gets what the one before it gets as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Access {
    /// Nothing.
    Closed,
    /// What sticks to it, until that ends.
    Draining,
    /// What the open ones have failed.
    Spare,
    /// Anything.
    Open,
}

impl Access {
    /// The word for it in the admin API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Draining => "draining",
            Self::Spare => "spare",
            Self::Open => "open",
        }
    }
}

/// What follows for a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Member by member.
    pub access: Vec<Access>,
    /// So few are fit that health is ignored: to send everything to the last one would end it too, and it is likelier
    /// that the checks are wrong.
    pub panic: bool,
}

/// `panic_percent`: health is ignored where less than this share of the members that are no backups is fit, and no
/// backup is. 0 to never ignore it.
pub fn decide(members: &[Member], panic_percent: u8) -> Decision {
    let in_use = |backup: bool| members.iter().filter(move |one| one.backup == backup && !one.is_drained());
    let fit = |backup: bool| in_use(backup).filter(|one| one.standing.is_fit()).count();
    let (own, own_fit, backups_fit) = (in_use(false).count(), fit(false), fit(true));
    let enough = own_fit * 100 >= own * usize::from(panic_percent) && own_fit > 0;
    let panic = !enough && backups_fit == 0 && panic_percent > 0 && own + in_use(true).count() > 0;
    let access = |one: &Member| match (one.is_drained(), one.standing.is_fit()) {
        (true, true) => Access::Draining,
        (true, false) => Access::Closed,
        // Without any of its own left, a pool in panic has only backups to try.
        (false, _) if panic && (!one.backup || own == 0) => Access::Open,
        (false, false) => Access::Closed,
        (false, true) if one.backup && enough => Access::Spare,
        (false, true) => Access::Open,
    };
    Decision { access: members.iter().map(access).collect(), panic }
}

#[cfg(test)]
mod tests {
    use super::Access::{Closed, Draining, Open, Spare};
    use super::*;

    const FIT: Member = Member {
        standing: Standing { unhealthy: false, ejected: false, drained: false },
        weight: 1,
        backup: false,
    };
    const BACKUP: Member = Member { backup: true, ..FIT };

    fn ill(member: Member) -> Member {
        Member { standing: Standing { unhealthy: true, ..member.standing }, ..member }
    }

    fn ejected(member: Member) -> Member {
        Member { standing: Standing { ejected: true, ..member.standing }, ..member }
    }

    fn drained(member: Member) -> Member {
        Member { standing: Standing { drained: true, ..member.standing }, ..member }
    }

    fn access(members: &[Member], panic_percent: u8) -> (Vec<Access>, bool) {
        let decision = decide(members, panic_percent);
        (decision.access, decision.panic)
    }

    #[test]
    fn what_is_fit_is_open_and_what_is_not_is_closed() {
        assert_eq!(
            access(&[FIT, ill(FIT), FIT, ejected(FIT)], 50),
            (vec![Open, Closed, Open, Closed], false)
        );
        assert_eq!(access(&[], 50), (vec![], false));
    }

    #[test]
    fn a_backup_is_spare_until_no_other_is_fit() {
        assert_eq!(access(&[FIT, BACKUP], 50), (vec![Open, Spare], false));
        assert_eq!(access(&[ill(FIT), BACKUP], 50), (vec![Closed, Open], false));
        assert_eq!(access(&[ill(FIT), BACKUP, ill(BACKUP)], 0), (vec![Closed, Open, Closed], false));
        assert_eq!(access(&[drained(FIT), BACKUP], 50), (vec![Draining, Open], false));
    }

    #[test]
    fn backups_help_before_health_is_ignored() {
        let pool = [FIT, ill(FIT), ill(FIT), BACKUP];
        assert_eq!(access(&pool, 50), (vec![Open, Closed, Closed, Open], false));
        assert_eq!(access(&pool[..3], 50), (vec![Open, Open, Open], true));
        assert_eq!(access(&[FIT, ill(FIT)], 50), (vec![Open, Closed], false), "half is not less than half");
    }

    #[test]
    fn with_none_fit_all_are_tried_unless_that_is_turned_off() {
        let pool = [ill(FIT), ejected(FIT), ill(BACKUP)];
        assert_eq!(access(&pool, 1), (vec![Open, Open, Closed], true));
        assert_eq!(access(&pool, 0), (vec![Closed, Closed, Closed], false));
        assert_eq!(access(&[ill(BACKUP)], 50), (vec![Open], true));
    }

    #[test]
    fn the_drained_stay_out_even_of_a_panic_and_do_not_count() {
        let without_weight = Member { weight: 0, ..FIT };
        let pool = [drained(FIT), without_weight, drained(ill(FIT)), FIT, ill(FIT)];
        assert_eq!(access(&pool, 50), (vec![Draining, Draining, Closed, Open, Closed], false));
        assert_eq!(access(&pool, 51), (vec![Draining, Draining, Closed, Open, Open], true));
        assert_eq!(access(&[drained(FIT)], 50), (vec![Draining], false));
    }
}
