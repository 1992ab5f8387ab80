//! What the results of an endpoint's health checks say of it, and when the next check is due.
//!
//! An endpoint is taken for healthy until checks have failed `fall` times in a row, so that a start or a reload shuts
//! nobody out; it is healthy again once they have passed `rise` times in a row.

use std::time::{Duration, Instant};

/// A check comes up to this much of the interval earlier or later, or proxies that were started together would for ever
/// ask together.
const JITTER: f64 = 0.1;
/// The first checks of many endpoints are spread over the interval, those of a few over this much for each.
const FIRST_APART: Duration = Duration::from_millis(10);
/// While a verdict stands that no check of this kind has confirmed, the next one comes no later than this: a dead endpoint
/// of a proxy that has just been started is found within seconds, whatever the interval.
const UNDECIDED: Duration = Duration::from_millis(500);

/// How many results in a row change a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Passed ones, to be healthy.
    pub rise: u8,
    /// Failed ones, to be unhealthy.
    pub fall: u8,
}

/// What one check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The endpoint is well.
    Passed,
    /// It is not, and why.
    Failed(String),
    /// Nothing, since this side could not ask, and why: it says nothing of the endpoint.
    Untried(String),
}

/// What is known of an endpoint from its checks. It outlives a reload.
#[derive(Debug, Clone)]
pub struct Record {
    healthy: bool,
    /// Results in a row that speak against the verdict.
    against: u8,
    /// Whether a check as it is configured now has confirmed the verdict, or made it.
    decided: bool,
    /// Since when the verdict stands.
    pub since: Instant,
    /// Checks that passed.
    pub passed: u64,
    /// Checks that failed.
    pub failed: u64,
    /// Checks that could not be made for want of a socket or the like.
    pub untried: u64,
    /// What the last check that failed has found. `None` once a healthy endpoint has passed one.
    pub last_error: Option<String>,
}

impl Record {
    /// An endpoint that has not been checked: it is taken for healthy.
    pub fn new(now: Instant) -> Self {
        Self {
            healthy: true,
            against: 0,
            decided: false,
            since: now,
            passed: 0,
            failed: 0,
            untried: 0,
            last_error: None,
        }
    }

    /// The verdict.
    pub fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// The check is another one from here on. The verdict stands until that has decided.
    pub fn begin_anew(&mut self) {
        (self.against, self.decided) = (0, false);
    }

    /// Counts what a check has found. The verdict, if it changes.
    pub fn note(&mut self, finding: Finding, thresholds: Thresholds, now: Instant) -> Option<bool> {
        let passed = match finding {
            Finding::Passed => true,
            Finding::Failed(why) => {
                self.last_error = Some(why);
                false
            }
            Finding::Untried(_) => {
                self.untried += 1;
                return None;
            }
        };
        let count = if passed { &mut self.passed } else { &mut self.failed };
        *count += 1;
        let change = self.weigh(passed, thresholds);
        if change.is_some() {
            self.since = now;
        }
        if passed && self.healthy {
            self.last_error = None;
        }
        change
    }

    fn weigh(&mut self, passed: bool, thresholds: Thresholds) -> Option<bool> {
        if passed == self.healthy {
            (self.against, self.decided) = (0, true);
            return None;
        }
        self.against += 1;
        if self.against < if passed { thresholds.rise } else { thresholds.fall } {
            return None;
        }
        (self.healthy, self.against, self.decided) = (passed, 0, true);
        Some(passed)
    }

    /// How long after the beginning of one check the next is due.
    pub fn next(&self, interval: Duration, rng: &mut fastrand::Rng) -> Duration {
        let interval = if self.decided { interval } else { interval.min(UNDECIDED) };
        interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * rng.f64())
    }
}

