//! The command line.

use std::process::ExitCode;

use clap::Parser;
use tillgate::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
