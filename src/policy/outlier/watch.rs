//! What is known of one endpoint: what speaks against it, whether it is out, and how often it has been.

use std::time::{Duration, Instant};

use super::counts::Counts;
use super::{Cause, Sign};
use crate::config::OutlierDetection;

/// An endpoint that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Why.
    pub cause: Cause,
    /// When it returns.
    pub until: Instant,
    /// Which time it is that it is out, save those that are forgiven.
    pub times: u32,
}

/// One endpoint under watch.
#[derive(Debug)]
pub(super) struct Watch {
    in_a_row: u32,
    counts: Counts,
    /// Since when its tail is too far from the pool's.
    slow_since: Option<Instant>,
    ejected: Option<(Cause, Instant)>,
    /// Ejections that are not forgiven.
    times: u32,
    /// Its last return. A try that began before it says nothing of how it does now.
    returned: Option<Instant>,
    /// Whether it has not had a success since.
    on_trial: bool,
    /// Since when it behaves, where there is something to forgive.
    well_since: Option<Instant>,
    /// When it was last not ejected for want of room.
    withheld: Option<Instant>,
    /// Ejections by cause, in the order of [`Cause::ALL`].
    pub(super) totals: [u64; Cause::ALL.len()],
}

impl Watch {
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self {
            in_a_row: 0,
            counts: Counts::new(interval, now),
            slow_since: None,
            ejected: None,
            times: 0,
            returned: None,
            on_trial: false,
            well_since: None,
            withheld: None,
            totals: [0; Cause::ALL.len()],
        }
    }

    /// The same after a reload. Counts over another interval begin anew.
    pub(super) fn renew(mut self, interval: Duration, now: Instant) -> Self {
        if self.counts.interval() != interval {
            self.counts = Counts::new(interval, now);
        }
        self
    }

    /// Whether it has answered within the interval, and not failed since: one that nobody asks proves nothing.
    pub(super) fn works(&self) -> bool {
        self.in_a_row == 0 && self.requests().0 > 0
    }

    /// Requests within the interval, and those of them that failed.
    pub(super) fn requests(&self) -> (u32, u32) {
        self.counts.read()
    }

    /// Orders those that are to be ejected.
    pub(super) fn badness(&self) -> (u32, u32) {
        (self.in_a_row, self.counts.read().1)
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.ejected.is_some()
    }

    pub(super) fn ejection(&self) -> Option<Ejection> {
        self.ejected.map(|(cause, until)| Ejection { cause, until, times: self.times })
    }

    pub(super) fn learn(&mut self, sign: Sign, began: Instant, now: Instant) {
        // What is out gets requests only in a panic, or had them before.
        if self.is_ejected() || self.returned.is_some_and(|returned| began < returned) {
            return;
        }
        match sign {
            Sign::Good => {
                (self.in_a_row, self.on_trial) = (0, false);
                self.well_since.get_or_insert(now);
                self.counts.record(false, now);
            }
            Sign::Error => self.counts.record(true, now),
            Sign::Bad => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.counts.record(true, now);
            }
            Sign::Spoilt => self.counts.spoil(now),
            Sign::None => {}
        }
    }

    /// Brings its counts up to `now`, and forgives what was long enough ago. `tail`: its tail latency over the pool's.
    pub(super) fn advance(&mut self, settings: &OutlierDetection, tail: f32, now: Instant) {
        self.counts.advance(now);
        let is_slow = settings.latency_factor.is_some_and(|factor| tail >= f32::from(factor));
        match is_slow && !self.is_ejected() {
            true => drop(self.slow_since.get_or_insert(now)),
            false => self.slow_since = None,
        }
        self.forgive(settings, now);
    }

    /// Whether anything speaks against it, as far as that can be said without its siblings.
    pub(super) fn is_suspect(&self, settings: &OutlierDetection, now: Instant) -> bool {
        !self.is_ejected() && Cause::ALL.into_iter().any(|cause| self.shows(cause, settings, now))
    }

    pub(super) fn shows(&self, cause: Cause, settings: &OutlierDetection, now: Instant) -> bool {
        let (requests, failures) = self.counts.read();
        let enough = requests >= settings.min_requests;
        match cause {
            Cause::ConsecutiveFailures => {
                settings.consecutive_failures.is_some_and(|most| self.in_a_row >= most)
            }
            // Nobody is to pay five times for an endpoint that has not recovered.
            Cause::FailedReturn => {
                settings.consecutive_failures.is_some() && self.on_trial && self.in_a_row > 0
            }
            Cause::FailurePercent => settings.failure_percent.is_some_and(|percent| {
                enough && u64::from(failures) * 100 >= u64::from(requests) * u64::from(percent)
            }),
            Cause::Latency => enough && has_lasted(self.slow_since, settings.interval, now),
        }
    }

    /// How long it will be out.
    pub(super) fn eject(&mut self, cause: Cause, settings: &OutlierDetection, now: Instant) -> Duration {
        self.times = self.times.saturating_add(1);
        let length = length(self.times, settings);
        self.totals[cause as usize] = self.totals[cause as usize].saturating_add(1);
        self.ejected = Some((cause, now + length));
        self.begin_anew();
        length
    }

    pub(super) fn bring_back(&mut self, now: Instant) {
        (self.ejected, self.returned, self.on_trial) = (None, Some(now), true);
        self.begin_anew();
    }

    /// An ejection ends at `now`, unless it does so before.
    pub(super) fn shorten(&mut self, now: Instant) {
        self.ejected = self.ejected.map(|(cause, until)| (cause, until.min(now)));
    }

    /// It is not ejected because there is no room. Whether to count that: once per interval, and not at every tick.
    pub(super) fn withhold(&mut self, interval: Duration, now: Instant) -> bool {
        let counts = self.withheld.is_none() || has_lasted(self.withheld, interval, now);
        if counts {
            self.withheld = Some(now);
        }
        counts
    }

    fn begin_anew(&mut self) {
        self.counts.clear();
        (self.in_a_row, self.slow_since, self.well_since, self.withheld) = (0, None, None, None);
    }

    /// One ejection is forgiven for each stretch as long as it was, and no shorter than the interval, from the first success
    /// on: one that fails once a minute comes to be out for longer, and one that is not asked has shown nothing.
    fn forgive(&mut self, settings: &OutlierDetection, now: Instant) {
        let stretch = length(self.times, settings).max(settings.interval);
        if self.times > 0 && !self.is_ejected() && has_lasted(self.well_since, stretch, now) {
            self.times -= 1;
            self.well_since = Some(now);
        }
    }
}

fn has_lasted(since: Option<Instant>, length: Duration, now: Instant) -> bool {
    since.is_some_and(|since| now.saturating_duration_since(since) >= length)
}

/// The first is `base_ejection`, and each that follows twice the one before.
fn length(times: u32, settings: &OutlierDetection) -> Duration {
    let factor = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    settings.base_ejection.saturating_mul(factor).min(settings.max_ejection)
}
