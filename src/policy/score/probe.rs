//! Which endpoint is sent a request to see how it does, and when.
//!
//! An endpoint that is shunned leaves no samples, and would be shunned for ever. Whoever gets the probe may wait long
//! for it, so that probes are rare enough to stay out of the pool's own 99.9th percentile.

use std::time::{Duration, Instant};

use super::record::EndpointRecord;
use crate::policy::availability::Access;
use crate::policy::endpoint::Candidate;

/// At most one probe in so many answers of the pool, where it would go to an endpoint that is this dear.
const ANSWERS: u64 = 2500;
const DEAR: f32 = 6.0;
/// At the latest after this time: a shop with a request a second would else wait for most of an hour.
const LONGEST: Duration = Duration::from_secs(600);
/// And no more often than this.
const PAUSE: Duration = Duration::from_secs(1);

/// The probes of one pool.
#[derive(Debug)]
pub(super) struct Probe {
    /// Which endpoint is to get one, until it has been sent.
    wanted: Option<usize>,
    asked: Instant,
    sent: (Instant, u64),
}

impl Probe {
    pub(super) fn new(now: Instant) -> Self {
        Self { wanted: None, asked: now, sent: (now, 0) }
    }

    /// The endpoint that is to get the next probe, if one is due.
    pub(super) fn next(
        &mut self,
        endpoints: &mut [EndpointRecord],
        candidates: &[Candidate],
        answers: u64,
        now: Instant,
    ) -> Option<usize> {
        if let Some(index) = self.wanted {
            let waits = candidates[index].state.wants_probe();
            if waits
                && now.saturating_duration_since(self.asked) < PAUSE
                && may_get(index, endpoints, candidates, now)
            {
                return Some(index);
            }
            endpoints[index].last_try = (answers, now);
            self.sent = if waits { self.sent } else { (now, answers) };
        }
        self.asked = now;
        self.wanted = self.due(endpoints, candidates, answers, now);
        self.wanted
    }

    /// Of those whose turn it is, the one unheard of for the longest.
    fn due(
        &self,
        endpoints: &[EndpointRecord],
        candidates: &[Candidate],
        answers: u64,
        now: Instant,
    ) -> Option<usize> {
        let (last, before) = self.sent;
        if now.saturating_duration_since(last) < PAUSE {
            return None;
        }
        let due = |endpoint: &EndpointRecord| {
            let (tried, when) = endpoint.last_try;
            let missed = answers - tried.max(before);
            missed >= interval(endpoint.dearness)
                || (missed > 0 && now.saturating_duration_since(when) >= LONGEST)
        };
        let all = endpoints.iter().enumerate();
        let due =
            all.filter(|(index, endpoint)| due(endpoint) && may_get(*index, endpoints, candidates, now));
        due.min_by_key(|(_, endpoint)| endpoint.last_try.0).map(|(index, _)| index)
    }
}

/// Whether a probe would arrive, and would tell something: not where it would most likely fail, nor where a request is
/// under way that will tell as well.
fn may_get(index: usize, endpoints: &[EndpointRecord], candidates: &[Candidate], now: Instant) -> bool {
    let Candidate { weight, state, .. } = &candidates[index];
    let endpoint = &endpoints[index];
    let takes = *weight > 0 && state.gives(Access::Open);
    takes && state.in_flight() == 0 && endpoint.mean.read().1 > 0 && !endpoint.is_failing(now)
}

/// A probe of an endpoint that is twice as slow costs nobody much; one that is ten times as slow may be the 99.9th
/// percentile.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to ANSWERS")]
fn interval(dearness: f32) -> u64 {
    (ANSWERS as f32 * (dearness / DEAR).powi(2).min(1.0)) as u64
}
