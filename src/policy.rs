//! Decisions without I/O: no tokio, no hyper; time and randomness are arguments.

pub mod audience;
pub mod availability;
pub mod balance;
pub mod endpoint;
pub mod forward;
pub mod head;
pub mod hedge;
pub mod latency;
pub mod path;
mod percent;
pub mod query;
pub mod reason;
pub mod retry;
pub mod route;
pub mod score;
mod slots;
