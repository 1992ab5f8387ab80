//! The process log: what an operator should know of, on standard error.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// What is written unless told otherwise. The TLS library warns of what any client can send it as often as it likes.
const DEFAULT: &str = "info,rustls=error";

/// In which shape the process log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// A line a person reads.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Starts the process log. `TILLGATE_LOG` sets what is written, as in `debug` or `tillgate=debug`; default `info`.
pub fn start(format: Format) {
    let filter = EnvFilter::try_from_env("TILLGATE_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let colours = std::io::stderr().is_terminal();
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // A second start in one process changes nothing.
    drop(match format {
        Format::Text => log.with_target(false).try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    });
}
