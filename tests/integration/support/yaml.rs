//! A config file, part by part: what a test does not name is the same in all of them.

use std::fmt;
use std::net::SocketAddr;

use super::{Origin, Proxy};

/// One listener `web`, one upstream `shop`, one route `all` to it, and an admin server, until told otherwise. Parts are
/// given as in `idle: 1s, request: 2s`.
#[derive(Clone)]
pub struct Yaml {
    listeners: String,
    shop: String,
    upstreams: String,
    routes: String,
    admin: String,
    drain_timeout: String,
    workers: usize,
    rest: String,
}

impl Yaml {
    /// `shop` is the YAML of that upstream.
    pub fn new(shop: &str) -> Self {
        Self {
            listeners: "web: { address: \"127.0.0.1:0\" }".into(),
            shop: shop.into(),
            upstreams: String::new(),
            routes: "{ name: all, match: { path_prefix: / }, upstream: shop }".into(),
            admin: "{ address: \"127.0.0.1:0\" }".into(),
            drain_timeout: "5s".into(),
            workers: 2,
            rest: String::new(),
        }
    }

    /// `shop` has these endpoints, and balances by `strategy`.
    pub fn of(strategy: &str, origins: &[&Origin]) -> Self {
        Self::new(&format!("strategy: {strategy}, endpoints: {}", endpoints(origins)))
    }

    /// `shop` has these endpoints, and takes them in turn.
    pub fn before(origins: &[&Origin]) -> Self {
        Self::of("round_robin", origins)
    }

    /// `shop` has one endpoint, where nothing of the test's own may answer.
    pub fn before_address(address: SocketAddr) -> Self {
        Self::new(&format!("strategy: round_robin, endpoints: [\"{address}\"]"))
    }

    /// In place of the listener `web`.
    pub fn listeners(mut self, yaml: &str) -> Self {
        self.listeners = yaml.into();
        self
    }

    /// In place of `web` without `limits`.
    pub fn limits(self, yaml: &str) -> Self {
        self.listeners(&format!("web: {{ address: \"127.0.0.1:0\", limits: {{ {yaml} }} }}"))
    }

    /// `connection` of `shop`.
    pub fn connection(mut self, yaml: &str) -> Self {
        self.shop = format!("{}, connection: {{ {yaml} }}", self.shop);
        self
    }

    /// Beside `shop`.
    pub fn upstream(mut self, yaml: &str) -> Self {
        self.upstreams = format!("{}, {yaml}", self.upstreams);
        self
    }

    /// In place of the route `all`.
    pub fn routes(mut self, yaml: &str) -> Self {
        self.routes = yaml.into();
        self
    }

    /// In place of `all` without more keys.
    pub fn route(self, yaml: &str) -> Self {
        self.routes(&format!("{{ name: all, match: {{ path_prefix: / }}, upstream: shop, {yaml} }}"))
    }

    /// In place of an admin server on a free port.
    pub fn admin(mut self, yaml: &str) -> Self {
        self.admin = yaml.into();
        self
    }

    /// In place of 5 s.
    pub fn drain_timeout(mut self, duration: &str) -> Self {
        self.drain_timeout = duration.into();
        self
    }

    /// In place of 2. With 1, there is one pool of connections and one turn of round robin.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// One more line at the end.
    pub fn line(mut self, yaml: &str) -> Self {
        self.rest = format!("{}{yaml}\n", self.rest);
        self
    }

    /// A proxy that runs on it.
    pub fn start(&self) -> Proxy {
        Proxy::start(&self.to_string())
    }
}

impl fmt::Display for Yaml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listeners, shop, upstreams, routes, admin, drain_timeout, workers, rest } = self;
        writeln!(f, "workers: {workers}")?;
        writeln!(f, "listeners: {{ {listeners} }}")?;
        writeln!(f, "upstreams: {{ shop: {{ {shop} }}{upstreams} }}")?;
        writeln!(f, "routes: [ {routes} ]")?;
        writeln!(f, "admin: {admin}")?;
        write!(f, "shutdown: {{ drain_timeout: {drain_timeout} }}\n{rest}")
    }
}

/// `["127.0.0.1:1", "127.0.0.1:2"]`.
pub fn endpoints(origins: &[&Origin]) -> String {
    let addresses: Vec<String> = origins.iter().map(|origin| format!("\"{}\"", origin.address())).collect();
    format!("[{}]", addresses.join(", "))
}
