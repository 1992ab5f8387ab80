//! The compiled config in force: immutable, numbered, swapped whole.
//!
//! Everything that can be worked out once is worked out here, so that a request only indexes. What lives longer than
//! one config (endpoint state, ids for metrics) is carried over from the previous snapshot by its full name.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::config::{self, Config, Connection, Hedge, Host, HostPort, Priority, Retry, Strategy, Timeouts};
use crate::policy::admission::{Admission, Bounds};
use crate::policy::audience::Audience;
use crate::policy::availability::{self, Access, Member};
use crate::policy::balance::Balancer;
use crate::policy::endpoint::{Candidate, EndpointState};
use crate::policy::forward::TrustedProxies;
use crate::policy::hedge::{Hedging, Members};
use crate::policy::rate_limit::Limit;
use crate::policy::retry::Budget;
use crate::policy::route::RouteTable;
use crate::policy::score::Settings;
use crate::telemetry::access_log::AccessLog;

mod fault;
mod mirror;
mod routes;
mod split;
mod sticky;

pub use fault::Fault;
pub use mirror::{Mirror, MirrorCounts, Place};
pub use split::{Branch, Split};
pub use sticky::{OwnCookie, Sticky};

/// Names something in records and metrics for as long as any snapshot knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u32);

impl Id {
    /// One that no other thing in this process has.
    pub fn next() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }

    /// As a number, for policy, which knows nothing of snapshots.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// One generation of the config.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up from 1 with each config that takes effect.
    pub generation: u64,
    /// What it was compiled from.
    pub config: Arc<Config>,
    /// Whose forwarding headers are believed.
    pub trusted: TrustedProxies,
    /// Finds the route of a request head, as an index into `routes`.
    pub table: RouteTable,
    /// In file order.
    pub routes: Vec<Route>,
    /// In file order.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Where finished requests are written, if anywhere.
    pub access_log: Option<Arc<AccessLog>>,
    /// Who is told which endpoint was picked, if anybody.
    pub audience: Option<Audience>,
    /// The names of all cookies of our own, in order: no endpoint gets them, whichever upstream they are for.
    pub own_cookies: Box<[Box<str>]>,
}

/// What is done with the requests of one route.
#[derive(Debug, Clone)]
pub struct Route {
    /// For records.
    pub id: Id,
    /// For logs and metrics.
    pub name: Arc<str>,
    /// Index into [`Snapshot::upstreams`]; of a split the first.
    pub upstream: usize,
    /// The upstreams that share its requests, if it has more than one.
    pub split: Option<Arc<Split>>,
    /// Where copies of its requests go, if anywhere.
    pub mirror: Option<Arc<Mirror>>,
    /// What is done to its requests on purpose, if anything.
    pub fault: Option<Arc<Fault>>,
    /// Its own way to pick among that upstream's endpoints, if it has one.
    pub balancing: Option<Override>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// How often each client may ask; most routes have none.
    pub rate_limits: Box<[Arc<Limit>]>,
    /// When a request that failed is sent again, if ever.
    pub retry: Option<Retry>,
    /// When a slow read is asked of a second endpoint as well, if ever.
    pub hedge: Option<Hedged>,
    /// Bytes of a request body; `u64::MAX` for no bound.
    pub max_body: u64,
    /// What goes first when its upstream is overloaded.
    pub priority: Priority,
    /// The target of its p99.
    pub slo: Option<Duration>,
}

impl Route {
    /// Indices of the upstreams that answer: one, or those of the split.
    pub fn upstreams(&self) -> impl Iterator<Item = usize> {
        let branches = self.split.iter().flat_map(|split| &split.branches);
        branches.map(|branch| branch.upstream).chain(self.split.is_none().then_some(self.upstream))
    }
}

/// How a route hedges.
#[derive(Debug, Clone)]
pub struct Hedged {
    /// As configured.
    pub policy: Hedge,
    /// What is measured and counted; outlives a reload.
    pub state: Arc<Hedging>,
}

/// A strategy in place of the upstream's.
#[derive(Debug, Clone)]
pub struct Override {
    /// As configured.
    pub strategy: Strategy,
    /// Picks an index into the upstream's endpoints, whose state it shares. Routes that balance the same upstream in
    /// the same way share one.
    pub balancer: Arc<Balancer>,
}

/// A pool of so many endpoints decides anew at each verdict; a larger one once per tick.
const REOPENED_AT_ONCE: usize = 64;

