//! One worker's side of the snapshot: the snapshot itself, and beside each of its endpoints what the worker does not
//! share (cursors, connections).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::{ArcSwap, Cache};
use http::HeaderValue;

use super::admission::Queue;
use super::body::RequestBody;
use crate::config::Strategy;
use crate::net::pool::Pool;
use crate::net::timers::Timers;
use crate::policy::availability::Access;
use crate::policy::balance::{Balancer, Cursor};
use crate::snapshot::{Id, Route, Snapshot, Upstream};
use crate::telemetry::recorder::Recorder;

/// What one worker has to serve requests with.
#[derive(Debug)]
pub struct Worker {
    /// Its deadlines.
    pub timers: Rc<Timers>,
    /// Where it notes finished requests.
    pub recorder: Recorder,
    /// For balancing and request ids.
    pub rng: RefCell<fastrand::Rng>,
    snapshots: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    view: RefCell<Rc<View>>,
    date: RefCell<HeaderValue>,
    dated: Cell<u64>,
    stopping: Cell<bool>,
}

impl Worker {
    /// A worker on the snapshot of this moment.
    pub fn new(snapshots: Arc<ArcSwap<Snapshot>>, recorder: Recorder, seed: u64) -> Rc<Self> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let view = View::new(snapshots.load_full(), None, &mut rng);
        recorder.use_log(view.snapshot.access_log.as_ref());
        let worker = Self {
            timers: Timers::new(Instant::now()),
            recorder,
            rng: RefCell::new(rng),
            snapshots: RefCell::new(Cache::new(snapshots)),
            view: RefCell::new(Rc::new(view)),
            date: RefCell::new(HeaderValue::from_static("")),
            dated: Cell::new(0),
            stopping: Cell::new(false),
        };
        worker.tell_date();
        Rc::new(worker)
    }

    /// The view of the snapshot in force. A request takes it once and uses it to its end.
    pub fn view(&self) -> Rc<View> {
        let mut snapshots = self.snapshots.borrow_mut();
        let snapshot = snapshots.load();
        let mut view = self.view.borrow_mut();
        if snapshot.generation != view.snapshot.generation {
            *view = Rc::new(View::new(Arc::clone(snapshot), Some(&view), &mut self.rng.borrow_mut()));
            self.recorder.use_log(snapshot.access_log.as_ref());
        }
        Rc::clone(&view)
    }

    /// Seconds since 1970, at most a tick old.
    pub fn unix_time(&self) -> u64 {
        self.dated.get()
    }

    /// The value of a `Date` header for now.
    pub fn date(&self) -> HeaderValue {
        self.date.borrow().clone()
    }

    /// What still runs is about to be cut off.
    pub fn stop(&self) {
        self.stopping.set(true);
    }

    /// Whether what ends now is cut off, rather than given up by its client.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// What is due every [`TICK`](crate::net::timers::TICK).
    pub fn tick(&self, now: Instant) {
        self.tell_date();
        self.timers.sweep(now);
        let view = self.view();
        view.expire_connections(now);
        view.upstreams.iter().for_each(UpstreamView::pay_in);
        self.recorder.flush();
    }

    fn tell_date(&self) {
        let now = SystemTime::now();
        let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.dated.replace(second) {
            let date = HeaderValue::try_from(httpdate::fmt_http_date(now));
            self.date.replace(date.expect("a formatted date is visible ASCII"));
        }
    }
}

/// A snapshot with one worker's own state beside it.
#[derive(Debug)]
pub struct View {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    upstreams: Vec<UpstreamView>,
    /// The places of routes' own balancers, index by index the routes.
    cursors: Vec<Option<RefCell<Cursor>>>,
}

/// How the requests of one route are balanced on this worker.
#[derive(Debug, Clone, Copy)]
pub struct Balancing<'a> {
    /// As configured.
    pub strategy: &'a Strategy,
    /// The strategy at work.
    pub balancer: &'a Balancer,
    /// The balancer's place.
    pub cursor: &'a RefCell<Cursor>,
}

/// One worker's state of one upstream.
#[derive(Debug)]
pub struct UpstreamView {
    /// The upstream.
    pub upstream: Arc<Upstream>,
    cursor: RefCell<Cursor>,
    /// Hundredths of retries that its requests have earned, and that the others do not know of yet.
    earned: Cell<u32>,
    /// Connections, index by index the upstream's endpoints.
    pub pools: Vec<Rc<Pool<RequestBody>>>,
    /// Where requests wait for the upstream; `None` where nothing bounds them.
    pub queue: Option<Rc<Queue>>,
}

