//! What an upstream's admission learns from what its requests did, ten times a second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::super::record::{Record, Sample};
use crate::config::Priority;
use crate::policy::concurrency::Gradient;
use crate::policy::overload::{Overload, Shares, Signs, Target};
use crate::policy::reason::Reason;
use crate::policy::score::Outcome;
use crate::snapshot::{Id, Route, Upstream};

/// One upstream's limits as they move. Empty where nothing bounds it.
#[derive(Debug, Default)]
pub(super) struct Admitting {
    gradient: Option<Gradient>,
    overload: Overload,
    targets: HashMap<Id, (Priority, Target)>,
    sheds: bool,
}

impl Admitting {
    /// Goes by what is said of the upstream now. Answers the routes that it watched so far.
    pub(super) fn follow(&mut self, upstream: &Upstream) -> impl Iterator<Item = (Id, Target)> + use<> {
        let watched = std::mem::take(&mut self.targets);
        let adaptive = upstream.config.adaptive_concurrency;
        if self.gradient.as_ref().map(Gradient::settings) != adaptive {
            self.gradient = adaptive.map(Gradient::new);
            upstream.admission.adapt(adaptive.map(|adaptive| adaptive.min));
        }
        if !upstream.has_admission() {
            *self = Self::default();
            upstream.admission.share(Shares::ALL);
        }
        watched.into_iter().map(|(route, (_, target))| (route, target))
    }

    /// Watches a route.
    pub(super) fn watch(&mut self, route: &Route, target: Target) {
        self.targets.insert(route.id, (route.priority, target));
    }

    /// An endpoint has answered.
    pub(super) fn learn(&mut self, sample: &Sample) {
        let answered = sample.learned.latency.filter(|_| sample.learned.outcome == Outcome::Success);
        if let (Some(gradient), Some(latency)) = (&mut self.gradient, answered) {
            gradient.learn(latency);
        }
    }

    /// A request of a route with a target has ended.
    pub(super) fn add(&mut self, route: Id, record: &Record) {
        if let (Some((_, target)), Some(took)) = (self.targets.get_mut(&route), took(record)) {
            target.learn(took);
        }
    }

    /// Puts in force what follows from it.
    pub(super) fn tick(&mut self, upstream: &Upstream, now: Instant) {
        let look = upstream.admission.look(now);
        if let Some(gradient) = &mut self.gradient {
            upstream.admission.adapt(Some(gradient.tick(look.in_flight, now)));
        }
        let missed = self.judge(now);
        let shares = self.overload.tick(Signs {
            lasting: look.lasting,
            standing: look.standing,
            waiting: look.waiting,
            refused: look.refused,
            missed,
            misses: self.targets.values().any(|(_, target)| target.misses()),
        });
        upstream.admission.share(shares);
        self.tell(upstream, shares);
    }

    /// The most important class with a route whose round has just ended badly.
    fn judge(&mut self, now: Instant) -> Option<Priority> {
        let judged = self.targets.values_mut();
        judged.filter_map(|(priority, target)| (target.judge(now) == Some(true)).then_some(*priority)).min()
    }

    fn tell(&mut self, upstream: &Upstream, shares: Shares) {
        let sheds = shares != Shares::ALL;
        if std::mem::replace(&mut self.sheds, sheds) != sheds {
            let upstream = &*upstream.name;
            if sheds {
                tracing::warn!(upstream, "overloaded: requests are turned away by priority");
            } else {
                tracing::info!(upstream, "overloaded no more: all requests are let in");
            }
        }
    }
}

/// How long a request took from its head to its response head; `Some(None)` for longer than it may. `None` if that is
/// not known, or nobody's fault.
fn took(record: &Record) -> Option<Option<Duration>> {
    match record.reason {
        None => record.latency.map(|latency| Some(record.waited + latency)),
        Some(
            Reason::QueueTimeout
            | Reason::ConnectTimeout
            | Reason::ResponseTimeout
            | Reason::PerTryTimeout
            | Reason::RequestTimeout,
        ) => Some(None),
        Some(
            Reason::BadRequest(..)
            | Reason::PlainHttp
            | Reason::Redirected(_)
            | Reason::Preflight
            | Reason::NoRoute
            | Reason::BodyTooLarge
            | Reason::BodyIncomplete
            | Reason::BodyTimeout
            | Reason::BodyTooSlow
            | Reason::RateLimited
            | Reason::FaultInjected(_)
            | Reason::NoEndpoint
            | Reason::UpstreamFull
            | Reason::QueueFull
            | Reason::Overloaded
            | Reason::OutOfSockets
            | Reason::ConnectFailed
            | Reason::TlsFailed
            | Reason::Reset
            | Reason::BadResponse,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Figures;
    use super::*;
    use crate::config;
    use crate::snapshot::Snapshot;
    use crate::telemetry::recorder::Batch;

    fn snapshot() -> Snapshot {
        let text = "listeners: { web: { address: \"127.0.0.1:0\" } }\n\
                    upstreams: { shop: { endpoints: [\"127.0.0.1:1\"] }, canary: { endpoints: [\"127.0.0.1:2\"] } }\n\
                    routes: [ { slo: 100ms, split: [ { upstream: shop, weight: 9 }, { upstream: canary, weight: 1 } ] } ]\n";
        let config = config::parse("shop.yaml", text, &|_| None).expect("a good config").config;
        crate::snapshot::build(config, None, None, &|_, _| Ok(vec![])).expect("nothing to resolve")
    }

    fn answered(snapshot: &Snapshot, upstream: usize, took: Duration) -> Vec<Record> {
        let endpoint = snapshot.upstreams[upstream].endpoints[0].id;
        let mut record = Record::new(Id::next());
        (record.route, record.endpoint) = (Some(snapshot.routes[0].id), Some(endpoint));
        (record.status, record.latency) = (200, Some(took));
        vec![record; 200]
    }

    #[test]
    fn a_slow_branch_of_a_split_sheds_its_own_requests_and_no_others() {
        let (snapshot, start) = (snapshot(), Instant::now());
        let mut figures = Figures::default();
        figures.follow(&snapshot, start);
        let mut records = answered(&snapshot, 0, Duration::from_millis(10));
        records.extend(answered(&snapshot, 1, Duration::from_secs(1)));
        let batch = Batch { records, samples: vec![], retries: vec![], hedging: vec![], lost: 0 };
        figures.absorb(&batch, start);
        figures.publish(&snapshot, start + Duration::from_secs(2));
        let [shop, canary] = [0, 1].map(|at: usize| &snapshot.upstreams[at]);
        assert!(shop.has_admission() && canary.has_admission());
        assert_eq!(shop.admission.shares(), Shares::ALL);
        assert!(canary.admission.shares().sheddable < 1.0);
    }
}
