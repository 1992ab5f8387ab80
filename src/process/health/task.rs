//! The checks of one endpoint, one after another.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use super::probe;
use crate::config::HealthCheck;
use crate::policy::endpoint::Obstacle;
use crate::policy::health::{self, Finding, Thresholds};
use crate::snapshot::{Endpoint, Id, Snapshot, Upstream};
use crate::telemetry::aggregate;
use crate::telemetry::health::Records;

/// What all checks share.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) snapshots: Arc<ArcSwap<Snapshot>>,
    pub(super) figures: aggregate::Shared,
    pub(super) records: Records,
    pub(super) permits: Arc<Semaphore>,
}

/// Who is checked, and how.
pub(super) struct Target {
    id: Id,
    upstream: Arc<str>,
    endpoint: Arc<str>,
    /// Where the check goes, which may be another port.
    address: SocketAddr,
    config: Arc<HealthCheck>,
}

impl Target {
    pub(super) fn new(upstream: &Upstream, endpoint: &Endpoint, config: Arc<HealthCheck>) -> Self {
        let mut address = endpoint.address;
        if let Some(port) = config.port {
            address.set_port(port.get());
        }
        Self {
            id: endpoint.id,
            upstream: Arc::clone(&upstream.name),
            endpoint: Arc::clone(&endpoint.name),
            address,
            config,
        }
    }

    fn thresholds(&self) -> Thresholds {
        Thresholds { rise: self.config.rise, fall: self.config.fall }
    }
}

/// Checks until it is aborted. `beginning` is how many begin together with it.
pub(super) async fn run(context: Context, target: Target, beginning: usize) {
    let interval = target.config.interval;
    let mut rng = fastrand::Rng::with_seed(fastrand::u64(..));
    sleep(health::first(beginning, interval, &mut rng)).await;
    loop {
        // Nobody closes it; without a permit there would be no bound.
        let Ok(permit) = context.permits.acquire().await else { return };
        let began = Instant::now();
        // Boxed, since ten thousand of these tasks wait while a few hundred ask.
        let finding = Box::pin(probe::ask(target.address, &target.config)).await;
        drop(permit);
        let Some(wait) = note(&context, &target, finding, &mut rng) else { return };
        sleep_until(began + wait).await;
    }
}

/// Counts what was found, and acts on it. How long after this check the next is due; `None` if nobody wants to know.
fn note(context: &Context, target: &Target, finding: Finding, rng: &mut fastrand::Rng) -> Option<Duration> {
    if let Finding::Untried(why) = &finding {
        tracing::debug!(upstream = &*target.upstream, endpoint = &*target.endpoint, why, "cannot check");
    }
    let mut records = context.records.lock().unwrap_or_else(PoisonError::into_inner);
    let record = records.get_mut(&target.id)?;
    let change = record.note(finding, target.thresholds(), Instant::now().into_std());
    let (wait, why) = (record.next(target.config.interval, rng), record.last_error.clone());
    drop(records);
    if let Some(is_healthy) = change {
        tell(target, is_healthy, why.as_deref().unwrap_or_default());
        act(context, target, is_healthy);
    }
    Some(wait)
}

fn tell(target: &Target, is_healthy: bool, why: &str) {
    let Target { upstream, endpoint, .. } = target;
    if is_healthy {
        tracing::info!(upstream = &**upstream, endpoint = &**endpoint, "endpoint is healthy again");
    } else {
        tracing::warn!(upstream = &**upstream, endpoint = &**endpoint, why, "endpoint is unhealthy");
    }
}

/// Lets the pool in force know. A snapshot that is being built learns of it when it takes effect.
fn act(context: &Context, target: &Target, is_healthy: bool) {
    let snapshot = context.snapshots.load();
    let Some(upstream) = snapshot.upstreams.iter().find(|upstream| upstream.name == target.upstream) else {
        return;
    };
    let Some(index) = upstream.endpoints.iter().position(|endpoint| endpoint.id == target.id) else { return };
    upstream.state(index).obstruct(Obstacle::Unhealthy, !is_healthy);
    if is_healthy {
        let mut figures = context.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let now = std::time::Instant::now();
        figures.returns(upstream, index, now);
        figures.passed_health_check(target.id, now);
    }
    upstream.reopen();
}
