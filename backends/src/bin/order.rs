//! The order service: products with stock, and orders that take it.

use std::process::ExitCode;

use clap::Parser;
use tillgate_backends::{options::Options, orders, replica};

/// Products with stock, and orders that take it.
#[derive(Parser)]
#[command(name = "order", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    replica::run(Cli::parse().options, &orders::SCHEMA, orders::routes)
}
