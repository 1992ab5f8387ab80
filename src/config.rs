//! The config file: its types, and how text becomes them. Data and validation; it knows no runtime type.
//!
//! Text -> `yaml` -> tree of nodes -> `decode` -> [`model`], and back to text by [`render`].

mod compress;
mod cookie;
mod cors;
mod decode;
mod excerpt;
mod fault;
mod header_edits;
mod health_check;
mod hedge;
mod load;
mod mirror;
pub mod model;
mod node;
mod outlier;
mod overload;
mod problem;
mod proxy_protocol;
mod queue;
mod rate_limit;
mod redirect;
pub mod render;
mod retry;
mod rewrite;
mod scheme;
mod share;
mod split;
mod syntax;
mod timeouts;
mod tls;
mod upgrades;
mod upstream_tls;
mod yaml;

#[cfg(test)]
mod tests;

pub(crate) use decode::{show_duration, show_size};
pub(crate) use excerpt::plain;
pub use load::{Loaded, MAX_FILE_BYTES, load, parse};
pub use model::*;
pub use problem::{Problem, Problems, Severity};
pub use render::{to_json, to_yaml};
