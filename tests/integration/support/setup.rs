//! A config put together from the parts that a test cares about.

use std::net::SocketAddr;

use super::{Origin, Proxy, endpoints};

/// One listener `web`, one upstream `shop` by round robin, one route to it. YAML is given as in `idle: 1s, request: 2s`.
pub struct Setup {
    workers: usize,
    endpoints: String,
    limits: String,
    connection: String,
    route: String,
    rest: String,
}

impl Setup {
    /// In front of these origins.
    pub fn before(origins: &[&Origin]) -> Self {
        Self::of(endpoints(origins))
    }

    /// In front of one address, where nothing of the test's own may answer.
    pub fn before_address(address: SocketAddr) -> Self {
        Self::of(format!("[\"{address}\"]"))
    }

    fn of(endpoints: String) -> Self {
        let [limits, connection, route, rest] = [const { String::new() }; 4];
        Self { workers: 2, endpoints, limits, connection, route, rest }
    }

    /// A single worker, so that there is one pool of connections.
    pub fn one_worker(mut self) -> Self {
        self.workers = 1;
        self
    }

    /// `listeners.web.limits`.
    pub fn limits(mut self, yaml: &str) -> Self {
        self.limits = yaml.into();
        self
    }

    /// `upstreams.shop.connection`.
    pub fn connection(mut self, yaml: &str) -> Self {
        self.connection = yaml.into();
        self
    }

    /// More keys of the route.
    pub fn route(mut self, yaml: &str) -> Self {
        self.route = format!(", {yaml}");
        self
    }

    /// More lines at the top level.
    pub fn top(mut self, yaml: &str) -> Self {
        self.rest = yaml.into();
        self
    }

    /// The file.
    pub fn yaml(&self) -> String {
        let Self { workers, endpoints, limits, connection, route, rest } = self;
        format!(
            "workers: {workers}\n\
             listeners: {{ web: {{ address: \"127.0.0.1:0\", limits: {{ {limits} }} }} }}\n\
             upstreams:\n  shop: {{ strategy: round_robin, endpoints: {endpoints}, connection: {{ {connection} }} }}\n\
             routes: [ {{ name: all, match: {{ path_prefix: / }}, upstream: shop{route} }} ]\n\
             admin: {{ address: \"127.0.0.1:0\" }}\n\
             {rest}\n"
        )
    }

    /// A proxy that runs on it.
    pub fn start(self) -> Proxy {
        Proxy::start(&self.yaml())
    }
}
