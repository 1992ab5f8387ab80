//! The strategies that are compared, by name.

use tillgate::config;

use super::balance::{Balance, Fleet};
use super::envoy::LeastRequest;
use super::nginx::{Method, Nginx};
use super::peak_ewma::PeakEwma;
use super::tillgate::Tillgate;
use super::traefik::LeastTime;

/// The one that all this is about.
pub const OURS: &str = "least_response";

/// A way to balance, and how to make a balancer of it.
pub struct Strategy {
    pub name: &'static str,
    /// Whether it is somebody else's.
    pub rival: bool,
    pub build: fn(&Fleet, u64) -> Box<dyn Balance>,
}

/// Every strategy, in the order of the table.
pub static ALL: [Strategy; 11] = [
    ours(OURS, |fleet, seed| tillgate(config::Strategy::LeastResponse, fleet, seed)),
    ours("least_connections", |fleet, seed| tillgate(config::Strategy::LeastConnections, fleet, seed)),
    ours("p2c", |fleet, seed| tillgate(config::Strategy::P2c, fleet, seed)),
    ours("round_robin", |fleet, seed| tillgate(config::Strategy::RoundRobin, fleet, seed)),
    rival("tower_peak_ewma", |fleet, _| Box::new(PeakEwma::tower(fleet))),
    rival("finagle_peak_ewma", |fleet, _| Box::new(PeakEwma::finagle(fleet))),
    rival("nginx_least_time", |fleet, _| Box::new(Nginx::new(Method::LeastTime, fleet))),
    rival("traefik_leasttime", |fleet, _| Box::new(LeastTime::new(fleet))),
    rival("envoy_least_request", |fleet, _| Box::new(LeastRequest::new(fleet))),
    rival("nginx_least_conn", |fleet, _| Box::new(Nginx::new(Method::LeastConn, fleet))),
    rival("nginx_round_robin", |fleet, _| Box::new(Nginx::new(Method::RoundRobin, fleet))),
];

const fn ours(name: &'static str, build: fn(&Fleet, u64) -> Box<dyn Balance>) -> Strategy {
    Strategy { name, rival: false, build }
}

const fn rival(name: &'static str, build: fn(&Fleet, u64) -> Box<dyn Balance>) -> Strategy {
    Strategy { name, rival: true, build }
}

fn tillgate(strategy: config::Strategy, fleet: &Fleet, seed: u64) -> Box<dyn Balance> {
    Box::new(Tillgate::new(strategy, fleet, seed))
}
