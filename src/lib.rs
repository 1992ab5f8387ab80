//! Tillgate: a layer-7 load balancer and reverse proxy that routes by p99 latency.

pub mod config;
pub mod policy;
