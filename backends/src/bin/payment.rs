//! The payment service: charges and refunds, each once per idempotency key.

use std::process::ExitCode;

use clap::Parser;
use tillgate_backends::{options::Options, payments, replica};

/// Charges and refunds, each once per idempotency key.
#[derive(Parser)]
#[command(name = "payment", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    replica::run(Cli::parse().options, &payments::SCHEMA, payments::routes)
}
