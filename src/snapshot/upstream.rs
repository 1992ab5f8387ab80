//! One upstream of a snapshot: its endpoints, what the workers share of them, and what is carried over from the snapshot
//! before.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustls::pki_types::ServerName;

use super::resolve::Resolved;
use super::{Id, Sticky};
use crate::config::{self, Connection, Host, Strategy};
use crate::net::connect::Target;
use crate::net::connect::tls::{ClientTls, Tls};
use crate::pki::Credential;
use crate::policy::admission::{Admission, Bounds};
use crate::policy::availability::{self, Access, Member};
use crate::policy::balance::Balancer;
use crate::policy::endpoint::{Candidate, EndpointState};
use crate::policy::hedge::{Load, Members};
use crate::policy::proxy_header;
use crate::policy::retry::Budget;
use crate::policy::score::Settings;

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
    /// How busy its endpoints usually are, as far as its reads are hedged; outlives a reload.
    pub load: Arc<Load>,
    /// Whom to believe, where connections are encrypted.
    tls: Option<Arc<ClientTls>>,
    /// Whether a route to it has a target for its p99.
    watched: bool,
    panics: AtomicBool,
    /// Whether its endpoints have room for second copies.
    spares: AtomicBool,
    /// Whether something has become known since the last decision, which the next tick is to take anew.
    due: AtomicBool,
}

impl Upstream {
    /// How connections are made and kept.
    pub fn connection(&self) -> &Connection {
        &self.config.connection
    }

    /// What is shown to endpoints that ask who calls.
    pub fn credential(&self) -> Option<&Credential> {
        self.tls.as_ref()?.credential.as_ref()
    }

    /// How an endpoint is reached.
    pub fn target(&self, endpoint: &Endpoint) -> Target {
        let tls = self.tls.as_ref().zip(endpoint.server_name.as_ref());
        Target {
            address: endpoint.address,
            protocol: self.config.protocol,
            tls: tls.map(|(shared, name)| Tls::new(shared, name)),
            // Nobody's, as it is for checks; the pool knows for whom it connects.
            opening: proxy_header::write(self.connection().proxy_protocol, None),
        }
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
        self.spares.store(self.members().are_fit(), Ordering::Relaxed);
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

    /// Whether so few endpoints are out that the others have room for second copies of slow reads.
    pub fn has_to_spare(&self) -> bool {
        self.spares.load(Ordering::Relaxed)
    }

    fn members(&self) -> Members {
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
    /// What its certificate has to be for, where there is TLS.
    pub server_name: Option<ServerName<'static>>,
}

/// The upstream that follows `known`, which it is itself where nothing differs. `watched`: a route to it has a target for
/// its p99.
pub(super) fn build(
    config: &config::Upstream,
    watched: bool,
    addresses: &[Resolved<'_>],
    tls: Option<ClientTls>,
    known: Option<&Arc<Upstream>>,
) -> Arc<Upstream> {
    let tls = tls.map(|tls| renewed(tls, config, known));
    let same_tls = |known: &Upstream| match (&known.tls, &tls) {
        (Some(known), Some(tls)) => Arc::ptr_eq(known, tls),
        (known, tls) => known.is_none() && tls.is_none(),
    };
    let same =
        |known: &&Arc<Upstream>| known.config == *config && known.watched == watched && same_tls(known);
    if let Some(known) = known.filter(|known| same(known) && same_addresses(known, addresses)) {
        return Arc::clone(known);
    }
    let carried = carried(known);
    let endpoints: Vec<Endpoint> =
        addresses.iter().map(|resolved| build_endpoint(config, resolved, &carried)).collect();
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
        load: known.map_or_else(Arc::default, |known| Arc::clone(&known.load)),
        tls,
        watched,
        spares: AtomicBool::new(known.is_none_or(|known| known.has_to_spare())),
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

/// The one before, where nothing about it is new, so that connections and sessions live on.
fn renewed(tls: ClientTls, config: &config::Upstream, known: Option<&Arc<Upstream>>) -> Arc<ClientTls> {
    let same =
        |known: &&Arc<Upstream>| known.config.tls == config.tls && known.config.protocol == config.protocol;
    let known = known.filter(same).and_then(|known| known.tls.as_ref());
    known.filter(|known| known.is_like(&tls)).map_or_else(|| Arc::new(tls), Arc::clone)
}

/// What the certificate of an endpoint has to be for: as configured, or its host as it stands in the config.
fn server_name(config: &config::Upstream, endpoint: &config::Endpoint) -> Option<ServerName<'static>> {
    let configured = config.tls.as_ref()?.server_name.as_ref();
    let name = match (configured, &endpoint.address.host) {
        (Some(name), _) | (None, Host::Name(name)) => name.clone(),
        (None, Host::Ip(ip)) => ip.to_string(),
    };
    ServerName::try_from(name).ok()
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

fn build_endpoint(config: &config::Upstream, resolved: &Resolved<'_>, carried: &Carried<'_>) -> Endpoint {
    let known = carried.get(&resolved.address).map(|(endpoint, _)| *endpoint);
    Endpoint {
        id: known.map_or_else(Id::next, |known| known.id),
        name: known.map_or_else(|| Arc::from(resolved.address.to_string()), |known| Arc::clone(&known.name)),
        address: resolved.address,
        weight: resolved.config.weight,
        backup: resolved.config.backup,
        max_connections: resolved.config.max_connections,
        server_name: server_name(config, resolved.config),
    }
}
