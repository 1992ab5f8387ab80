//! `/metrics` in OpenMetrics text. Every name is here; units are base units, and labels are bounded by the config.

mod hedges;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

mod admission;
mod compress;
mod http2;
mod rate_limit;
mod rejected;
mod tls;

pub use http2::EndedEarly;
pub use rejected::Rejected;
pub use tls::Renewals;

use super::aggregate::{BUCKETS, Durations, EndpointFigures, Figures, PoolFigures, RouteFigures, Shared};
use super::health::Records;
use crate::net::tls::Termination;
use crate::snapshot::{Endpoint, Id, Snapshot, Upstream};

mod grpc;
mod health;
mod outlier;
mod steering;
mod tunnels;
mod upstream_tls;

/// What a status class is called in the label `code`.
const CLASSES: [&str; 6] = ["closed", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// What the process itself counts beside [`Figures`].
#[derive(Debug, Clone)]
pub struct Process {
    /// Reloads that took effect.
    pub reloads: u64,
    /// Reloads that were refused.
    pub reloads_refused: u64,
    /// Listeners by id and name.
    pub listeners: Vec<(Id, String)>,
    /// Open connections of each of them.
    pub connections: Vec<usize>,
    /// Connections of each of them that were closed unserved.
    pub connections_rejected: Vec<Rejected>,
    /// TLS of each of them, where it has it.
    pub terminations: Vec<Option<Arc<Termination>>>,
    /// What became of certificates that were replaced.
    pub certificates: Renewals,
    /// HTTP/2 connections of each of them that were ended before their clients would have, by cause.
    pub connections_ended: Vec<[u64; EndedEarly::ALL.len()]>,
    /// What the health checks have found.
    pub checks: Records,
}

/// Everything one scrape shows.
#[derive(Debug)]
struct Scrape {
    snapshot: Arc<Snapshot>,
    figures: Shared,
    process: Process,
}

/// The text of one scrape.
///
/// # Errors
/// None in practice: writing into a string does not fail.
pub fn render(snapshot: Arc<Snapshot>, figures: Shared, process: Process) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("tillgate");
    registry.register_collector(Box::new(Scrape { snapshot, figures, process }));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

impl Collector for Scrape {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.figures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.process(&mut out)?;
        rejected::encode(&self.process, &mut out)?;
        tls::encode(&self.process, &self.snapshot, &mut out)?;
        http2::encode(&self.process, &mut out)?;
        rate_limit::encode(&self.snapshot, &figures, &mut out)?;
        self.totals(&mut out, &figures)?;
        self.listeners(&mut out, &figures)?;
        self.routes(&mut out, &figures)?;
        grpc::encode(&self.snapshot, &figures, &mut out)?;
        self.retries(&mut out, &figures)?;
        admission::encode(&mut out, &self.snapshot, &figures)?;
        outlier::encode(&mut out, &self.snapshot, &figures)?;
        steering::encode(&self.snapshot, &mut out)?;
        compress::encode(&self.snapshot, &mut out)?;
        health::encode(&mut out, &self.snapshot, &self.process.checks)?;
        hedges::encode(&mut out, &self.snapshot, &figures)?;
        upstream_tls::encode(&mut out, &self.snapshot)?;
        tunnels::encode(&mut out, &self.snapshot)?;
        self.endpoints(&mut out, &figures)
    }
}

impl Scrape {
    fn process(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        gauge(out, "config_generation", "Number of the config in force", self.snapshot.generation)?;
        counter(out, "reloads", "Configs that took effect after the first", self.process.reloads)?;
        counter(out, "reloads_refused", "Configs that were refused", self.process.reloads_refused)?;
        let dropped = self.snapshot.access_log.as_ref().map_or(0, |log| log.dropped());
        counter(out, "access_log_dropped_buffers", "Buffers of access log lines that were dropped", dropped)
    }

