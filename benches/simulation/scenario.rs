//! A scenario as a value: who serves, how much is asked, what changes when.

use std::time::Duration;

use super::balance::Fleet;
use super::endpoint::{Behaviour, Endpoint};
use super::law::Law;

/// One world to be run with every strategy.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: &'static str,
    /// In a few words, for the table.
    pub about: &'static str,
    /// Those that join later stand last.
    pub endpoints: Vec<Endpoint>,
    /// Requests per second over all proxies; arrivals are a Poisson process.
    pub rate: f64,
    /// Arrivals end then; what is under way is waited for.
    pub length: Duration,
    /// What arrives before is left out of all figures.
    pub warm_up: Duration,
    /// The share of requests that have route 1; the others have route 0.
    pub heavy: f64,
    /// Proxies that know nothing of one another; each request comes to one at random.
    pub proxies: usize,
    pub change: Option<Change>,
}

/// What to watch: traffic should leave `endpoint` soon after `worse` and be back soon after `better`.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub endpoint: usize,
    pub worse: Option<Duration>,
    pub better: Option<Duration>,
}

impl Scenario {
    /// 800 requests/s for a minute through one proxy.
    pub fn new(name: &'static str, about: &'static str, endpoints: Vec<Endpoint>) -> Self {
        Self {
            name,
            about,
            endpoints,
            rate: 800.0,
            length: Duration::from_secs(60),
            warm_up: Duration::from_secs(5),
            heavy: 0.0,
            proxies: 1,
            change: None,
        }
    }

    pub fn rate(self, rate: f64) -> Self {
        Self { rate, ..self }
    }

    pub fn seconds(self, seconds: u64) -> Self {
        Self { length: Duration::from_secs(seconds), ..self }
    }

    pub fn heavy(self, heavy: f64) -> Self {
        Self { heavy, ..self }
    }

    pub fn proxies(self, proxies: usize) -> Self {
        Self { proxies, ..self }
    }

    /// Watches the last endpoint from these seconds on.
    pub fn watch(self, worse: Option<u64>, better: Option<u64>) -> Self {
        let change = Change {
            endpoint: self.endpoints.len() - 1,
            worse: worse.map(Duration::from_secs),
            better: better.map(Duration::from_secs),
        };
        Self { change: Some(change), ..self }
    }

    pub fn fleet(&self) -> Fleet {
        let present = self.endpoints.iter().filter(|endpoint| endpoint.joins.is_zero()).count();
        Fleet { weights: self.endpoints.iter().map(|endpoint| endpoint.weight).collect(), present }
    }

    /// From when to when the shares are of interest: after the warm-up, or from a change to the next.
    pub fn shared(&self) -> (Duration, Duration) {
        match self.change {
            Some(Change { worse: Some(worse), better, .. }) => (worse, better.unwrap_or(self.length)),
            Some(Change { better: Some(better), .. }) => (better, self.length),
            _ => (self.warm_up, self.length),
        }
    }
}

impl Endpoint {
    pub fn weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    pub fn stalling(self) -> Self {
        Self { stalls: true, ..self }
    }

    pub fn joining(self, second: u64) -> Self {
        Self { joins: Duration::from_secs(second), ..self }
    }

    /// At most so many requests at a time, in every phase so far.
    pub fn servers(mut self, count: usize) -> Self {
        for (_, behaviour) in &mut self.phases {
            if let Behaviour::Serve { servers, .. } = behaviour {
                *servers = Some(count);
            }
        }
        self
    }

    /// Does something else from this second on.
    pub fn then(mut self, second: u64, behaviour: Behaviour) -> Self {
        self.phases.push((Duration::from_secs(second), behaviour));
        self
    }

    /// Serves with another mean from this second on.
    pub fn then_mean(self, second: u64, mean_ms: f64) -> Self {
        self.then(second, Behaviour::Serve { law: Law::exponential(mean_ms), servers: None })
    }
}
