//! The checks of one endpoint, one after another.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use super::probe;
use crate::config::HealthCheck;
use crate::net::connect;
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
    /// Where the check goes, which may be another port, and how the endpoint is spoken to.
    target: connect::Target,
    config: Arc<HealthCheck>,
}

impl Target {
    pub(super) fn new(upstream: &Upstream, endpoint: &Endpoint, config: Arc<HealthCheck>) -> Self {
        let mut target = upstream.target(endpoint);
        if let Some(port) = config.port {
            target.address.set_port(port.get());
            if target.address != endpoint.address {
                // A port of its own is not taken for one that expects a PROXY header.
                target.opening.clear();
            }
        }
        Self {
            id: endpoint.id,
            upstream: Arc::clone(&upstream.name),
            endpoint: Arc::clone(&endpoint.name),
            target,
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
        let finding = Box::pin(probe::ask(&target.target, &target.config)).await;
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
    let mut figures = context.figures.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((pool, index)) = figures.place(target.id) else { return };
    let snapshot = context.snapshots.load();
    let is_it =
        |upstream: &&Arc<Upstream>| upstream.endpoints.get(index).is_some_and(|one| one.id == target.id);
    // A snapshot is followed just before it is in force.
    let Some(upstream) = snapshot.upstreams.get(pool).filter(is_it) else { return };
    if is_healthy {
        let now = std::time::Instant::now();
        figures.returns(upstream, index, now);
        figures.passed_health_check(target.id, now);
    }
    upstream.state(index).obstruct(Obstacle::Unhealthy, !is_healthy);
    upstream.reopen_soon();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::policy::availability::Access;
    use crate::policy::score::Outcome;

    /// A pool of so many that are checked, with a slow start.
    fn context(endpoints: usize) -> Context {
        let endpoints: Vec<String> = (1..=endpoints).map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let text = format!(
            "listeners: {{ web: {{ address: \"127.0.0.1:0\" }} }}\n\
             upstreams: {{ shop: {{ endpoints: [{}], slow_start: 10s, health_check: {{ path: / }} }} }}\n\
             routes: [ {{ upstream: shop }} ]\n",
            endpoints.join(", ")
        );
        let config = config::parse("shop.yaml", &text, &|_| None).expect("a good config").config;
        let snapshot = crate::snapshot::build(config, None, None, &|_, _| Ok(vec![])).expect("no names");
        let context = Context {
            snapshots: Arc::new(ArcSwap::from_pointee(snapshot)),
            figures: aggregate::Shared::default(),
            records: Records::default(),
            permits: Arc::new(Semaphore::new(1)),
        };
        let figures = Arc::clone(&context.figures);
        figures.lock().expect("whole").follow(&context.snapshots.load(), std::time::Instant::now());
        context
    }

    /// What is found of one endpoint.
    fn find(context: &Context, index: usize, is_healthy: bool) {
        let upstream = Arc::clone(&context.snapshots.load().upstreams[0]);
        let config = upstream.config.health_check.clone().map(Arc::new).expect("it is checked");
        let target = Target::new(&upstream, &upstream.endpoints[index], config);
        act(context, &target, is_healthy);
    }

    fn tick(context: &Context) {
        let mut figures = context.figures.lock().expect("whole");
        figures.publish(&context.snapshots.load(), std::time::Instant::now());
    }

    #[test]
    fn a_small_pool_acts_on_a_verdict_at_once_and_a_large_one_once_per_tick() {
        for (endpoints, at_once) in [(4, true), (64, true), (65, false), (1000, false)] {
            let context = context(endpoints);
            let upstream = Arc::clone(&context.snapshots.load().upstreams[0]);
            let open = || upstream.state(1).gives(Access::Open);
            for is_healthy in [false, true] {
                find(&context, 1, is_healthy);
                assert_eq!(open() == is_healthy, at_once, "{endpoints}");
                tick(&context);
                assert_eq!(open(), is_healthy, "{endpoints}");
            }
        }
    }

    #[test]
    fn thirty_that_recover_together_leave_the_penalty_of_a_dead_one() {
        let context = context(32);
        let upstream = Arc::clone(&context.snapshots.load().upstreams[0]);
        (0..9).for_each(|_| upstream.state(31).observe(Outcome::Failure));
        (0..30).for_each(|index| find(&context, index, false));
        (0..30).for_each(|index| find(&context, index, true));
        assert_eq!(upstream.state(31).penalty(), 128, "it fades with time, not with the others' checks");
        let ramps = [0, 29, 30].map(|index| upstream.state(index).ramp());
        assert_eq!(ramps, [0.1, 0.1, 1.0], "they begin slowly before the next tick");
        tick(&context);
        assert_eq!(upstream.state(31).penalty(), 112);
    }
}
