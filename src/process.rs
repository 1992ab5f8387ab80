//! Threads, signals and files: starting, reloading and stopping. Decides nothing about requests.

pub mod bound;
pub mod certificates;
pub mod control;
pub mod descriptors;
pub mod health;
mod introduce;
pub mod log;
pub mod reload;
mod serve;
pub mod server;
pub mod signals;
pub mod watch;
pub mod worker;

pub use server::{Options, Server, Source, StartError};