/// A named group of equivalent endpoints.
#[derive(Debug)]
pub struct Upstream {
    /// For logs and metrics.
    pub name: Arc<str>,
    /// What it was compiled from.
    pub config: config::Upstream,
    /// Picks an index into `endpoints`.
    pub balancer: Balancer,
    /// In file order; index by index the balancer's candidates.
    pub endpoints: Vec<Endpoint>,
    /// How many of its requests may be sent again; outlives a reload, or each would refill it.
    pub budget: Arc<Budget>,
    /// What keeps clients with their endpoints, if anything does.
    pub sticky: Option<Sticky>,
    /// How many of its requests are in flight and wait; outlives a reload.
    pub admission: Arc<Admission>,
    /// Whether a route to it has a target for its p99.
    watched: bool,
    panics: AtomicBool,
    /// Whether something has become known since the last decision, which the next tick is to take anew.
    due: AtomicBool,
}

impl Upstream {
    /// How connections are made and kept.
    pub fn connection(&self) -> &Connection {
        &self.config.connection
    }

    /// How its endpoints are scored.
    pub fn settings(&self) -> Settings {
        Settings { least_response: self.config.least_response, slow_start: self.config.slow_start }
    }

    /// An endpoint as balancers see it.
    pub fn candidate(&self, endpoint: usize) -> &Candidate {
        &self.balancer.candidates()[endpoint]
    }

    /// Works out which endpoints get requests from what is known against them, and lets every worker know.
    pub fn reopen(&self) {
        // Before anything is read: what becomes known meanwhile makes it due again.
        self.due.swap(false, Ordering::Acquire);
        let candidates = self.balancer.candidates();
        let member = |(endpoint, candidate): (&Endpoint, &Candidate)| Member {
            standing: candidate.state.standing(),
            weight: endpoint.weight,
            backup: endpoint.backup,
        };
        let members: Vec<Member> = self.endpoints.iter().zip(candidates).map(member).collect();
        let decision = availability::decide(&members, self.config.panic_threshold_percent);
        for (candidate, access) in candidates.iter().zip(decision.access) {
            candidate.state.allow(access);
        }
        self.admission.hold(self.capacity(), self.closed());
        if self.panics.swap(decision.panic, Ordering::Relaxed) != decision.panic {
            let what = if decision.panic {
                "too few endpoints are fit: health is ignored"
            } else {
                "health counts again"
            };
            tracing::warn!(upstream = &*self.name, "{what}");
        }
    }

    /// Reopens at once or, as that goes through all endpoints and thousands may change together, at the next tick.
    pub fn reopen_soon(&self) {
        if self.endpoints.len() <= REOPENED_AT_ONCE {
            self.reopen()
        } else {
            self.due.store(true, Ordering::Release)
        }
    }

    /// Reopens if that has been put off. For each tick.
    pub fn reopen_if_due(&self) {
        if self.due.load(Ordering::Acquire) {
            self.reopen();
        }
    }

    /// How many endpoints it has in use, and how many of them take requests.
    pub fn members(&self) -> Members {
        let candidates = self.balancer.candidates();
        let in_use = self.endpoints.iter().zip(candidates).filter(|(one, _)| one.weight > 0 && !one.backup);
        let is_open = |(_, candidate): &(&Endpoint, &Candidate)| candidate.state.gives(Access::Open);
        let (all, open) = (in_use.clone().count(), in_use.filter(is_open).count());
        Members { all, open, panic: self.panics() }
    }

    /// Whether so few endpoints are fit that health is ignored.
    pub fn panics(&self) -> bool {
        self.panics.load(Ordering::Relaxed)
    }

    /// Whether something bounds what it has in flight, or sheds: else no request asks for a permit.
    pub fn has_admission(&self) -> bool {
        self.config.queue.is_some() || self.config.adaptive_concurrency.is_some() || self.watched
    }

