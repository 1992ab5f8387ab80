//! The proxy as its users meet it: the real server, in process, on free ports, between raw sockets.
#![expect(unreachable_pub, reason = "nothing outside a test binary could reach more")]

mod support;

mod access_log;
mod admin;
mod bodies;
mod command_line;
mod connections;
mod costs;
mod explain;
mod explain_header;
mod failures;
mod faults;
mod forwarding;
mod framing;
mod invariants;
mod load;
mod reload;
mod retries;
mod route_strategies;
mod routing;
mod simulation;
mod slow_clients;
mod stopping;
mod strategies;
