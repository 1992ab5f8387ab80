//! The path of a request: [`handle()`] reads top-down and calls each step by name.

pub mod admission;
pub mod answer;
pub mod body;
pub mod choose;
mod compress;
mod early_hints;
pub mod exchange;
pub mod fault;
pub mod handle;
pub mod mirror;
mod rate_limit;
pub mod received;
mod redirect;
pub mod rewrite;
pub mod send;
pub mod sticky;
pub mod told;
pub mod tries;
pub mod tunnel;
pub mod view;

pub use handle::handle;
