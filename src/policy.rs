//! Decisions without I/O: no tokio, no hyper; time and randomness are arguments.

pub mod admission;
pub mod audience;
pub mod availability;
pub mod balance;
pub mod clients;
pub mod concurrency;
pub mod cookies;
pub mod draw;
pub mod endpoint;
pub mod forward;
pub mod head;
pub mod health;
pub mod latency;
pub mod network;
pub mod outlier;
pub mod overload;
pub mod pace;
pub mod path;
mod percent;
pub mod query;
pub mod rate_limit;
pub mod reason;
pub mod retry;
pub mod route;
pub mod score;
pub mod seal;
mod slots;