    /// Puts its limits in force: they are those of what it shares with the snapshot before it.
    pub fn enforce(&self) {
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            self.state(index).bound(endpoint.max_connections);
        }
        self.admission.bound(bounds(&self.config));
        self.admission.hold(self.capacity(), self.closed());
    }

    /// What its endpoints have room for, if each of those that get requests has a bound.
    fn capacity(&self) -> Option<u32> {
        let mut states = self.balancer.candidates().iter().map(|candidate| &candidate.state);
        let add = |sum: u32, most: Option<u32>| Some(sum.saturating_add(most?));
        let sum = states
            .by_ref()
            .filter(|state| state.gives(Access::Spare))
            .try_fold(0, |sum, state| add(sum, state.most()))?;
        // Nobody is there to wait for.
        (sum > 0).then_some(sum)
    }

    /// The endpoints that get nothing new. Spare ones do: what they have is of what the upstream may have.
    fn closed(&self) -> Vec<Arc<EndpointState>> {
        let states = self.balancer.candidates().iter().map(|candidate| &candidate.state);
        states.filter(|state| !state.gives(Access::Spare)).cloned().collect()
    }

    /// The live state of an endpoint.
    pub fn state(&self, endpoint: usize) -> &Arc<EndpointState> {
        &self.candidate(endpoint).state
    }
}

/// One address in an upstream.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// For records.
    pub id: Id,
    /// For logs, metrics and the admin API.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Share of the traffic.
    pub weight: u32,
    /// Whether it waits until no other is fit.
    pub backup: bool,
    /// Requests in flight there at most.
    pub max_connections: Option<u32>,
}

/// Finds the addresses of a name, as the system does.
pub type Resolve<'a> = &'a dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// An endpoint's name has no address.
#[derive(Debug)]
pub struct Unresolved {
    /// The upstream it belongs to.
    pub upstream: String,
    /// As it stands in the config.
    pub endpoint: String,
    /// What the resolver said.
    pub error: io::Error,
}

/// Compiles `config` into the snapshot that follows `previous`. It changes nothing that the two share: the new one may yet
/// be refused. [`Upstream::reopen`] and [`Upstream::enforce`] put it in force.
///
/// # Errors
/// Every endpoint whose name has no address.
pub fn build(
    config: Config,
    previous: Option<&Snapshot>,
    access_log: Option<Arc<AccessLog>>,
    resolve: Resolve<'_>,
) -> Result<Snapshot, Vec<Unresolved>> {
    let upstreams = build_upstreams(&config, previous, resolve)?;
    let routes = routes::build(&config, &upstreams, previous);
    Ok(Snapshot {
        generation: previous.map_or(1, |snapshot| snapshot.generation + 1),
        trusted: TrustedProxies::new(&config.trusted_proxies),
        table: RouteTable::new(config.routes.iter().map(|route| &route.matches)),
        routes,
        upstreams,
        access_log,
        audience: config.explain_header.clone().map(Audience::new),
        own_cookies: sticky::names(&config),
        config: Arc::new(config),
    })
}

fn build_upstreams(
    config: &Config,
    previous: Option<&Snapshot>,
    resolve: Resolve<'_>,
) -> Result<Vec<Arc<Upstream>>, Vec<Unresolved>> {
    let known: HashMap<&str, &Arc<Upstream>> =
        previous.iter().flat_map(|snapshot| &snapshot.upstreams).map(|known| (&*known.name, known)).collect();
    let watching = config.routes.iter().filter(|route| route.slo.is_some());
    let watched: HashSet<&str> = watching.flat_map(config::Route::upstreams).collect();
    let (mut built, mut problems) = (Vec::with_capacity(config.upstreams.len()), Vec::new());
    for upstream in &config.upstreams {
        match addresses(upstream, resolve) {
            Ok(addresses) => {
                let watched = watched.contains(upstream.name.as_str());
                built.push(build_upstream(
                    upstream,
                    watched,
                    &addresses,
                    known.get(upstream.name.as_str()).copied(),
                ))
            }
            Err(unresolved) => problems.extend(unresolved),
        }
    }
    if problems.is_empty() { Ok(built) } else { Err(problems) }
}

/// An endpoint's place in the config, and one address of it.
struct Resolved<'a> {
    config: &'a config::Endpoint,
    address: SocketAddr,
}

/// A name with several addresses stands for as many endpoints. An address that came up before is left out.
fn addresses<'a>(
    upstream: &'a config::Upstream,
    resolve: Resolve<'_>,
) -> Result<Vec<Resolved<'a>>, Vec<Unresolved>> {
    let (mut found, mut problems) = (Vec::<Resolved<'a>>::new(), Vec::new());
    let mut seen = HashSet::new();
    for config in &upstream.endpoints {
        match resolve_one(&config.address, resolve) {
            Ok(addresses) => {
                let fresh = addresses.into_iter().filter(|address| seen.insert(*address));
                found.extend(fresh.map(|address| Resolved { config, address }));
            }
            Err(error) => problems.push(Unresolved {
                upstream: upstream.name.clone(),
                endpoint: config.address.to_string(),
                error,
            }),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

fn resolve_one(address: &HostPort, resolve: Resolve<'_>) -> io::Result<Vec<SocketAddr>> {
    let found = match &address.host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, address.port)]),
        Host::Name(name) => resolve(name, address.port)?,
    };
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(found)
}

