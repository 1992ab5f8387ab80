//! Adds up what the workers hand over, and tells the balancers what follows from it.
//!
//! One thread at a time works here (the control thread), so these are plain numbers. They live as long as the
//! snapshot in force names what they count.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod outlier;

use super::hedges::{self, HedgeFigures};
use super::record::{Copied, Hedging, Record, Retry, Sample};
use super::recorder::Batch;
use crate::policy::outlier::Outliers;
use crate::policy::overload::Target;
use crate::policy::reason::Reason;
use crate::policy::score::{EndpointRecord, Outcome, Pool, Sample as Learned, Score};
use crate::snapshot::{Endpoint, Id, Snapshot, Upstream};

mod admission;

use admission::Admitting;

/// Upper bounds of the latency histograms in seconds; the last bucket has none.
pub const BUCKETS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// So many failures without a success between are an endpoint that fails, and worth a line in the log.
const FAILING: u32 = 3;

/// Durations by bucket of [`BUCKETS`].
#[derive(Debug, Clone, Default)]
pub struct Durations {
    /// How many fell into each bucket; the last is for those over every bound.
    pub counts: [u64; BUCKETS.len() + 1],
    /// Their sum in seconds.
    pub sum: f64,
}

impl Durations {
    fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.counts[BUCKETS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += seconds;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What one upstream did.
#[derive(Debug)]
pub struct PoolFigures {
    upstream: Arc<str>,
    /// In the order of the upstream's endpoints.
    pub endpoints: Vec<EndpointFigures>,
    /// Requests sent again, by why.
    pub retries: BTreeMap<&'static str, u64>,
    /// Requests that were not sent again because the budget was used up.
    pub retries_refused: u64,
    /// Their recent past, in the same order.
    recent: Pool,
    /// In the same order.
    outliers: Outliers,
    admitting: Admitting,
    sampled: bool,
}

/// What one endpoint did.
#[derive(Debug)]
pub struct EndpointFigures {
    /// Which one.
    pub id: Id,
    /// Requests sent to it.
    pub requests: u64,
    /// Those that failed: not connected, reset, timed out, cut short, 429 or 5xx.
    pub failures: u64,
    /// Time to its response heads.
    pub latency: Durations,
    /// What the balancer was told last.
    pub score: Option<Score>,
    /// Failures since its last success.
    pub failed_in_a_row: u32,
    told_failing: bool,
}

/// What one route did.
#[derive(Debug, Clone, Default)]
pub struct RouteFigures {
    /// Requests by class of the status sent: index 1 is 1xx, and so on; 0 is a client that went away.
    pub codes: [u64; 6],
    /// From request head to the end of the response.
    pub duration: Durations,
    /// Those that were over a rate limit.
    pub rate_limited: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
    /// Requests turned away for the load, by why.
    pub shed: BTreeMap<&'static str, u64>,
    /// gRPC calls by what they ended with.
    pub grpc: BTreeMap<&'static str, u64>,
}

/// Everything counted.
#[derive(Debug, Default)]
pub struct Figures {
    /// By upstream, in the order of the snapshot followed.
    pub pools: Vec<PoolFigures>,
    /// By route.
    pub routes: HashMap<Id, RouteFigures>,
    /// Requests that no route took, by class of status.
    pub unrouted: RouteFigures,
    /// Requests by listener.
    pub listeners: HashMap<Id, u64>,
    /// Answers of Tillgate's own, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// By route that hedges.
    pub hedges: HashMap<Id, HedgeFigures>,
    /// Responses that ended before they were whole.
    pub truncated: u64,
    /// Records that were not kept because too many waited.
    pub lost: u64,
    places: HashMap<Id, (usize, usize)>,
    /// Pools that are not to wait for the next tick; each once.
    alarmed: Vec<usize>,
    /// By route with a target for its latency and without a split: its upstream.
    watched: HashMap<Id, usize>,
}

impl Figures {
    /// Makes room for what `snapshot` names, and forgets what it does not.
    pub fn follow(&mut self, snapshot: &Snapshot, now: Instant) {
        let mut known: HashMap<Arc<str>, PoolFigures> =
            self.pools.drain(..).map(|pool| (Arc::clone(&pool.upstream), pool)).collect();
        let follow = |upstream: &Arc<Upstream>| match known.remove(&upstream.name) {
            Some(pool) => pool.follow(upstream, now),
            None => PoolFigures::new(upstream, now),
        };
        self.pools = snapshot.upstreams.iter().map(follow).collect();
        self.places = self.pools.iter().enumerate().flat_map(|(index, pool)| pool.places(index)).collect();
        self.follow_routes(snapshot);
        self.follow_admission(snapshot, now);
        hedges::follow(&mut self.hedges, snapshot, now);
    }

    /// Makes room for the listeners of this moment, and forgets the others.
    pub fn follow_listeners(&mut self, listeners: &HashSet<Id>) {
        keep(&mut self.listeners, listeners);
    }

    /// Adds a worker's batch.
    pub fn absorb(&mut self, batch: &Batch, now: Instant) {
        self.lost += batch.lost;
        for sample in &batch.samples {
            self.learn(sample, now);
        }
        for retry in &batch.retries {
            self.count_retry(retry);
        }
        for told in &batch.hedging {
            self.learn_hedging(told, now);
        }
        for record in &batch.records {
            self.add(record);
        }
    }

    /// Works out the scores of every pool and tells its balancer.
    pub fn publish(&mut self, snapshot: &Snapshot, now: Instant) {
        for (pool, upstream) in self.pools.iter_mut().zip(&snapshot.upstreams) {
            pool.publish(upstream, now);
            upstream.reopen_if_due();
            upstream.budget.fade();
            if upstream.has_admission() {
                pool.admitting.tick(upstream, now);
            }
        }
        hedges::publish(&mut self.hedges, snapshot, now);
    }

    fn follow_admission(&mut self, snapshot: &Snapshot, now: Instant) {
        let pools = self.pools.iter_mut().zip(&snapshot.upstreams);
        let known: Vec<HashMap<Id, Target>> =
            pools.map(|(pool, upstream)| pool.admitting.follow(upstream).collect()).collect();
        self.watched.clear();
        for route in &snapshot.routes {
            let Some(slo) = route.slo else { continue };
            for upstream in route.upstreams() {
                let target = known[upstream].get(&route.id).copied().filter(|known| known.slo() == slo);
                let target = target.unwrap_or_else(|| Target::new(slo, now));
                self.pools[upstream].admitting.watch(route, target);
            }
            if route.split.is_none() {
                self.watched.insert(route.id, route.upstream);
            }
        }
    }

    /// The upstream whose doing it is how long a request took: that of its endpoint; of one that got none, the only one
    /// of its route. What waited in vain before one of several is told by that one's queue.
    fn judged(&self, record: &Record) -> Option<(Id, usize)> {
        let route = record.route?;
        let pool = record.endpoint.and_then(|id| self.places.get(&id)).map(|(pool, _)| *pool);
        Some((route, pool.or_else(|| self.watched.get(&route).copied())?))
    }

    /// An endpoint gets requests again from `now` on: it begins its slow start, if it has one, and the workers know of it
    /// before they may pick it. To be called before its obstacle goes.
    pub fn returns(&mut self, upstream: &Upstream, endpoint: usize, now: Instant) {
        if let Some(&(pool, at)) = self.places.get(&upstream.endpoints[endpoint].id) {
            self.pools[pool].returns(upstream, at, now);
        }
    }

    /// Where an endpoint stands in the snapshot followed: the index of its upstream, and its own in there.
    pub fn place(&self, endpoint: Id) -> Option<(usize, usize)> {
        self.places.get(&endpoint).copied()
    }

    fn follow_routes(&mut self, snapshot: &Snapshot) {
        let routes: HashSet<Id> = snapshot.routes.iter().map(|route| route.id).collect();
        keep(&mut self.routes, &routes);
        let numbers: HashSet<u32> = routes.iter().map(|id| id.number()).collect();
        self.pools.iter_mut().for_each(|pool| pool.recent.retain_routes(|route| numbers.contains(&route)));
    }

    fn learn(&mut self, sample: &Sample, now: Instant) {
        if let Some(&(pool, at)) = self.places.get(&sample.endpoint) {
            self.pools[pool].learn(at, sample, now);
            self.note_alarm(pool, at, sample, now);
        }
    }

    fn count_retry(&mut self, retry: &Retry) {
        if let Some(&(pool, at)) = self.places.get(&retry.endpoint) {
            self.pools[pool].count_retry(at, retry);
        }
    }

    fn learn_hedging(&mut self, hedging: &Hedging, now: Instant) {
        // A reload may have ended the hedging of the route while the request ran.
        let Some(route) = self.hedges.get_mut(&hedging.route) else { return };
        if let Some(copied) = route.learn(&hedging.told, now)
            && let Some(&(pool, at)) = self.places.get(&copied.other)
        {
            self.pools[pool].endpoints[at].count_copy(copied);
        }
    }

    fn add(&mut self, record: &Record) {
        if let Some(&(pool, at)) = record.endpoint.and_then(|id| self.places.get(&id)) {
            self.pools[pool].endpoints[at].add(record);
        }
        if let Some((route, pool)) = self.judged(record) {
            self.pools[pool].admitting.add(route, record);
        }
        match record.route.map(|id| self.routes.get_mut(&id)) {
            None => self.unrouted.add(record),
            Some(Some(route)) => route.add(record),
            // A reload removed the route while the request ran.
            Some(None) => self.lost += 1,
        }
        if let Some(count) = self.listeners.get_mut(&record.listener) {
            *count += 1;
        }
        if let Some(reason) = record.reason {
            *self.reasons.entry(reason.name()).or_default() += 1;
        }
        self.truncated += u64::from(record.truncated);
    }
}

impl PoolFigures {
    fn new(upstream: &Upstream, now: Instant) -> Self {
        Self {
            upstream: Arc::clone(&upstream.name),
            endpoints: upstream.endpoints.iter().map(|endpoint| EndpointFigures::new(endpoint.id)).collect(),
            retries: BTreeMap::new(),
            retries_refused: 0,
            admitting: Admitting::default(),
            recent: Pool::new(upstream.settings(), upstream.endpoints.len(), now),
            outliers: Outliers::new(upstream.config.outlier_detection, upstream.endpoints.len(), now),
            sampled: false,
        }
    }

    /// The same upstream after a reload; endpoints are known by their id.
    fn follow(self, upstream: &Upstream, now: Instant) -> Self {
        let before: HashMap<Id, usize> = self.endpoints.iter().map(|one| one.id).zip(0..).collect();
        let kept: Vec<Option<usize>> =
            upstream.endpoints.iter().map(|endpoint| before.get(&endpoint.id).copied()).collect();
        let mut known: HashMap<Id, EndpointFigures> =
            self.endpoints.into_iter().map(|figures| (figures.id, figures)).collect();
        let mut follow = |endpoint: &Endpoint| {
            known.remove(&endpoint.id).unwrap_or_else(|| EndpointFigures::new(endpoint.id))
        };
        let settings = upstream.config.outlier_detection;
        self.outliers.let_go(settings, &kept).for_each(|at| outlier::tell_unwatched(upstream, at));
        Self {
            endpoints: upstream.endpoints.iter().map(&mut follow).collect(),
            recent: self.recent.renew(upstream.settings(), &kept, now),
            outliers: self.outliers.renew(settings, &kept, upstream.balancer.candidates(), now),
            ..self
        }
    }

    /// The recent latencies of one endpoint.
    pub fn recent(&self, endpoint: usize) -> &EndpointRecord {
        self.recent.endpoint(endpoint)
    }

    /// Who is out, and why.
    pub fn outliers(&self) -> &Outliers {
        &self.outliers
    }

    fn places(&self, pool: usize) -> impl Iterator<Item = (Id, (usize, usize))> {
        self.endpoints.iter().enumerate().map(move |(at, one)| (one.id, (pool, at)))
    }

    fn learn(&mut self, at: usize, sample: &Sample, now: Instant) {
        self.sampled = true;
        self.endpoints[at].learn(&sample.learned);
        self.admitting.learn(sample);
        self.recent.learn(at, &sample.learned, now);
        self.outliers.learn(at, sample.sign, sample.began, now);
    }

    fn returns(&mut self, upstream: &Upstream, at: usize, now: Instant) {
        if upstream.config.slow_start.is_some() {
            self.sampled = true;
            // No more than its own word: all scores, for each of thousands that return at once, would be their square, and
            // would let the penalties of the others fade.
            let ramp = self.recent.returns(at, now);
            upstream.state(at).begin_slowly(ramp);
            self.endpoints[at].score.get_or_insert_default().ramp = ramp;
        }
    }

    /// A request's record tells of its last endpoint; those that failed before it are counted here.
    fn count_retry(&mut self, at: usize, retry: &Retry) {
        let Some(condition) = retry.condition else {
            self.retries_refused += 1;
            return;
        };
        *self.retries.entry(condition.name()).or_default() += 1;
        self.endpoints[at].requests += 1;
        self.endpoints[at].failures += 1;
    }

    fn publish(&mut self, upstream: &Upstream, now: Instant) {
        // A pool that never had a request scores as it did at its start: ten thousand quiet ones cost nothing.
        if !self.sampled {
            return;
        }
        let changed = self.eject(upstream, now);
        let scores = self.recent.publish(upstream.balancer.candidates(), now);
        if changed {
            upstream.reopen();
        }
        for (index, (figures, score)) in self.endpoints.iter_mut().zip(scores).enumerate() {
            figures.tell_failing(upstream, index);
            figures.score = Some(score);
        }
    }
}

impl EndpointFigures {
    fn new(id: Id) -> Self {
        Self {
            id,
            requests: 0,
            failures: 0,
            latency: Durations::default(),
            score: None,
            told_failing: false,
            failed_in_a_row: 0,
        }
    }

    fn learn(&mut self, sample: &Learned) {
        match sample.outcome {
            Outcome::Failure => self.failed_in_a_row = self.failed_in_a_row.saturating_add(1),
            Outcome::Success => self.failed_in_a_row = 0,
            Outcome::SoftFailure | Outcome::Neutral => {}
        }
        if let Some(latency) = sample.latency {
            self.latency.add(latency);
        }
    }

    /// Says once that an endpoint fails, and once that it answers again.
    fn tell_failing(&mut self, upstream: &Upstream, index: usize) {
        let (upstream_name, endpoint) = (&*upstream.name, &*upstream.endpoints[index].name);
        if !self.told_failing && self.failed_in_a_row >= FAILING {
            self.told_failing = true;
            tracing::warn!(upstream = upstream_name, endpoint, "endpoint fails");
        }
        if self.told_failing && self.failed_in_a_row == 0 {
            self.told_failing = false;
            tracing::info!(upstream = upstream_name, endpoint, "endpoint answers again");
        }
    }

    /// A request's record tells of the copy that was passed on; the other one is counted here.
    fn count_copy(&mut self, copied: Copied) {
        self.requests += 1;
        self.failures += u64::from(copied.failed);
    }

    fn add(&mut self, record: &Record) {
        self.requests += 1;
        self.failures += u64::from(matches!(record.outcome, Outcome::Failure | Outcome::SoftFailure));
    }
}

impl RouteFigures {
    fn add(&mut self, record: &Record) {
        let class = if record.status == 499 { 0 } else { usize::from(record.status / 100).min(5) };
        self.codes[class] += 1;
        self.rate_limited += u64::from(record.reason == Some(Reason::RateLimited));
        if !record.tunnel {
            self.duration.add(record.total);
            self.bytes_in += record.bytes_in;
            self.bytes_out += record.bytes_out;
        }
        if let Some(reason) = record.reason.filter(|reason| reason.is_load()) {
            *self.shed.entry(reason.name()).or_default() += 1;
        }
        if let Some(code) = record.grpc_status {
            *self.grpc.entry(code.name()).or_default() += 1;
        }
    }
}

/// Keeps the entries of `wanted` and makes those that are missing.
fn keep<K: Copy + Eq + Hash, V: Default>(map: &mut HashMap<K, V>, wanted: &HashSet<K>) {
    map.retain(|id, _| wanted.contains(id));
    for id in wanted {
        map.entry(*id).or_default();
    }
}

/// Figures shared by the aggregator, which writes them, and the admin server, which reads them.
pub type Shared = Arc<std::sync::Mutex<Figures>>;
