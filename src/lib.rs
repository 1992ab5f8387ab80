//! Tillgate: a layer-7 load balancer and reverse proxy that routes by p99 latency.
//!
//! In the order a reader wants them: [`proxy`] is the path of a request, [`policy`] decides, [`config`] is what the
//! user wrote and [`snapshot`] what it was compiled to, [`net`] has the sockets, [`pki`] reads certificates, [`process`] the threads,
//! [`telemetry`] the counting, [`admin`] the operator's view, and [`cli`] what can be typed.

pub mod admin;
pub mod cli;
pub mod config;
pub mod net;
pub mod pki;
pub mod policy;
pub mod process;
pub mod proxy;
pub mod snapshot;
pub mod telemetry;
