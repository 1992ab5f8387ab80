//! What the running process knows of its upstreams, from its `/api/v1/upstreams`.

use serde::Deserialize;

use crate::cli::admin_client::{self, Address};
use crate::config::{Admin, Priority};
use crate::policy::availability::Access;

/// Whom to ask.
#[derive(Debug)]
pub(super) enum Live {
    /// Nobody: `--offline`.
    Offline,
    /// Nobody, as it cannot be told where the process listens.
    Unknown(&'static str),
    /// The process whose admin server is here.
    At(Address),
}

impl Live {
    /// Where `--admin` says, or else the config.
    ///
    /// # Errors
    /// What is wrong with `--admin`.
    pub(super) fn find(typed: Option<&str>, offline: bool, config: &Admin) -> Result<Self, String> {
        match typed {
            _ if offline => Ok(Self::Offline),
            Some(typed) => Address::parse(typed).map(Self::At),
            None => Ok(Address::of(config).map_or_else(Self::Unknown, Self::At)),
        }
    }

    /// What the process says.
    ///
    /// # Errors
    /// Why it says nothing.
    pub(super) fn ask(&self) -> Result<Page, String> {
        match self {
            Self::Offline => Err("not asked (--offline)".to_owned()),
            Self::Unknown(why) => Err(format!("not asked: {why}")),
            Self::At(address) => ask(address).map_err(|why| format!("{address} {why}")),
        }
    }
}

fn ask(address: &Address) -> Result<Page, String> {
    let body = admin_client::get(address, "/api/v1/upstreams")?;
    serde_json::from_slice(&body).map_err(|error| format!("answers something else ({error})"))
}

/// `/api/v1/upstreams`, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) generation: u64,
    pub(super) upstreams: Vec<Pool>,
}

/// One upstream.
#[derive(Debug, Deserialize)]
pub(super) struct Pool {
    name: String,
    strategy: String,
    #[serde(default)]
    overrides: Vec<Override>,
    /// So few are fit that health is ignored.
    #[serde(default)]
    pub(super) panic: bool,
    /// `None` where nothing is bounded.
    #[serde(default)]
    pub(super) admission: Option<Admission>,
    pub(super) endpoints: Vec<Entry>,
}

/// What an upstream has taken in, and takes in.
#[derive(Debug, Deserialize)]
pub(super) struct Admission {
    pub(super) in_flight: u32,
    pub(super) limit: Option<u32>,
    pub(super) waiting: u32,
    admit_normal: f64,
    admit_sheddable: f64,
}

impl Admission {
    /// The share of requests of this priority that is let in.
    pub(super) fn admits(&self, priority: Priority) -> f64 {
        match priority {
            Priority::Critical => 1.0,
            Priority::Normal => self.admit_normal,
            Priority::Sheddable => self.admit_sheddable,
        }
    }
}

/// A route with a strategy of its own.
#[derive(Debug, Deserialize)]
struct Override {
    route: String,
    strategy: String,
}

/// One endpoint.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) address: String,
    pub(super) state: String,
    /// Those of a version that does not tell all do.
    #[serde(default = "yes")]
    pub(super) takes_requests: bool,
    #[serde(default)]
    access: String,
    #[serde(default)]
    max_connections: Option<u32>,
    #[serde(default)]
    pub(super) health: Option<Health>,
    pub(super) weight: u32,
    pub(super) in_flight: u32,
    pub(super) p99_ms: Option<f64>,
    pub(super) cost: Cost,
}

/// What its health check has found.
#[derive(Debug, Deserialize)]
pub(super) struct Health {
    pub(super) last_error: Option<String>,
}

/// What `least_response` compares, and its parts. Those that a version does not have are absent.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Cost {
    pub(super) total: Option<f64>,
    pub(super) latency: Option<f64>,
    pub(super) mean: Option<f64>,
    pub(super) fast: Option<f64>,
    pub(super) age: Option<f64>,
    pub(super) error: Option<f64>,
    pub(super) ramp: Option<f64>,
    pub(super) samples: Option<u64>,
}

fn yes() -> bool {
    true
}

impl Page {
    pub(super) fn pool(&self, name: &str) -> Option<&Pool> {
        self.upstreams.iter().find(|pool| pool.name == name)
    }
}

impl Pool {
    /// The strategy that requests of this route go by.
    pub(super) fn strategy_of(&self, route: &str) -> &str {
        let own = self.overrides.iter().find(|own| own.route == route);
        own.map_or(&self.strategy, |own| &own.strategy)
    }

    pub(super) fn entry(&self, address: &str) -> Option<&Entry> {
        self.endpoints.iter().find(|entry| entry.address == address)
    }
    /// Some are open, and all of those are full.
    pub(super) fn overflows(&self) -> bool {
        let mut open = self.endpoints.iter().filter(|entry| entry.takes_requests).peekable();
        open.peek().is_some() && open.all(Entry::is_full)
    }
}

impl Entry {
    /// It has as many requests in flight as it may.
    pub(super) fn is_full(&self) -> bool {
        self.max_connections.is_some_and(|most| self.in_flight >= most)
    }

    /// It gets what the open ones cannot take.
    pub(super) fn is_spare(&self) -> bool {
        self.access == Access::Spare.name()
    }
}
