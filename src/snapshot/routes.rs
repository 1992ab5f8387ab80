//! The routes of a snapshot, and the balancers of those that have a strategy of their own.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Instant;

use super::{Compress, Fault, Hedged, Id, Mirror, Override, Route, Snapshot, Split, Upstream};
use crate::config::{self, Config, HeaderEdits, Hedge, RateLimit, Strategy};
use crate::policy::balance::Balancer;
use crate::policy::cors::Cors;
use crate::policy::rate_limit::Limit;
use crate::policy::redirect::Redirect;
use crate::policy::rewrite::Rewrite;

/// All routes, in file order. What outlives a config is found again by the route's name.
pub(super) fn build(config: &Config, upstreams: &[Arc<Upstream>], previous: Option<&Snapshot>) -> Vec<Route> {
    let indices: HashMap<&str, usize> =
        upstreams.iter().enumerate().map(|(index, upstream)| (&*upstream.name, index)).collect();
    let known: HashMap<&str, &Route> =
        previous.iter().flat_map(|snapshot| &snapshot.routes).map(|route| (&*route.name, route)).collect();
    let mut overrides = Overrides { upstreams, previous, built: HashMap::new() };
    let build = |route: &config::Route| {
        let carried = known.get(route.name.as_str()).copied();
        let upstream = indices.get(route.upstream.as_str()).copied().unwrap_or_default();
        Route {
            id: carried.map_or_else(Id::next, |known| known.id),
            name: carried.map_or_else(|| Arc::from(route.name.as_str()), |known| Arc::clone(&known.name)),
            upstream,
            split: Split::build(route, &indices, carried),
            redirect: route.redirect.as_ref().map(|to| Arc::new(Redirect::new(to, &route.matches.path))),
            rewrite: route.rewrite.as_ref().map(|to| Arc::new(Rewrite::new(to, &route.matches.path))),
            request_headers: header_edits(&route.request_headers),
            response_headers: header_edits(&route.response_headers),
            cors: route.cors.as_ref().map(|cors| Arc::new(Cors::new(cors))),
            mirror: Mirror::build((config, route), upstreams, &indices, carried),
            fault: Fault::build(route, carried),
            balancing: route.strategy.as_ref().map(|strategy| overrides.of(strategy, upstream, carried)),
            timeouts: route.timeouts,
            rate_limits: rate_limits(&route.rate_limit, carried),
            retry: route.retry,
            hedge: route.hedge.map(|policy| hedged(policy, carried)),
            max_body: route.max_body.unwrap_or(u64::MAX),
            compress: Compress::build(route, carried),
            early_hints: route.early_hints,
            priority: route.priority,
            slo: route.slo,
            upgrades: route.upgrades.clone(),
            tunnels: carried.map_or_else(Arc::default, |known| Arc::clone(&known.tunnels)),
        }
    };
    config.routes.iter().map(build).collect()
}

fn header_edits(edits: &HeaderEdits) -> Option<Arc<HeaderEdits>> {
    (!edits.is_empty()).then(|| Arc::new(edits.clone()))
}

/// A limit that the route had already goes on from where it was: a reload gives nobody a new burst.
fn rate_limits(limits: &[RateLimit], carried: Option<&Route>) -> Box<[Arc<Limit>]> {
    let known = |config: &RateLimit| {
        let before = carried.iter().flat_map(|route| &route.rate_limits);
        before.into_iter().find(|limit| limit.config() == config).cloned()
    };
    let new = |config: &RateLimit| Arc::new(Limit::new(config.clone(), RandomState::new(), Instant::now()));
    limits.iter().map(|config| known(config).unwrap_or_else(|| new(config))).collect()
}

/// What is known of its reads, and what it has saved up, goes on from before.
fn hedged(policy: Hedge, carried: Option<&Route>) -> Hedged {
    let known = carried.and_then(|route| route.hedge.as_ref());
    Hedged { policy, state: known.map_or_else(Arc::default, |known| Arc::clone(&known.state)) }
}

/// The balancers of routes so far. One for each upstream and kind of strategy, so that a thousand routes with
/// `consistent_hash` have one table of 128 KiB and not a thousand.
struct Overrides<'a> {
    upstreams: &'a [Arc<Upstream>],
    previous: Option<&'a Snapshot>,
    built: HashMap<(usize, &'static str), Arc<Balancer>>,
}

impl Overrides<'_> {
    fn of(&mut self, strategy: &Strategy, upstream: usize, carried: Option<&Route>) -> Override {
        let balancer = match self.built.get(&(upstream, strategy.name())) {
            Some(built) => Arc::clone(built),
            None => self.renew(strategy, upstream, carried),
        };
        self.built.entry((upstream, strategy.name())).or_insert_with(|| Arc::clone(&balancer));
        Override { strategy: strategy.clone(), balancer }
    }

    /// The balancer that the route had, where strategy and upstream are still the same; else a new one over the
    /// candidates of the upstream, which costs no table where a balancer of either has it.
    fn renew(&self, strategy: &Strategy, upstream: usize, carried: Option<&Route>) -> Arc<Balancer> {
        let now = &self.upstreams[upstream];
        let before = carried.and_then(|route| Some((route, route.balancing.as_ref()?)));
        if let Some((route, known)) = before
            && known.strategy.name() == strategy.name()
            && self.previous.is_some_and(|previous| Arc::ptr_eq(&previous.upstreams[route.upstream], now))
        {
            return Arc::clone(&known.balancer);
        }
        let model = before.map_or(&now.balancer, |(_, known)| &known.balancer);
        Arc::new(Balancer::renew(model, strategy, now.balancer.candidates().to_vec()))
    }
}
