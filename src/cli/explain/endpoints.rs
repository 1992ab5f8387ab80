//! The upstream and its endpoints: what the file says of them, and what the running process knows.

use std::net::IpAddr;

use super::live::{Admission, Entry, Live, Pool};
use super::pick::{self, Question};
use super::report::Report;
use super::steering;
use crate::config::{Config, Priority, Route};
use crate::policy::forward::client_address;
use crate::process::reload::resolve;
use crate::proxy::received::Received;
use crate::snapshot::{self, Endpoint, Snapshot, Unresolved};

/// The upstream of the route, its candidates, and the one that would be picked.
pub(super) fn explain(
    config: &Config,
    (route, upstream): (&Route, &str),
    received: &Received<'_>,
    from: IpAddr,
    live: &Live,
    report: &mut Report,
) {
    report.line("upstream", upstream);
    let snapshot = match compile(config, route, upstream) {
        Ok(snapshot) => snapshot,
        Err(unresolved) => return unknown(&unresolved, report),
    };
    let (upstream, own) = (&snapshot.upstreams[0], snapshot.routes[0].balancing.as_ref());
    let strategy = own.map_or(&upstream.config.strategy, |own| &own.strategy);
    let whose = if own.is_some() { "the route's own" } else { "the upstream's" };
    report.line("strategy", format!("{}, {whose}", strategy.name()));
    let page = live.ask();
    let pool = page.as_ref().ok().and_then(|page| page.pool(&upstream.name));
    match &page {
        Ok(page) => report.line("process", format!("runs generation {} of its config", page.generation)),
        Err(why) => report.line("process", format!("{why}: explained from the file alone")),
    }
    if page.is_ok() {
        differences(pool, &route.name, strategy.name(), report);
    }
    table(&snapshot, pool).into_iter().enumerate().for_each(|(row, text)| {
        report.line(if row == 0 { "endpoints" } else { "" }, text);
    });
    pool.into_iter().for_each(|pool| obstacles(pool, report));
    pool.and_then(|pool| pool.admission.as_ref()).into_iter().for_each(|admission| {
        queue(admission, route.priority, report);
    });
    steering::sticky(upstream, received.head().headers, report);
    let question = Question {
        strategy,
        balancer: own.map_or(&upstream.balancer, |own| &own.balancer),
        endpoints: &upstream.endpoints,
        client: client_address(from, &snapshot.trusted, received.head().headers),
        pool,
        overflows: pool.is_some_and(Pool::overflows),
        waits: upstream.config.queue.is_some(),
    };
    pick::explain(&question, received, report);
}

/// The route and one upstream of it alone: another one whose name cannot be resolved is of no matter here.
fn compile(config: &Config, route: &Route, upstream: &str) -> Result<Snapshot, Vec<Unresolved>> {
    let mut config = config.clone();
    config.upstreams.retain(|other| other.name == upstream);
    let upstream = upstream.to_owned();
    config.routes = vec![Route { upstream, split: None, mirror: None, ..route.clone() }];
    snapshot::build(config, None, None, &resolve)
}

fn unknown(unresolved: &[Unresolved], report: &mut Report) {
    for one in unresolved {
        report.line("", one.to_string());
    }
    report.line("", "a start or a reload would be refused");
}

/// Where the running process goes by another config than the file's.
fn differences(pool: Option<&Pool>, route: &str, strategy: &str, report: &mut Report) {
    let Some(pool) = pool else {
        return report.line("", "it has no such upstream: the file has not taken effect");
    };
    if pool.strategy_of(route) != strategy {
        let words = format!("it balances by {}: the file has not taken effect", pool.strategy_of(route));
        report.line("", words);
    }
}

/// Why some of them get nothing, or do in spite of it.
fn obstacles(pool: &Pool, report: &mut Report) {
    for entry in &pool.endpoints {
        if let Some(why) = entry.health.as_ref().and_then(|health| health.last_error.as_ref()) {
            report.line("", format!("health check of {}: {why}", entry.address));
        }
    }
    if pool.panic {
        report.line("", "too few are fit: health is ignored");
    }
}

/// What the upstream has taken in, and the share of such requests that it lets in.
fn queue(admission: &Admission, priority: Priority, report: &mut Report) {
    let Admission { in_flight, limit, waiting, .. } = admission;
    let limit = limit.map_or_else(String::new, |limit| format!(" of {limit}"));
    let share = (admission.admits(priority) * 100.0).round();
    let words = format!(
        "{in_flight}{limit} in flight, {waiting} waiting; priority {}: {share} % let in",
        priority.name()
    );
    report.line("queue", words);
}

/// A head and a row for each endpoint; columns that nobody fills are left out.
fn table(snapshot: &Snapshot, pool: Option<&Pool>) -> Vec<String> {
    const HEAD: [&str; 13] = [
        "address",
        "weight",
        "state",
        "in flight",
        "samples",
        "p99 ms",
        "cost",
        "L",
        "M",
        "T",
        "A",
        "E",
        "ramp",
    ];
    let mut rows = vec![HEAD.map(str::to_owned)];
    for endpoint in &snapshot.upstreams[0].endpoints {
        let entry = pool.and_then(|pool| pool.entry(&endpoint.name));
        rows.push(row(endpoint, entry, pool.is_some()));
    }
    let width = |column: usize| {
        let filled = rows[1..].iter().any(|row| !row[column].is_empty());
        if filled { rows.iter().map(|row| row[column].len() + 2).max().unwrap_or(0) } else { 0 }
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let cell =
        |(text, width): (&String, &usize)| if *width == 0 { String::new() } else { format!("{text:width$}") };
    rows.iter().map(|row| row.iter().zip(&widths).map(cell).collect()).collect()
}

fn row(endpoint: &Endpoint, entry: Option<&Entry>, asked: bool) -> [String; 13] {
    let (address, weight) = (&endpoint.name, endpoint.weight);
    let short = |number: Option<f64>| number.map_or_else(String::new, pick::short);
    let mut row: [String; 13] = Default::default();
    (row[0], row[1]) = (address.to_string(), weight.to_string());
    let Some(entry) = entry else {
        let known = if asked { "not known to the process" } else { "" };
        row[2] = if endpoint.backup { joined(known, "backup") } else { known.to_owned() };
        return row;
    };
    if entry.weight != weight {
        row[1] = format!("{weight} (runs with {})", entry.weight);
    }
    let cost = &entry.cost;
    row[2] = if endpoint.backup { joined(&entry.state, "backup") } else { entry.state.clone() };
    if entry.is_full() {
        row[2] = joined(&row[2], "full");
    }
    row[3] = entry.in_flight.to_string();
    row[4] = cost.samples.map_or_else(String::new, |samples| samples.to_string());
    let parts =
        [entry.p99_ms, cost.total, cost.latency, cost.mean, cost.fast, cost.age, cost.error, cost.ramp];
    row[5..].iter_mut().zip(parts).for_each(|(cell, part)| *cell = short(part));
    row
}

fn joined(word: &str, more: &str) -> String {
    if word.is_empty() { more.to_owned() } else { format!("{word}, {more}") }
}
