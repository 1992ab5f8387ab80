//! `tillgate explain`: what becomes of a request, and why; from the config, and from what a running process knows.
//!
//! It decides nothing itself: a head is checked, routed, rewritten and balanced by the functions that serve requests,
//! and costs are those the running process compares. It sends the request nowhere.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{REFUSED, complain, say};
use crate::config::{self, Config};
use crate::policy::cors;
use crate::policy::forward::{TrustedProxies, client_scheme, name_client};
use crate::policy::route::RouteTable;
use crate::proxy::received::Received;

mod answers;
mod asked;
mod endpoints;
mod live;
mod pick;
mod report;
mod rewrites;
mod routes;
mod steering;

use asked::Asked;
use live::Live;
use report::Report;

/// A request that no endpoint would get, and no redirect or policy of its route answers.
const UNSERVED: u8 = 1;

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The config file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// As in GET.
    #[arg(value_name = "METHOD")]
    method: String,
    /// As in http://shop.example/orders?page=2, or /orders where -H gives a Host.
    #[arg(value_name = "URL")]
    url: String,
    /// A header of the request; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The address that the request comes from.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    from: IpAddr,
    /// The admin server of the running process: http://127.0.0.1:9900 or unix:/PATH. The config's unless given.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// Explain from the file alone.
    #[arg(long, conflicts_with = "admin")]
    offline: bool,
}

/// Exit 0 if an endpoint would get the request or its route answers it, 1 if it would be refused, 2 if the question or the config is wrong.
pub(super) fn run(explain: &Explain) -> ExitCode {
    match explain.report() {
        Ok(report) => {
            say(&report.text());
            if report.is_served() { ExitCode::SUCCESS } else { ExitCode::from(UNSERVED) }
        }
        Err(words) => {
            complain(&words);
            ExitCode::from(REFUSED)
        }
    }
}

impl Explain {
    fn report(&self) -> Result<Report, String> {
        let asked = Asked::read(&self.method, &self.url, &self.headers)?;
        let loaded = config::load(&self.config).map_err(|problems| problems.to_string())?;
        let live = Live::find(self.admin.as_deref(), self.offline, &loaded.config.admin)?;
        let mut report = Report::new(&asked.shown());
        self.explain(&loaded.config, &asked, &live, &mut report);
        Ok(report)
    }

    fn explain(&self, config: &Config, asked: &Asked, live: &Live, report: &mut Report) {
        report.line("listener", asked.listeners(config));
        let trusted = TrustedProxies::new(&config.trusted_proxies).contains(self.from);
        let scheme = client_scheme(asked.scheme(), trusted, &asked.parts.headers);
        let mut parts = asked.parts.clone();
        // Nothing is known of a certificate.
        name_client(&mut parts.headers, None);
        let received = match Received::check(&parts, None, false, scheme) {
            Ok(received) => received,
            Err(refusal) => return report.refused(refusal.reason),
        };
        rewrites::path(asked, &received, report);
        let table = RouteTable::new(config.routes.iter().map(|route| &route.matches));
        let has_policy = |index: usize| config.routes[index].cors.is_some();
        match cors::find(&table, &received.head(), has_policy) {
            Some(found) => {
                let route = &config.routes[found.index];
                routes::taken(config, found.index, &received.head(), report);
                answers::readers(route, found, &received.head(), report);
                if answers::is_own(route, found, &received, report) {
                    return answers::edits(route, report);
                }
                self.forwarded(config, found.index, asked, &received, live, report);
                answers::edits(route, report);
            }
            None => routes::none(config, &received.head(), report),
        }
    }

    fn forwarded(
        &self,
        config: &Config,
        index: usize,
        asked: &Asked,
        received: &Received<'_>,
        live: &Live,
        report: &mut Report,
    ) {
        let route = &config.routes[index];
        routes::limits(route, report);
        if routes::is_too_large(route, received) {
            return report.refused(crate::policy::reason::Reason::BodyTooLarge);
        }
        if let Err(refusal) = rewrites::route(route, received, report) {
            return report.refused(refusal.reason);
        }
        rewrites::headers(config, route, asked, received, self.from, report);
        steering::before(route, report);
        for upstream in steering::upstreams(route, &asked.parts.headers, report) {
            endpoints::explain(config, (route, &upstream), received, self.from, live, report);
        }
        steering::beside(route, report);
    }
}
