//! Adds up what the workers hand over, and tells the balancers what follows from it.
//!
//! One thread at a time works here (the control thread), so these are plain numbers. They live as long as the
//! snapshot in force names what they count.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::record::{Record, Sample};
use super::recorder::Batch;
use crate::config::LeastResponse;
use crate::policy::score::{EndpointRecord, Outcome, Score, score_pool};
use crate::snapshot::{Endpoint, Id, Snapshot, Upstream};

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
    /// Its recent past.
    pub recent: EndpointRecord,
    /// What the balancer was told last.
    pub score: Option<Score>,
    /// Failures since its last success.
    pub failed_in_a_row: u32,
    told_failing: bool,
    sampled: bool,
}

/// What one route did.
#[derive(Debug, Clone, Default)]
pub struct RouteFigures {
    /// Requests by class of the status sent: index 1 is 1xx, and so on; 0 is a client that went away.
    pub codes: [u64; 6],
    /// From request head to the end of the response.
    pub duration: Durations,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
}

/// Everything counted.
#[derive(Debug, Default)]
pub struct Figures {
    /// By upstream and endpoint, both in the order of the snapshot followed.
    pub pools: Vec<Vec<EndpointFigures>>,
    /// By route.
    pub routes: HashMap<Id, RouteFigures>,
    /// Requests that no route took, by class of status.
    pub unrouted: RouteFigures,
    /// Requests by listener.
    pub listeners: HashMap<Id, u64>,
    /// Answers of Tillgate's own, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Responses that ended before they were whole.
    pub truncated: u64,
    /// Records that were not kept because too many waited.
    pub lost: u64,
    places: HashMap<Id, (usize, usize)>,
}

impl Figures {
    /// Makes room for what `snapshot` names, and forgets what it does not.
    pub fn follow(&mut self, snapshot: &Snapshot, now: Instant) {
        let mut known: HashMap<Id, EndpointFigures> =
            self.pools.drain(..).flatten().map(|figures| (figures.id, figures)).collect();
        self.pools =
            snapshot.upstreams.iter().map(|upstream| follow_pool(upstream, &mut known, now)).collect();
        let pools = self.pools.iter().enumerate();
        let places =
            pools.flat_map(|(pool, all)| all.iter().enumerate().map(move |(at, one)| (one.id, (pool, at))));
        self.places = places.collect();
        let routes: HashSet<Id> = snapshot.routes.iter().map(|route| route.id).collect();
        keep(&mut self.routes, &routes);
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
        for record in &batch.records {
            self.add(record);
        }
    }

    /// Works out the scores of every pool and tells its balancer.
    pub fn publish(&mut self, snapshot: &Snapshot, now: Instant) {
        for (pool, upstream) in self.pools.iter_mut().zip(&snapshot.upstreams) {
            publish_pool(pool, upstream, now);
        }
    }

    fn learn(&mut self, sample: &Sample, now: Instant) {
        if let Some(&(pool, at)) = self.places.get(&sample.endpoint) {
            self.pools[pool][at].learn(sample, now);
        }
    }

    fn add(&mut self, record: &Record) {
        if let Some(&(pool, at)) = record.endpoint.and_then(|id| self.places.get(&id)) {
            self.pools[pool][at].add(record);
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

fn follow_pool(
    upstream: &Upstream,
    known: &mut HashMap<Id, EndpointFigures>,
    now: Instant,
) -> Vec<EndpointFigures> {
    let tuning = upstream.tuning();
    let follow = |endpoint: &Endpoint| match known.remove(&endpoint.id) {
        Some(mut figures) => {
            figures.recent.retune(tuning, now);
            figures
        }
        None => EndpointFigures::new(endpoint.id, tuning, now),
    };
    upstream.endpoints.iter().map(follow).collect()
}

fn publish_pool(pool: &mut [EndpointFigures], upstream: &Upstream, now: Instant) {
    // A pool that never had a request scores as it did at its start: ten thousand quiet ones cost nothing.
    if pool.iter().all(|figures| !figures.sampled) {
        return;
    }
    let mut records: Vec<&mut EndpointRecord> = pool.iter_mut().map(|figures| &mut figures.recent).collect();
    let scores = score_pool(upstream.tuning(), &mut records, now);
    for (index, (figures, score)) in pool.iter_mut().zip(scores).enumerate() {
        upstream.state(index).publish(score);
        upstream.state(index).fade();
        figures.tell_failing(upstream, index);
        figures.score = Some(score);
    }
}

impl EndpointFigures {
    fn new(id: Id, tuning: &LeastResponse, now: Instant) -> Self {
        Self {
            id,
            requests: 0,
            failures: 0,
            latency: Durations::default(),
            recent: EndpointRecord::new(tuning, now),
            score: None,
            told_failing: false,
            sampled: false,
            failed_in_a_row: 0,
        }
    }

    fn learn(&mut self, sample: &Sample, now: Instant) {
        self.sampled = true;
        match sample.outcome {
            Outcome::Failure => self.failed_in_a_row = self.failed_in_a_row.saturating_add(1),
            Outcome::Success => self.failed_in_a_row = 0,
            Outcome::SoftFailure | Outcome::Neutral => {}
        }
        if let Some(latency) = sample.latency {
            self.latency.add(latency);
        }
        self.recent.record(sample.latency, sample.outcome, now);
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

    fn add(&mut self, record: &Record) {
        self.requests += 1;
        self.failures += u64::from(matches!(record.outcome, Outcome::Failure | Outcome::SoftFailure));
    }
}

impl RouteFigures {
    fn add(&mut self, record: &Record) {
        let class = if record.status == 499 { 0 } else { usize::from(record.status / 100).min(5) };
        self.codes[class] += 1;
        self.duration.add(record.total);
        self.bytes_in += record.bytes_in;
        self.bytes_out += record.bytes_out;
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
