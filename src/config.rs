//! The config file: its types, and how text becomes them. Data and validation; it knows no runtime type.
//!
//! Text -> `yaml` -> tree of nodes -> `decode` -> [`model`], and back to text by [`render`].

mod decode;
mod excerpt;
mod hedge;
mod load;
pub mod model;
mod node;
mod problem;
pub mod render;
mod retry;
mod syntax;
mod yaml;

#[cfg(test)]
mod tests;

pub(crate) use decode::{show_duration, show_size};
pub(crate) use excerpt::plain;
pub use load::{Loaded, MAX_FILE_BYTES, load, parse};
pub use model::*;
pub use problem::{Problem, Problems, Severity};
pub use render::{to_json, to_yaml};
