//! What is told of the two copies of a request, whatever becomes of them: a request that is cancelled tells it as well.

use std::time::{Duration, Instant};

use super::race::{Ran, Side};
use crate::config::After;
use crate::policy::score::Outcome;
use crate::proxy::exchange::outcome_of;
use crate::snapshot::{Id, Route};
use crate::telemetry::record::{Copied, Hedge, HedgeEnd, Hedging};
use crate::telemetry::recorder::Recorder;

/// How long the first copy took. One that ends otherwise than well counts from the delay on, with the time that it had
/// waited (`policy::hedge::UsualDelay` says why); one that fails sooner says nothing.
pub(super) struct FirstNote<'a> {
    recorder: &'a Recorder,
    route: Id,
    begun: Instant,
    delay: Option<Duration>,
    wanted: bool,
}

impl<'a> FirstNote<'a> {
    /// It leaves now. Where the delay is fixed, nothing is measured.
    pub(super) fn begin(
        recorder: &'a Recorder,
        route: &Route,
        begun: Instant,
        delay: Option<Duration>,
    ) -> Self {
        let measured = |after| matches!(after, After::Quantile(_));
        let wanted = route.hedge.as_ref().is_some_and(|hedged| measured(hedged.policy.after));
        Self { recorder, route: route.id, begun, delay, wanted }
    }

    /// One of the copies has ended.
    pub(super) fn ends_with(&mut self, ran: &Ran) {
        if ran.side == Side::First {
            let status = ran.result.as_ref().ok().map(|(response, _)| response.status());
            self.tell(status.is_some_and(|status| outcome_of(status) == Outcome::Success));
        }
    }

    fn tell(&mut self, answered: bool) {
        if !std::mem::take(&mut self.wanted) {
            return;
        }
        let took = self.begun.elapsed();
        if answered || self.delay.is_some_and(|delay| took >= delay) {
            self.recorder.hedging(Hedging { route: self.route, told: Hedge::First(took) });
        }
    }
}

impl Drop for FirstNote<'_> {
    fn drop(&mut self) {
        self.tell(false);
    }
}

/// What the second copy came to.
pub(super) struct SecondNote<'a> {
    recorder: &'a Recorder,
    route: Id,
    /// As far as it is known.
    pub(super) copied: Copied,
}

impl<'a> SecondNote<'a> {
    /// It leaves for `endpoint` now; if nothing more is heard of it, it has lost.
    pub(super) fn begin(recorder: &'a Recorder, route: &Route, endpoint: Id) -> Self {
        let copied = Copied { end: HedgeEnd::Lost, other: endpoint, failed: false };
        Self { recorder, route: route.id, copied }
    }
}

impl Drop for SecondNote<'_> {
    fn drop(&mut self) {
        self.recorder.hedging(Hedging { route: self.route, told: Hedge::Copied(self.copied) });
    }
}
