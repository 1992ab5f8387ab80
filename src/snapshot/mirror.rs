//! Where copies of a route's requests go, and how many have.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::{Route, Upstream};
use crate::config::{self, Config, Share};
use crate::policy::network::canonical_host;

/// A copy that has no answer by then is given up, whatever the route allows.
const LONGEST: Duration = Duration::from_secs(30);

/// A route's mirror.
#[derive(Debug)]
pub struct Mirror {
    /// Index into [`Snapshot::upstreams`](super::Snapshot::upstreams).
    pub upstream: usize,
    /// How many requests are copied.
    pub percent: Share,
    /// Those with a larger body are not.
    pub max_body: u64,
    /// How long a copy may take.
    pub timeout: Duration,
    /// What became of the copies so far; outlives a reload.
    pub counts: Arc<MirrorCounts>,
    /// Whether some route sends its requests to the same upstream.
    pub serves_routes: bool,
    /// Index by index the endpoints of its upstream: whether it answers requests of the route under another name, and
    /// would get them twice.
    barred: Box<[bool]>,
    max_in_flight: u32,
}

/// Copies, by what became of them.
#[derive(Debug, Default)]
pub struct MirrorCounts {
    /// Got an answer.
    pub answered: AtomicU64,
    /// Got none: not connected, reset, too late.
    pub failed: AtomicU64,
    /// Not sent: too many were under way, or the upstream had no room.
    pub busy: AtomicU64,
    /// Not sent: the body was too large, or not at hand.
    pub body: AtomicU64,
    in_flight: AtomicU32,
}

impl MirrorCounts {
    /// Copies under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }
}

impl Mirror {
    pub(super) fn build(
        (config, route): (&Config, &config::Route),
        upstreams: &[Arc<Upstream>],
        indices: &HashMap<&str, usize>,
        carried: Option<&Route>,
    ) -> Option<Arc<Self>> {
        let mirror = route.mirror.as_ref()?;
        let known = carried.and_then(|route| route.mirror.as_ref());
        let upstream = indices[mirror.upstream.as_str()];
        let own = route.upstreams().map(|name| &*upstreams[indices[name]]);
        Some(Arc::new(Self {
            barred: barred(&route.name, own, &upstreams[upstream]),
            serves_routes: config
                .routes
                .iter()
                .flat_map(config::Route::upstreams)
                .any(|one| one == mirror.upstream),
            upstream,
            percent: mirror.percent,
            max_body: mirror.max_body,
            timeout: route.timeouts.request.map_or(LONGEST, |whole| whole.min(LONGEST)),
            counts: known.map_or_else(Arc::default, |known| Arc::clone(&known.counts)),
            max_in_flight: mirror.max_in_flight,
        }))
    }

    /// Whether an endpoint of its upstream must not get copies.
    pub fn bars(&self, endpoint: usize) -> bool {
        self.barred[endpoint]
    }

    /// Leave to send one more copy, until it is dropped; `None` and counted where too many are under way.
    pub fn place(self: &Arc<Self>) -> Option<Place> {
        if self.counts.in_flight.fetch_add(1, Relaxed) < self.max_in_flight {
            return Some(Place(Arc::clone(self)));
        }
        self.counts.in_flight.fetch_sub(1, Relaxed);
        self.counts.busy.fetch_add(1, Relaxed);
        None
    }
}

/// Not refused as the config's own words are: a name that leads elsewhere one day must not keep the proxy from its start.
fn barred<'a>(route: &str, own: impl Iterator<Item = &'a Upstream>, copied: &Upstream) -> Box<[bool]> {
    let answering: HashSet<(IpAddr, u16)> =
        own.flat_map(|own| &own.endpoints).map(|endpoint| place(endpoint.address)).collect();
    let barred = copied.endpoints.iter().map(|endpoint| {
        let is_barred = answering.contains(&place(endpoint.address));
        if is_barred {
            let (mirror, endpoint) = (&*copied.name, &*endpoint.name);
            tracing::warn!(route, mirror, endpoint, "gets no copies: it answers the requests themselves");
        }
        is_barred
    });
    barred.collect()
}

fn place(address: SocketAddr) -> (IpAddr, u16) {
    (canonical_host(address.ip()), address.port())
}

/// One copy under way.
#[derive(Debug)]
#[must_use = "the copy counts only while this lives"]
pub struct Place(Arc<Mirror>);

impl Place {
    /// Whose copy it is.
    pub fn mirror(&self) -> &Arc<Mirror> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.counts.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The endpoints of the mirror's upstream that get copies. Names lead to these addresses.
    fn copied(upstreams: &str, route: &str, names: &[(&str, &[&str])]) -> Vec<String> {
        let text = format!(
            "listeners: {{ web: {{ address: \"127.0.0.1:0\" }} }}\nupstreams: {{ {upstreams} }}\n\
             routes: [ {{ {route}, mirror: {{ upstream: next }} }} ]\n"
        );
        let config = config::parse("shop.yaml", &text, &|_| None).expect("a good config").config;
        let resolve = |name: &str, port: u16| {
            let (_, found) = names.iter().find(|(one, _)| *one == name).expect("a name of the test");
            Ok(found.iter().map(|ip| SocketAddr::new(ip.parse().expect("an address"), port)).collect())
        };
        let snapshot =
            crate::snapshot::build(config, None, None, &resolve).expect("all names lead somewhere");
        let mirror = snapshot.routes[0].mirror.as_ref().expect("a mirror");
        let next = &snapshot.upstreams[mirror.upstream].endpoints;
        let copied = next.iter().enumerate().filter(|(at, _)| !mirror.bars(*at));
        copied.map(|(_, one)| one.name.to_string()).collect()
    }

    #[test]
    fn an_endpoint_of_any_branch_gets_no_copies_whatever_it_is_called() {
        let upstreams = "one: { endpoints: [\"192.0.2.1:80\"] }, two: { endpoints: [\"two.test:80\"] }, \
                         next: { endpoints: [\"next.test:80\", \"192.0.2.2:81\"] }";
        let split = "split: [ { upstream: one, weight: 1 }, { upstream: two, weight: 0 } ]";
        let names = [
            ("two.test", &["192.0.2.2", "192.0.2.3"][..]),
            ("next.test", &["::ffff:192.0.2.1", "192.0.2.2", "192.0.2.4"][..]),
        ];
        assert_eq!(copied(upstreams, split, &names), ["192.0.2.4:80", "192.0.2.2:81"]);
    }

    #[test]
    fn a_name_of_this_host_is_this_host_by_either_protocol() {
        let upstreams = "one: { endpoints: [\"127.0.0.1:80\"] }, \
                         next: { endpoints: [\"localhost:80\", \"localhost:81\"] }";
        let names = [("localhost", &["::1", "127.0.0.1"][..])];
        assert_eq!(copied(upstreams, "upstream: one", &names), ["[::1]:81", "127.0.0.1:81"]);
    }
}
