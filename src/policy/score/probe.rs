//! Which endpoint is sent a request to see how it does, and when.
//!
//! An endpoint that is shunned leaves no samples, and would be shunned for ever. Whoever gets the probe may wait long
//! for it, so that probes are rare enough to stay out of the pool's own 99.9th percentile.

use std::time::{Duration, Instant};

use super::record::EndpointRecord;
use crate::policy::endpoint::EndpointState;

/// At most one probe in so many answers of the pool, where it would go to an endpoint that is this dear.
const ANSWERS: u64 = 2500;
const DEAR: f32 = 6.0;
/// And no more often than this.
const PAUSE: Duration = Duration::from_secs(1);

/// The probes of one pool.
#[derive(Debug)]
pub(super) struct Probe {
    /// Which endpoint is to get one, until it has been sent.
    wanted: Option<usize>,
    sent: (Instant, u64),
}

impl Probe {
    pub(super) fn new(now: Instant) -> Self {
        Self { wanted: None, sent: (now, 0) }
    }

    /// The endpoint that is to get the next probe, if one is due: the one unheard of for the longest.
    pub(super) fn next<'a>(
        &mut self,
        endpoints: &mut [EndpointRecord],
        mut states: impl Iterator<Item = &'a EndpointState>,
        answers: u64,
        now: Instant,
    ) -> Option<usize> {
        if let Some(index) = self.wanted {
            if states.nth(index).is_some_and(EndpointState::wants_probe) {
                return Some(index);
            }
            endpoints[index].last_try = answers;
            self.sent = (now, answers);
        }
        self.wanted = self.due(endpoints, answers, now);
        self.wanted
    }

    fn due(&self, endpoints: &[EndpointRecord], answers: u64, now: Instant) -> Option<usize> {
        let (last, before) = self.sent;
        if now.saturating_duration_since(last) < PAUSE {
            return None;
        }
        let known = endpoints.iter().enumerate();
        let known = known.filter(|(_, endpoint)| endpoint.mean.read().1 > 0 && !endpoint.is_failing(now));
        let (index, endpoint) = known.min_by_key(|(_, endpoint)| endpoint.last_try)?;
        (answers - endpoint.last_try.max(before) >= interval(endpoint.dearness)).then_some(index)
    }
}

/// A probe of an endpoint that is twice as slow costs nobody much; one that is ten times as slow may be the 99.9th
/// percentile.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to ANSWERS")]
fn interval(dearness: f32) -> u64 {
    (ANSWERS as f32 * (dearness / DEAR).powi(2).min(1.0)) as u64
}
