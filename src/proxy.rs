//! The path of a request: [`handle`] reads top-down and calls each step by name.

pub mod answer;
pub mod body;
pub mod exchange;
pub mod forward;
pub mod reason;
pub mod view;

pub use forward::handle;