/// When the first check of an endpoint is due, where so many begin together.
pub fn first(beginning: usize, interval: Duration, rng: &mut fastrand::Rng) -> Duration {
    let apart = FIRST_APART.saturating_mul(u32::try_from(beginning).unwrap_or(u32::MAX));
    interval.min(apart).mul_f64(rng.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { rise: 2, fall: 3 };
    const SECOND: Duration = Duration::from_secs(1);

    fn failed() -> Finding {
        Finding::Failed("connection refused".to_owned())
    }

    /// The verdict after each of these results: `+` for a check that passed, `-` for one that failed.
    fn verdicts(record: &mut Record, results: &str) -> String {
        let mut verdict = |result: char| {
            let finding = if result == '+' { Finding::Passed } else { failed() };
            record.note(finding, THRESHOLDS, record.since);
            if record.is_healthy() { '+' } else { '-' }
        };
        results.chars().map(&mut verdict).collect()
    }

    #[test]
    fn an_endpoint_is_healthy_until_enough_checks_in_a_row_have_failed() {
        let mut record = Record::new(Instant::now());
        assert!(record.is_healthy());
        assert_eq!(verdicts(&mut record, "--+--+---"), "++++++++-");
    }

    #[test]
    fn an_endpoint_is_unhealthy_until_enough_checks_in_a_row_have_passed() {
        let mut record = Record::new(Instant::now());
        assert_eq!(verdicts(&mut record, "---+-+-++"), "++------+");
        assert_eq!(verdicts(&mut record, "--"), "++", "what failed before it came back is forgotten");
    }

    #[test]
    fn a_change_of_the_verdict_is_told_once_and_dated() {
        let start = Instant::now();
        let (mut record, once) = (Record::new(start), Thresholds { rise: 1, fall: 1 });
        assert_eq!(record.note(Finding::Passed, once, start + SECOND), None);
        assert_eq!(record.note(failed(), once, start + 2 * SECOND), Some(false));
        assert_eq!(record.note(failed(), once, start + 3 * SECOND), None);
        assert_eq!(record.since, start + 2 * SECOND);
        assert_eq!(record.note(Finding::Passed, once, start + 4 * SECOND), Some(true));
        assert_eq!((record.passed, record.failed, record.since), (2, 2, start + 4 * SECOND));
    }

    #[test]
    fn what_was_wrong_is_shown_until_all_is_well() {
        let mut record = Record::new(Instant::now());
        let error = Some("connection refused".to_owned());
        verdicts(&mut record, "-");
        assert_eq!(record.last_error, error, "healthy, but on its way down");
        verdicts(&mut record, "--+");
        assert_eq!(record.last_error, error, "on its way up, but unhealthy");
        verdicts(&mut record, "+");
        assert_eq!(record.last_error, None);
    }

    #[test]
    fn a_check_that_could_not_be_made_says_nothing_of_the_endpoint() {
        let mut record = Record::new(Instant::now());
        verdicts(&mut record, "--");
        for _ in 0..10 {
            let untried = Finding::Untried("too many open files".to_owned());
            assert_eq!(record.note(untried, THRESHOLDS, record.since), None);
        }
        assert_eq!((record.failed, record.untried), (2, 10));
        assert_eq!(verdicts(&mut record, "-"), "-", "it does not break a row either");
    }

    #[test]
    fn a_new_check_keeps_the_verdict_until_it_has_decided() {
        let mut record = Record::new(Instant::now());
        verdicts(&mut record, "---+");
        record.begin_anew();
        assert_eq!(verdicts(&mut record, "++"), "-+");
        verdicts(&mut record, "--");
        record.begin_anew();
        assert_eq!(verdicts(&mut record, "--"), "++", "what the old check found does not count");
    }

    #[test]
    fn checks_come_a_tenth_of_the_interval_earlier_or_later() {
        let (mut record, mut rng) = (Record::new(Instant::now()), fastrand::Rng::with_seed(7));
        verdicts(&mut record, "+");
        let mut waits: Vec<f64> =
            (0..10_000).map(|_| record.next(10 * SECOND, &mut rng).as_secs_f64()).collect();
        waits.sort_by(f64::total_cmp);
        assert!((9.0..9.01).contains(&waits[0]) && (10.99..=11.0).contains(&waits[9999]), "{waits:?}");
        let mean = waits.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 10.0).abs() < 0.05, "{mean}");
    }

    #[test]
    fn checks_follow_each_other_sooner_until_the_first_has_decided() {
        let (mut record, mut rng) = (Record::new(Instant::now()), fastrand::Rng::with_seed(7));
        let mut wait =
            |record: &Record, interval: u64| record.next(Duration::from_millis(interval), &mut rng);
        verdicts(&mut record, "--");
        assert!(wait(&record, 10_000) < SECOND && wait(&record, 100) <= SECOND / 9);
        verdicts(&mut record, "-");
        assert!(wait(&record, 10_000) >= 9 * SECOND);
        record.begin_anew();
        assert!(wait(&record, 10_000) < SECOND);
        verdicts(&mut record, "-");
        assert!(wait(&record, 10_000) >= 9 * SECOND, "confirmed");
    }

    #[test]
    fn first_checks_of_many_are_spread_over_the_interval_and_those_of_a_few_come_at_once() {
        let mut rng = fastrand::Rng::with_seed(7);
        assert!((0..100).all(|_| first(3, 2 * SECOND, &mut rng) <= Duration::from_millis(30)));
        let mut slots = [0; 20];
        for _ in 0..10_000 {
            let at = first(10_000, 2 * SECOND, &mut rng);
            slots[usize::try_from(at.as_millis()).expect("below 2 s") / 100] += 1;
        }
        assert!(slots.iter().all(|slot| (400..600).contains(slot)), "{slots:?}");
        assert!(first(usize::MAX, SECOND, &mut rng) <= SECOND);
    }
}
