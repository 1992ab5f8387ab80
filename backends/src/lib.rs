//! Stock minimal order and payment services, to stand behind Tillgate in demos, tests and experiments.
//!
//! Several replicas of a service are several processes that share one SQLite file. Everything that must not go wrong
//! twice (stock, charges, refunds) is decided inside one `BEGIN IMMEDIATE` transaction of that file, never in the
//! memory of a replica. Nothing here depends on the proxy.
//!
//! The way of a request: [`replica`] (pause, name) -> [`faults`] (error, latency) -> [`extract`] -> a handler in
//! [`orders`] or [`payments`] -> its ledger, on a blocking thread lent by [`store`].

pub mod extract;
pub mod faults;
pub mod idempotency;
pub mod options;
pub mod orders;
pub mod payments;
pub mod problem;
pub mod replica;
pub mod store;
