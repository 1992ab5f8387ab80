//! A world in virtual time, and the balancers that are put into it.
//!
//! It exists because the constants of `least_response` cannot be decided by thought, nor by a benchmark on a shared
//! machine: here every strategy meets the same arrivals, the same service times and the same faults, from a seed. It
//! opens no socket and reads no clock, retries nothing, and checks no health beyond what a strategy does of itself.

pub mod balance;
pub mod endpoint;
pub mod envoy;
pub mod figures;
pub mod law;
pub mod nginx;
pub mod peak_ewma;
pub mod scenario;
pub mod scenarios;
pub mod series;
pub mod strategy;
pub mod tillgate;
pub mod traefik;
pub mod world;
