//! `tillgate proxy`: the config that two flags stand for.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;

use super::{Log, complain, print_config, serve};
use crate::config::{self, Config};
use crate::process::{Source, log};

#[derive(Debug, Args)]
pub(super) struct Proxy {
    /// Where to listen.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// The endpoints.
    #[arg(long, value_name = "ADDR", required = true, num_args = 1..)]
    to: Vec<String>,
    /// Where the admin server listens: an address, `unix:/PATH` or `off`.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9900")]
    admin: String,
    /// Print the YAML this stands for, to start a config file from, and end.
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    log: Log,
}

pub(super) fn run(proxy: &Proxy) -> ExitCode {
    match config_of(proxy) {
        Ok(config) if proxy.print_config => print_config(&config),
        Ok(config) => {
            log::start(proxy.log.log_format);
            serve(Source::Fixed(Box::new(config)), false)
        }
        Err(problems) => {
            complain(&problems.to_string());
            ExitCode::from(super::REFUSED)
        }
    }
}

/// Goes through the text of a config, so that flags are held to the same rules as a file.
fn config_of(proxy: &Proxy) -> Result<Config, config::Problems> {
    let admin = match proxy.admin.as_str() {
        "off" => "off".into(),
        address => serde_json::json!({ "address": address }),
    };
    let text = serde_json::json!({
        "admin": admin,
        "listeners": { "web": { "address": proxy.listen.to_string() } },
        "upstreams": { "endpoints": { "endpoints": proxy.to } },
        "routes": [{ "name": "all", "match": { "path_prefix": "/" }, "upstream": "endpoints" }],
    });
    // JSON is YAML.
    config::parse("the command line", &text.to_string(), &|_| None).map(|loaded| loaded.config)
}
