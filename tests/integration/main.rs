//! The proxy as its users meet it: the real server, in process, on free ports, between raw sockets.
#![expect(unreachable_pub, reason = "nothing outside a test binary could reach more")]

mod support;

mod access_log;
mod admin;
mod admission;
mod availability;
mod bodies;
mod client_limits;
mod command_line;
mod compression;
mod connections;
mod cors;
mod costs;
mod explain;
mod explain_header;
mod failures;
mod fault_injection;
mod faults;
mod forwarding;
mod framing;
mod grpc;
mod header_edits;
mod health;
mod hedging;
mod invariants;
mod load;
mod mirror;
mod out_of_sockets;
mod outliers;
mod proxy_protocol;
mod rate_limits;
mod redirects;
mod reload;
mod retries;
mod rewrites;
mod route_strategies;
mod routing;
mod simulation;
mod slow_clients;
mod split;
mod sticky;
mod stopping;
mod strategies;
mod timeouts;
