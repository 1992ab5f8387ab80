//! The compiled config in force: immutable, numbered, swapped whole.
//!
//! Everything that can be worked out once is worked out here, so that a request only indexes. What lives longer than
//! one config (endpoint state, ids for metrics) is carried over from the previous snapshot by its full name.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::HeaderValue;

use crate::config::{self, Config, HeaderEdits, Hedge, Priority, Retry, Strategy, Timeouts, Upgrades};
use crate::policy::audience::Audience;
use crate::policy::balance::Balancer;
use crate::policy::cors::Cors;
use crate::policy::forward::TrustedProxies;
use crate::policy::hedge::Hedging;
use crate::policy::rate_limit::Limit;
use crate::policy::redirect::Redirect;
use crate::policy::rewrite::Rewrite;
use crate::policy::route::RouteTable;
use crate::telemetry::access_log::AccessLog;

mod compress;
mod fault;
mod mirror;
mod resolve;
mod routes;
mod split;
mod sticky;
mod tunnel;
mod upstream;

pub use compress::{CodingCounts, Compress, CompressCounts, Compressing};
pub use fault::Fault;
pub use mirror::{Mirror, MirrorCounts, Place};
pub use resolve::{Resolve, Unresolved};
pub use split::{Branch, Split};
pub use sticky::{OwnCookie, Sticky};
pub use tunnel::{OpenTunnel, TunnelCounts};
pub use upstream::{Endpoint, Upstream};

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
    /// Whether an upstream is told in PROXY headers which client connected to which address.
    pub names_clients: bool,
}

/// What is done with the requests of one route.
#[derive(Debug, Clone)]
pub struct Route {
    /// For records.
    pub id: Id,
    /// For logs and metrics.
    pub name: Arc<str>,
    /// Index into [`Snapshot::upstreams`]; of a split the first. Of a redirect it says nothing.
    pub upstream: usize,
    /// The upstreams that share its requests, if it has more than one.
    pub split: Option<Arc<Split>>,
    /// Where its clients are sent instead, if anywhere.
    pub redirect: Option<Arc<Redirect>>,
    /// What endpoints are asked for in place of what the client asked for.
    pub rewrite: Option<Arc<Rewrite>>,
    /// What is done to the headers of its requests.
    pub request_headers: Option<Arc<HeaderEdits>>,
    /// What is done to the headers of its answers.
    pub response_headers: Option<Arc<HeaderEdits>>,
    /// Which pages of other origins may read its answers.
    pub cors: Option<Arc<Cors>>,
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
    /// How its responses are compressed, if they are.
    pub compress: Option<Arc<Compress>>,
    /// Whether its clients get the endpoints' early hints.
    pub early_hints: bool,
    /// What goes first when its upstream is overloaded.
    pub priority: Priority,
    /// The target of its p99.
    pub slo: Option<Duration>,
    /// What its clients may switch to.
    pub upgrades: Upgrades,
    /// What became of that.
    pub tunnels: Arc<TunnelCounts>,
}

impl Route {
    /// What Host says to endpoints in place of what the client asked for.
    pub fn host(&self) -> Option<&HeaderValue> {
        self.rewrite.as_ref().and_then(|rewrite| rewrite.host.as_ref())
    }

    /// Indices of the upstreams that answer: one, those of the split, or none.
    pub fn upstreams(&self) -> impl Iterator<Item = usize> {
        let branches = self.split.iter().flat_map(|split| &split.branches);
        let one = (self.split.is_none() && self.redirect.is_none()).then_some(self.upstream);
        branches.map(|branch| branch.upstream).chain(one)
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

/// Compiles `config` into the snapshot that follows `previous`. It changes nothing that the two share: the new one may yet
/// be refused. [`Upstream::reopen`] and [`Upstream::enforce`] put it in force.
///
/// # Errors
/// Every endpoint whose name has no address, and every file for TLS that is of no use.
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
        names_clients: config.upstreams.iter().any(config::Upstream::names_clients),
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
        match resolve::addresses(upstream, resolve).and_then(|found| Ok((found, resolve::tls(upstream)?))) {
            Ok((addresses, tls)) => {
                let watched = watched.contains(upstream.name.as_str());
                built.push(upstream::build(
                    upstream,
                    watched,
                    &addresses,
                    tls,
                    known.get(upstream.name.as_str()).copied(),
                ))
            }
            Err(unresolved) => problems.extend(unresolved),
        }
    }
    if problems.is_empty() { Ok(built) } else { Err(problems) }
}
