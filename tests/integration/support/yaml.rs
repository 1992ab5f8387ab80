//! A config file, part by part: what a test does not name is the same in all of them.

use std::fmt;

use super::{Origin, endpoints};

/// One listener `web`, one upstream `shop`, one route `all` to it, and an admin server, until told otherwise.
#[derive(Clone)]
pub struct Yaml {
    listeners: String,
    upstreams: String,
    routes: String,
    admin: String,
    drain_timeout: String,
    workers: usize,
    rest: String,
}

impl Yaml {
    /// `upstream` is the YAML of `shop`.
    pub fn new(upstream: &str) -> Self {
        Self {
            listeners: "web: { address: \"127.0.0.1:0\" }".into(),
            upstreams: format!("shop: {{ {upstream} }}"),
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

    /// In place of the listener `web`.
    pub fn listeners(mut self, yaml: &str) -> Self {
        self.listeners = yaml.into();
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

    /// In place of 2.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// One more line at the end.
    pub fn line(mut self, yaml: &str) -> Self {
        self.rest = format!("{}{yaml}\n", self.rest);
        self
    }
}

impl fmt::Display for Yaml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listeners, upstreams, routes, admin, drain_timeout, workers, rest } = self;
        writeln!(f, "workers: {workers}")?;
        writeln!(f, "listeners: {{ {listeners} }}")?;
        writeln!(f, "upstreams: {{ {upstreams} }}")?;
        writeln!(f, "routes: [ {routes} ]")?;
        writeln!(f, "admin: {admin}")?;
        write!(f, "shutdown: {{ drain_timeout: {drain_timeout} }}\n{rest}")
    }
}
