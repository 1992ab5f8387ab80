//! The config file: its types, and how text becomes them. Data and validation; it knows no runtime type.

pub mod model;

pub use model::*;
