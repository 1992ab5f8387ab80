//! Health checks: an owner of one task for each endpoint that is checked, which follows the snapshot in force.
//!
//! A task asks its endpoint now and then, and tells the pool when the verdict changes. What is known of an endpoint
//! outlives its task, so that a reload brings nobody back that is unhealthy. It never reads the config's text: endpoints
//! are those of a snapshot, wherever they came from.

mod grpc;
mod http;
mod probe;
mod task;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use self::task::{Context, Target};
use crate::config::HealthCheck;
use crate::net::connect;
use crate::policy::endpoint::{EndpointState, Obstacle};
use crate::policy::health::Record;
use crate::snapshot::{Id, Snapshot, Upstream};
use crate::telemetry::aggregate;
use crate::telemetry::health::Records;

/// Checks under way at once, each with a socket; the others wait for their turn. So many endpoints that swallow everything
/// hold up the checks of the others for a timeout at a time.
const AT_ONCE: usize = 512;

/// All checks.
pub struct Checks {
    context: Context,
    running: Mutex<HashMap<Id, Check>>,
}

/// The checks of one endpoint. They end when it is dropped.
struct Check {
    task: JoinHandle<()>,
    target: connect::Target,
    config: Arc<HealthCheck>,
    state: Arc<EndpointState>,
}

impl Check {
    fn is_of(&self, upstream: &Upstream, index: usize, config: &Arc<HealthCheck>) -> bool {
        self.config == *config && self.target == upstream.target(&upstream.endpoints[index])
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Checks {
    /// None yet. Their verdicts go to the pools of `snapshots`, and to those of `figures`.
    pub fn new(snapshots: Arc<ArcSwap<Snapshot>>, figures: aggregate::Shared) -> Self {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let context = Context { snapshots, figures, records: Records::default(), permits };
        Self { context, running: Mutex::default() }
    }

    /// What they have found.
    pub fn records(&self) -> &Records {
        &self.context.records
    }

    /// Checks what `snapshot` says, and nothing else. What it checks as before goes on; whose check is another now keeps
    /// its verdict until that has decided; who is not checked any more is taken for healthy. The pools are to be opened
    /// anew afterwards.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn follow(&self, snapshot: &Snapshot) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *running);
        let mut fresh = Vec::new();
        for (upstream, index, config) in wanted(snapshot) {
            let id = upstream.endpoints[index].id;
            match before.remove(&id) {
                Some(check) if check.is_of(upstream, index, &config) => drop(running.insert(id, check)),
                // One that is another now ends here.
                Some(_) | None => fresh.push((upstream, index, config)),
            }
        }
        self.forget(before, snapshot);
        let beginning = fresh.len();
        for (upstream, index, config) in fresh {
            running.insert(upstream.endpoints[index].id, self.begin(upstream, index, config, beginning));
        }
    }

    fn begin(&self, upstream: &Upstream, index: usize, config: Arc<HealthCheck>, beginning: usize) -> Check {
        let (endpoint, state) = (&upstream.endpoints[index], upstream.state(index));
        let mut records = self.context.records.lock().unwrap_or_else(PoisonError::into_inner);
        let record = records.entry(endpoint.id).or_insert_with(|| Record::new(Instant::now()));
        record.begin_anew();
        let target = Target::new(upstream, endpoint, Arc::clone(&config));
        let task = tokio::spawn(task::run(self.context.clone(), target, beginning));
        Check { task, target: upstream.target(endpoint), config, state: Arc::clone(state) }
    }

    fn forget(&self, ended: HashMap<Id, Check>, snapshot: &Snapshot) {
        let mut records = self.context.records.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, check) in ended {
            records.remove(&id);
            if check.state.obstruct(Obstacle::Unhealthy, false) {
                tell_unchecked(snapshot, id);
            }
        }
    }
}

/// An endpoint that was unhealthy has no check any more. Of one that left the config there is nothing to tell.
fn tell_unchecked(snapshot: &Snapshot, id: Id) {
    for upstream in &snapshot.upstreams {
        if let Some(endpoint) = upstream.endpoints.iter().find(|endpoint| endpoint.id == id) {
            let (upstream, endpoint) = (&*upstream.name, &*endpoint.name);
            tracing::info!(
                upstream,
                endpoint,
                "health check turned off: an unhealthy endpoint is taken for healthy"
            );
        }
    }
}

/// The endpoints that are to be checked, by upstream and index, and how.
fn wanted(snapshot: &Snapshot) -> impl Iterator<Item = (&Upstream, usize, Arc<HealthCheck>)> {
    snapshot.upstreams.iter().flat_map(|upstream| {
        let config = upstream.config.health_check.clone().map(Arc::new);
        let of = move |config: Arc<HealthCheck>| {
            (0..upstream.endpoints.len()).map(move |index| (&**upstream, index, Arc::clone(&config)))
        };
        config.into_iter().flat_map(of)
    })
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks").finish_non_exhaustive()
    }
}