    fn totals(&self, out: &mut DescriptorEncoder<'_>, figures: &Figures) -> fmt::Result {
        counter(
            out,
            "responses_truncated",
            "Responses that ended before they were whole",
            figures.truncated,
        )?;
        counter(out, "records_lost", "Requests that the other metrics miss", figures.lost)?;
        let mut own = out.encode_descriptor("own_answers", "Answers made here", None, MetricType::Counter)?;
        for (reason, count) in &figures.reasons {
            own.encode_family(&[("reason", *reason)])?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
        Ok(())
    }

    fn listeners(&self, out: &mut DescriptorEncoder<'_>, figures: &Figures) -> fmt::Result {
        let names = &self.process.listeners;
        let help = "Requests by listener";
        let mut requests = out.encode_descriptor("listener_requests", help, None, MetricType::Counter)?;
        for (id, name) in names {
            let count = figures.listeners.get(id).copied().unwrap_or(0);
            requests
                .encode_family(&[("listener", name.as_str())])?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        let mut open =
            out.encode_descriptor("connections", "Open client connections", None, MetricType::Gauge)?;
        for ((_, name), count) in names.iter().zip(&self.process.connections) {
            open.encode_family(&[("listener", name.as_str())])?.encode_gauge(count)?;
        }
        Ok(())
    }

    fn routes(&self, out: &mut DescriptorEncoder<'_>, figures: &Figures) -> fmt::Result {
        let routes: Vec<(&str, &RouteFigures)> = self.named_routes(figures);
        let mut requests =
            out.encode_descriptor("requests", "Requests by route and class", None, MetricType::Counter)?;
        for (name, route) in &routes {
            for (class, count) in CLASSES.iter().zip(route.codes).filter(|(_, count)| *count > 0) {
                let labels = [("route", *name), ("code", *class)];
                requests.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        bytes(out, "request_body", "Bytes of request bodies", &routes, |route| route.bytes_in)?;
        bytes(out, "response_body", "Bytes of response bodies", &routes, |route| route.bytes_out)?;
        let help = "From request head to the end of the response";
        let (unit, kind) = (Unit::Seconds, MetricType::Histogram);
        let mut durations = out.encode_descriptor("request_duration", help, Some(&unit), kind)?;
        for (name, route) in &routes {
            let (sum, count, buckets) = histogram(&route.duration);
            durations
                .encode_family(&[("route", *name)])?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    /// Routes by name; requests that none took stand under the empty name.
    fn named_routes<'a>(&'a self, figures: &'a Figures) -> Vec<(&'a str, &'a RouteFigures)> {
        let routes = self.snapshot.routes.iter();
        let known = routes.filter_map(|route| Some((&*route.name, figures.routes.get(&route.id)?)));
        known.chain([("", &figures.unrouted)]).collect()
    }

    fn retries(&self, out: &mut DescriptorEncoder<'_>, figures: &Figures) -> fmt::Result {
        let pools = || self.snapshot.upstreams.iter().zip(&figures.pools);
        let help = "Requests sent again, by why";
        let mut retries = out.encode_descriptor("retries", help, None, MetricType::Counter)?;
        for (upstream, pool) in pools() {
            for (reason, count) in &pool.retries {
                let labels = [("upstream", &*upstream.name), ("reason", *reason)];
                retries.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
            }
        }
        let help = "Requests not sent again because the retry budget was used up";
        let mut refused = out.encode_descriptor("retries_refused", help, None, MetricType::Counter)?;
        for (upstream, pool) in pools() {
            refused
                .encode_family(&[("upstream", &*upstream.name)])?
                .encode_counter::<NoLabelSet, _, u64>(&pool.retries_refused, None)?;
        }
        Ok(())
    }

    fn endpoints(&self, out: &mut DescriptorEncoder<'_>, figures: &Figures) -> fmt::Result {
        let all = self.named_endpoints(figures);
        let mut requests =
            out.encode_descriptor("endpoint_requests", "Requests by endpoint", None, MetricType::Counter)?;
        for one in &all {
            requests
                .encode_family(&one.labels())?
                .encode_counter::<NoLabelSet, _, u64>(&one.figures.requests, None)?;
        }
        let mut failures = out.encode_descriptor(
            "endpoint_failures",
            "Failed requests by endpoint",
            None,
            MetricType::Counter,
        )?;
        for one in &all {
            failures
                .encode_family(&one.labels())?
                .encode_counter::<NoLabelSet, _, u64>(&one.figures.failures, None)?;
        }
        let mut in_flight = out.encode_descriptor(
            "endpoint_in_flight",
            "Requests at the endpoint now",
            None,
            MetricType::Gauge,
        )?;
        for one in &all {
            in_flight.encode_family(&one.labels())?.encode_gauge(&one.in_flight)?;
        }
        let help = "From request sent to response head";
        let (unit, kind) = (Unit::Seconds, MetricType::Histogram);
        let mut latency = out.encode_descriptor("endpoint_latency", help, Some(&unit), kind)?;
        for one in &all {
            let (sum, count, buckets) = histogram(&one.figures.latency);
            latency
                .encode_family(&one.labels())?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn named_endpoints<'a>(&'a self, figures: &'a Figures) -> Vec<NamedEndpoint<'a>> {
        let pools = self.snapshot.upstreams.iter().zip(&figures.pools);
        pools.flat_map(|(upstream, pool)| NamedEndpoint::of_pool(upstream, pool)).collect()
    }
}

struct NamedEndpoint<'a> {
    upstream: &'a str,
    endpoint: &'a Endpoint,
    in_flight: u32,
    figures: &'a EndpointFigures,
}

impl<'a> NamedEndpoint<'a> {
    fn of_pool(upstream: &'a Arc<Upstream>, pool: &'a PoolFigures) -> impl Iterator<Item = Self> {
        upstream.endpoints.iter().zip(&pool.endpoints).enumerate().map(|(index, (endpoint, figures))| Self {
            upstream: &upstream.name,
            endpoint,
            in_flight: upstream.state(index).in_flight(),
            figures,
        })
    }

    fn labels(&self) -> [(&'a str, &'a str); 2] {
        [("upstream", self.upstream), ("endpoint", &self.endpoint.name)]
    }
}

fn counter(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    out.encode_descriptor(name, help, None, MetricType::Counter)?
        .encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    out.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
}

fn bytes(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    routes: &[(&str, &RouteFigures)],
    value: fn(&RouteFigures) -> u64,
) -> fmt::Result {
    let mut family = out.encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Counter)?;
    for (route, figures) in routes {
        family
            .encode_family(&[("route", *route)])?
            .encode_counter::<NoLabelSet, _, u64>(&value(figures), None)?;
    }
    Ok(())
}

fn histogram(durations: &Durations) -> (f64, u64, Vec<(f64, u64)>) {
    let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
    (durations.sum, durations.count(), bounds.zip(durations.counts).collect())
}
