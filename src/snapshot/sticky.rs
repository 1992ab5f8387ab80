//! Cookies of Tillgate's own, with what seals them.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderValue};

use super::{Endpoint, Upstream};
use crate::config::{self, Config, Cookie};
use crate::policy::cookies;
use crate::policy::seal::{Mark, Opened, Seal, SealingKey, key_of};

/// Cookies of one name that are looked at in one request; a client that has more has made them up.
const MOST_TRIED: usize = 4;

/// One cookie, as the config describes it, and the seal of its values.
#[derive(Debug)]
pub struct OwnCookie {
    config: Cookie,
    seal: Seal,
}

impl OwnCookie {
    /// `purpose`: no value for another one is taken.
    fn new(config: &Cookie, purpose: String) -> Self {
        let keys: Vec<SealingKey> = match config.secrets.as_slice() {
            [] => vec![*process_key()],
            secrets => secrets.iter().map(|secret| key_of(secret.reveal())).collect(),
        };
        Self { seal: Seal::new(purpose, keys, config.ttl.as_secs()), config: config.clone() }
    }

    /// The cookie that names an upstream of this route's split.
    pub fn for_split(config: &Cookie, route: &str) -> Self {
        Self::new(config, format!("split {route}"))
    }

    /// What the request's cookie says, if it has one that was set here. `now`: seconds since 1970.
    pub fn read(&self, headers: &HeaderMap, now: u64) -> Option<Opened> {
        let mut values = cookies::values(headers, &self.config.name).take(MOST_TRIED);
        values.find_map(|value| self.seal.open(value, now))
    }

    /// The `Set-Cookie` that names `mark`. `tls`: whether the client came by it.
    pub fn set(&self, mark: Mark, now: u64, tls: bool, rng: &mut fastrand::Rng) -> Option<HeaderValue> {
        cookies::set_cookie(&self.config, &self.seal.close(mark, now, rng)?, tls)
    }

    /// As configured.
    pub fn config(&self) -> &Cookie {
        &self.config
    }
}

/// The names of all cookies of our own, in order, each once.
pub(super) fn names(config: &Config) -> Box<[Box<str>]> {
    let sticky = config.upstreams.iter().filter_map(|upstream| upstream.sticky.as_ref());
    let splits = config.routes.iter().filter_map(|route| route.split.as_ref()?.cookie.as_ref());
    let names: BTreeSet<&str> = sticky.chain(splits).map(|cookie| cookie.name.as_str()).collect();
    names.into_iter().map(Box::from).collect()
}

/// For cookies without a secret. As old as the process, so that a reload ends nobody's session.
fn process_key() -> &'static SealingKey {
    static KEY: OnceLock<SealingKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let mut key = SealingKey::default();
        getrandom::fill(&mut key).expect("the system has random numbers");
        key
    })
}

/// What keeps clients with their endpoints.
#[derive(Debug)]
pub struct Sticky {
    /// Names the endpoint.
    pub cookie: OwnCookie,
    /// Index by index the upstream's endpoints.
    marks: Vec<Mark>,
    places: HashMap<Mark, usize>,
    /// What it came to so far; outlives a reload.
    pub counts: Arc<StickyCounts>,
}

/// Answered requests of a sticky upstream, by what their cookie came to.
#[derive(Debug, Default)]
pub struct StickyCounts {
    /// Answered by the endpoint that it named.
    pub kept: AtomicU64,
    /// There was none, or none that is good.
    pub new: AtomicU64,
    /// Answered by another endpoint than the one that it named.
    pub moved: AtomicU64,
}

impl StickyCounts {
    /// Each with its word in the metrics.
    pub fn each(&self) -> [(&'static str, u64); 3] {
        [("kept", &self.kept), ("new", &self.new), ("moved", &self.moved)]
            .map(|(word, count)| (word, count.load(Relaxed)))
    }
}

impl Sticky {
    pub(super) fn build(
        config: &config::Upstream,
        endpoints: &[Endpoint],
        known: Option<&Arc<Upstream>>,
    ) -> Option<Self> {
        let cookie = OwnCookie::new(config.sticky.as_ref()?, format!("sticky {}", config.name));
        let counts = known.and_then(|known| known.sticky.as_ref()).map(|known| Arc::clone(&known.counts));
        let marks: Vec<Mark> = endpoints.iter().map(|endpoint| Mark::of(&endpoint.name)).collect();
        let places = marks.iter().copied().zip(0..).collect();
        Some(Self { cookie, marks, places, counts: counts.unwrap_or_default() })
    }

    /// The endpoint that a mark stands for, if there still is such a one.
    pub fn endpoint(&self, mark: Mark) -> Option<usize> {
        self.places.get(&mark).copied()
    }

    /// What stands for an endpoint.
    pub fn mark(&self, endpoint: usize) -> Mark {
        self.marks[endpoint]
    }
}
