//! What can be typed: the subcommands, and what each does.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Admin, Config, render};
use crate::process::{Options, Server, Source, descriptors, log};

mod admin_client;
mod explain;
mod proxy;

/// A config that is refused, as with `nginx -t`.
const REFUSED: u8 = 2;

/// A layer-7 load balancer and reverse proxy that routes by p99 latency.
#[derive(Debug, Parser)]
#[command(name = "tillgate", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The config file to serve, where no command is given.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve what a config file says, and follow its edits.
    Run(Run),
    /// Serve without a file: one listener, one upstream.
    Proxy(proxy::Proxy),
    /// Say everything that is wrong with a config file. Exit 0 if nothing is, else 2.
    Check(Check),
    /// Say which listener, route and endpoint a request would get, and why. Exit 0 if one would get it, else 1.
    Explain(explain::Explain),
}

#[derive(Debug, Args)]
struct Run {
    /// The config file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Args)]
struct Check {
    /// The config file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Log {
    /// Shape of the process log on standard error. `TILLGATE_LOG=debug` shows more of it.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: log::Format,
}

/// Does what was typed.
pub fn run(cli: Cli) -> ExitCode {
    match (cli.command, cli.config) {
        (Some(Command::Run(run)), _) => serve_file(run.config, run.log.log_format),
        (None, Some(config)) => serve_file(config, cli.log.log_format),
        (Some(Command::Proxy(proxy)), _) => proxy::run(&proxy),
        (Some(Command::Check(check)), _) => check_file(&check.config),
        (Some(Command::Explain(explain)), _) => explain::run(&explain),
        (None, None) => missing_command(),
    }
}

fn serve_file(config: PathBuf, log_format: log::Format) -> ExitCode {
    log::start(log_format);
    serve(Source::File(config), true)
}

/// Serves until a signal says to stop. Exit 1 if it ended by itself, so that a service manager starts it again.
fn serve(source: Source, watch: bool) -> ExitCode {
    descriptors::raise_and_share_limit();
    match Server::start(Options { source, watch, signals: true }) {
        Ok(server) => {
            for listener in &server.snapshot().config.listeners {
                let address = server.address(&listener.name);
                tracing::info!(listener = listener.name, address = shown(address), "listening");
            }
            tracing::info!(address = admin_shown(&server), "admin");
            descriptors::warn_if_few(&server.snapshot().config.listeners);
            if server.wait() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(REFUSED)
        }
    }
}

fn shown(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "none".into(), |address| address.to_string())
}

fn admin_shown(server: &Server) -> String {
    match &server.snapshot().config.admin {
        Admin::Off => "off".into(),
        Admin::Tcp(_) => shown(server.admin_address()),
        Admin::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn check_file(path: &Path) -> ExitCode {
    match config::load(path) {
        Ok(loaded) => {
            complain(&loaded.warnings.to_string());
            say(&summary(path, &loaded.config));
            ExitCode::SUCCESS
        }
        Err(problems) => {
            complain(&problems.to_string());
            ExitCode::from(REFUSED)
        }
    }
}

fn summary(path: &Path, config: &Config) -> String {
    let endpoints: usize = config.upstreams.iter().map(|upstream| upstream.endpoints.len()).sum();
    format!(
        "{}: ok ({} listeners, {} routes, {} upstreams, {endpoints} endpoints)",
        path.display(),
        config.listeners.len(),
        config.routes.len(),
        config.upstreams.len(),
    )
}

fn missing_command() -> ExitCode {
    complain("tillgate: give a command or --config FILE; --help says more");
    ExitCode::from(REFUSED)
}

/// A reader that has seen enough, as `head` has, is no error.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end());
}

#[expect(clippy::print_stderr, reason = "before and beside the process log")]
fn complain(text: &str) {
    if !text.trim().is_empty() {
        eprintln!("{}", text.trim_end());
    }
}

fn print_config(config: &Config) -> ExitCode {
    say(&render::to_yaml(config));
    ExitCode::SUCCESS
}