impl View {
    fn new(snapshot: Arc<Snapshot>, previous: Option<&View>, rng: &mut fastrand::Rng) -> Self {
        let known = previous.map(View::pools_by_id).unwrap_or_default();
        let queues = previous.map(View::queues_by_name).unwrap_or_default();
        let upstreams = snapshot.upstreams.iter();
        let upstreams = upstreams.map(|upstream| UpstreamView::new(upstream, &known, &queues, rng)).collect();
        let mut cursor = |route: &Route| {
            let own = route.balancing.as_ref()?;
            Some(RefCell::new(own.balancer.cursor(rng)))
        };
        let cursors = snapshot.routes.iter().map(&mut cursor).collect();
        Self { snapshot, upstreams, cursors }
    }

    /// How a request of this route is balanced over an upstream of it: the route's own way, or the upstream's.
    pub fn balancing(&self, route: usize, upstream: usize) -> Balancing<'_> {
        let (own, cursor) = (&self.snapshot.routes[route], &self.cursors[route]);
        match (&own.balancing, cursor) {
            (Some(own), Some(cursor)) => {
                Balancing { strategy: &own.strategy, balancer: &own.balancer, cursor }
            }
            (_, _) => self.upstreams[upstream].balancing(),
        }
    }

    /// The upstream that a route's index names.
    pub fn upstream(&self, index: usize) -> &UpstreamView {
        &self.upstreams[index]
    }

    fn pools_by_id(&self) -> HashMap<Id, &Rc<Pool<RequestBody>>> {
        let pools = |view: &'_ UpstreamView| view.upstream.endpoints.len();
        let mut by_id = HashMap::with_capacity(self.upstreams.iter().map(pools).sum());
        for view in &self.upstreams {
            by_id.extend(view.upstream.endpoints.iter().map(|endpoint| endpoint.id).zip(&view.pools));
        }
        by_id
    }

    fn queues_by_name(&self) -> HashMap<&str, &Rc<Queue>> {
        self.upstreams.iter().filter_map(|view| Some((&*view.upstream.name, view.queue.as_ref()?))).collect()
    }

    fn expire_connections(&self, now: Instant) {
        for UpstreamView { upstream, pools, .. } in &self.upstreams {
            for (index, pool) in pools.iter().enumerate() {
                // Who gets nothing may be gone, and what waits there would break the first request that it gets again.
                match upstream.state(index).gives(Access::Draining) {
                    true => pool.expire(now),
                    false => pool.clear(),
                }
            }
        }
    }
}

impl UpstreamView {
    /// The upstream's own way to balance.
    pub fn balancing(&self) -> Balancing<'_> {
        let Self { upstream, cursor, .. } = self;
        Balancing { strategy: &upstream.config.strategy, balancer: &upstream.balancer, cursor }
    }

    /// A request has come, of which this share may be sent again.
    #[inline]
    pub fn earn_retries(&self, percent: u8) {
        self.earned.set(self.earned.get().saturating_add(percent.into()));
    }

    /// Takes one out of what may be sent again, if there is any left.
    pub fn take_retry(&self, now: Instant) -> bool {
        self.pay_in();
        self.upstream.budget.take(now)
    }

    fn pay_in(&self) {
        let earned = self.earned.take();
        if earned > 0 {
            self.upstream.budget.pay_in(earned);
        }
    }

    fn new(
        upstream: &Arc<Upstream>,
        known: &HashMap<Id, &Rc<Pool<RequestBody>>>,
        queues: &HashMap<&str, &Rc<Queue>>,
        rng: &mut fastrand::Rng,
    ) -> Self {
        let settings = upstream.connection();
        let pool = |endpoint: &crate::snapshot::Endpoint| {
            let target = upstream.target(endpoint);
            let kept = known.get(&endpoint.id).filter(|pool| pool.serves(&target, settings));
            kept.map_or_else(|| Pool::new(target, settings.clone()), |pool| Rc::clone(pool))
        };
        Self {
            cursor: RefCell::new(upstream.balancer.cursor(rng)),
            earned: Cell::new(0),
            pools: upstream.endpoints.iter().map(pool).collect(),
            queue: upstream.has_admission().then(|| queue(upstream, queues.get(&*upstream.name).copied())),
            upstream: Arc::clone(upstream),
        }
    }
}

/// The line that the worker had before this upstream, or a new one.
fn queue(upstream: &Upstream, known: Option<&Rc<Queue>>) -> Rc<Queue> {
    let timeout = upstream.config.queue.map(|queue| queue.timeout);
    match known.filter(|known| known.is_of(&upstream.admission)) {
        Some(known) => {
            known.wait_for(timeout);
            Rc::clone(known)
        }
        None => Queue::new(&upstream.admission, timeout),
    }
}