fn build_upstream(
    config: &config::Upstream,
    watched: bool,
    addresses: &[Resolved<'_>],
    known: Option<&Arc<Upstream>>,
) -> Arc<Upstream> {
    let same = |known: &&Arc<Upstream>| known.config == *config && known.watched == watched;
    if let Some(known) = known.filter(|known| same(known) && same_addresses(known, addresses)) {
        return Arc::clone(known);
    }
    let carried = carried(known);
    let endpoints: Vec<Endpoint> =
        addresses.iter().map(|resolved| build_endpoint(resolved, &carried)).collect();
    let epoch = known.map_or_else(Instant::now, |known| known.state(0).epoch());
    let fresh = |endpoint: &Endpoint| {
        let state = EndpointState::new(epoch);
        state.bound(endpoint.max_connections);
        Arc::new(state)
    };
    let state = |endpoint: &Endpoint| {
        carried.get(&endpoint.address).map_or_else(|| fresh(endpoint), |(_, state)| Arc::clone(state))
    };
    let candidate = |endpoint: &Endpoint| Candidate {
        address: endpoint.address,
        weight: endpoint.weight,
        backup: endpoint.backup,
        state: state(endpoint),
    };
    let upstream = Upstream {
        name: known.map_or_else(|| Arc::from(config.name.as_str()), |known| Arc::clone(&known.name)),
        balancer: balancer(&config.strategy, endpoints.iter().map(candidate).collect(), known),
        sticky: Sticky::build(config, &endpoints, known),
        endpoints,
        budget: known
            .map_or_else(|| Arc::new(Budget::new(Instant::now())), |known| Arc::clone(&known.budget)),
        admission: known.map_or_else(
            || Arc::new(Admission::new(bounds(config), Instant::now())),
            |known| Arc::clone(&known.admission),
        ),
        watched,
        panics: AtomicBool::new(known.is_some_and(|known| known.panics())),
        due: AtomicBool::new(false),
        config: config.clone(),
    };
    // Of a known one the state is shared with the config in force, which stays if this one is refused.
    if known.is_none() {
        upstream.reopen();
    }
    Arc::new(upstream)
}

/// Without a queue nobody waits.
fn bounds(config: &config::Upstream) -> Bounds {
    config.queue.map_or(Bounds::NONE, |queue| Bounds {
        in_flight: queue.max_in_flight,
        waiting: queue.max_waiting,
        wait: queue.timeout,
    })
}

/// What is costly about a balancer is taken over from the one before where it is the same.
fn balancer(strategy: &Strategy, candidates: Vec<Candidate>, known: Option<&Arc<Upstream>>) -> Balancer {
    match known {
        Some(known) => Balancer::renew(&known.balancer, strategy, candidates),
        None => Balancer::new(strategy, candidates),
    }
}

fn same_addresses(known: &Upstream, addresses: &[Resolved<'_>]) -> bool {
    known
        .endpoints
        .iter()
        .map(|endpoint| endpoint.address)
        .eq(addresses.iter().map(|resolved| resolved.address))
}

type Carried<'a> = HashMap<SocketAddr, (&'a Endpoint, &'a Arc<EndpointState>)>;

fn carried(known: Option<&Arc<Upstream>>) -> Carried<'_> {
    let Some(known) = known else { return Carried::new() };
    let states = known.balancer.candidates().iter().map(|candidate| &candidate.state);
    known.endpoints.iter().zip(states).map(|pair| (pair.0.address, pair)).collect()
}

fn build_endpoint(resolved: &Resolved<'_>, carried: &Carried<'_>) -> Endpoint {
    let known = carried.get(&resolved.address).map(|(endpoint, _)| *endpoint);
    Endpoint {
        id: known.map_or_else(Id::next, |known| known.id),
        name: known.map_or_else(|| Arc::from(resolved.address.to_string()), |known| Arc::clone(&known.name)),
        address: resolved.address,
        weight: resolved.config.weight,
        backup: resolved.config.backup,
        max_connections: resolved.config.max_connections,
    }
}
