//! The handlers of the admin server.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Instant, SystemTime};

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{App, certificates, ejection};
use crate::config::{UpstreamTls, render};
use crate::policy::admission::Admission;
use crate::policy::availability::{Access, Standing};
use crate::policy::endpoint::Ticks;
use crate::policy::health::Record;
use crate::policy::latency::LatencyWindow;
use crate::policy::score::Score;
use crate::process::control::Cause;
use crate::snapshot::{Id, Snapshot, Upstream};
use crate::telemetry::aggregate::PoolFigures;
use crate::telemetry::metrics;

/// The process runs.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The process takes requests: 503 once it drains.
pub(super) async fn readyz(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.control.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}

/// OpenMetrics text.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let control = &app.control;
    let text = metrics::render(control.snapshot(), control.figures().clone(), control.process());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// What runs, since when, on which config.
pub(super) async fn status(State(app): State<App>) -> Json<Value> {
    let control = &app.control;
    let process = control.process();
    let uptime = SystemTime::now().duration_since(control.started).map_or(0.0, |up| up.as_secs_f64());
    let listeners: Vec<Value> = control
        .listeners()
        .iter()
        .zip(&process.connections)
        .map(|(bound, open)| {
            let tls = bound.tls.load_full().map(|tls| certificates::describe(&tls));
            json!({ "name": **bound.name.load(), "address": bound.address, "connections": open, "tls": tls })
        })
        .collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptime_seconds": uptime,
        "ready": control.is_ready(),
        "workers": control.workers(),
        "generation": control.snapshot().generation,
        "reloads": process.reloads,
        "reloads_refused": process.reloads_refused,
        "last_refusal": control.last_refusal(),
        "listeners": listeners,
        "certificate_refusals": control.certificates.refusals(),
    }))
}

/// Every upstream with its endpoints. Figures are at most 0.2 s old.
pub(super) async fn upstreams(State(app): State<App>) -> Json<Value> {
    let snapshot = app.control.snapshot();
    let figures = app.control.figures().lock().unwrap_or_else(PoisonError::into_inner);
    let records = app.control.checks().records().lock().unwrap_or_else(PoisonError::into_inner);
    let pools = snapshot.upstreams.iter().zip(&figures.pools);
    let overrides = overrides(&snapshot);
    let describe = |((upstream, pool), routes): ((&Arc<Upstream>, &PoolFigures), Vec<Value>)| {
        describe(upstream, pool, &records, &routes)
    };
    let upstreams: Vec<Value> = pools.zip(overrides).map(describe).collect();
    Json(json!({ "generation": snapshot.generation, "upstreams": upstreams }))
}

/// The routes with a strategy of their own, by upstream.
fn overrides(snapshot: &Snapshot) -> Vec<Vec<Value>> {
    let mut found = vec![Vec::new(); snapshot.upstreams.len()];
    for route in &snapshot.routes {
        if let Some(own) = &route.balancing {
            found[route.upstream].push(json!({ "route": &*route.name, "strategy": own.strategy.name() }));
        }
    }
    found
}

fn describe(
    upstream: &Upstream,
    pool: &PoolFigures,
    records: &HashMap<Id, Record>,
    overrides: &[Value],
) -> Value {
    let endpoints = 0..upstream.endpoints.len().min(pool.endpoints.len());
    let describe = |index: usize| {
        let record = records.get(&upstream.endpoints[index].id);
        describe_endpoint(upstream, index, pool, record)
    };
    let endpoints: Vec<Value> = endpoints.map(describe).collect();
    json!({
        "name": &*upstream.name,
        "strategy": upstream.config.strategy.name(),
        "protocol": upstream.config.protocol.name(),
        "tls": upstream.config.tls.as_ref().map(describe_tls),
        "panic": upstream.panics(),
        "admission": upstream.has_admission().then(|| describe_admission(&upstream.admission)),
        "overrides": overrides,
        "window_seconds": upstream.config.least_response.window.as_secs_f64(),
        "endpoints": endpoints,
    })
}

fn describe_tls(tls: &UpstreamTls) -> Value {
    json!({
        "verify": tls.verify,
        "server_name": tls.server_name,
        "min_version": tls.min_version.name(),
        "client_certificate": tls.client_certificate.is_some(),
    })
}

fn describe_admission(admission: &Admission) -> Value {
    let shares = admission.shares();
    json!({
        "in_flight": admission.in_flight(),
        "limit": admission.limit(),
        "waiting": admission.waiting(),
        "admit_normal": decimal(shares.normal),
        "admit_sheddable": decimal(shares.sheddable),
    })
}

fn describe_endpoint(
    upstream: &Upstream,
    index: usize,
    pool: &PoolFigures,
    record: Option<&Record>,
) -> Value {
    let (endpoint, figures) = (&upstream.endpoints[index], &pool.endpoints[index]);
    let window = pool.recent(index).latency();
    let [p50, p90, p99] = millis(window, [0.5, 0.9, 0.99]);
    json!({
        "address": &*endpoint.name,
        "state": state(endpoint.weight, upstream.state(index).standing(), figures.failed_in_a_row),
        "ejection": ejection::describe(pool, index, Instant::now()),
        "takes_requests": upstream.state(index).gives(Access::Open),
        "access": upstream.state(index).access().name(),
        "weight": endpoint.weight,
        "backup": endpoint.backup,
        "health": record.map(describe_health),
        "max_connections": endpoint.max_connections,
        "in_flight": upstream.state(index).in_flight(),
        "requests": figures.requests,
        "failures": figures.failures,
        "samples": window.count(),
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "cost_factor": figures.score.map(|score| decimal(score.factor)),
        "cost": cost_parts(upstream, index, figures.score.unwrap_or_default()),
    })
}

fn describe_health(record: &Record) -> Value {
    let since = Instant::now().saturating_duration_since(record.since);
    json!({
        "healthy": record.is_healthy(),
        "last_error": record.last_error,
        "checks": record.passed + record.failed,
        "failures": record.failed,
        "since_seconds": since.as_secs(),
    })
}

/// What `least_response` compares, and what it is made of. The parts from the window are those that the balancer was
/// told last; an endpoint that never had a request has them too, as the balancer has.
fn cost_parts(upstream: &Upstream, index: usize, score: Score) -> Value {
    let (candidate, now) = (upstream.candidate(index), Instant::now());
    let state = &candidate.state;
    json!({
        "total": decimal(upstream.balancer.cost(index, now)),
        "factor": decimal(state.factor()),
        "latency": decimal(score.tail),
        "mean": decimal(score.mean),
        "fast": decimal(score.fast),
        "age": decimal(state.age(Ticks::between(state.epoch(), now))),
        "error": decimal(score.error),
        "ramp": decimal(score.ramp),
        "weight": candidate.weight,
        "in_flight": state.in_flight(),
        "samples": score.samples,
        "penalty": state.penalty(),
        "cold": state.is_cold(),
    })
}

/// As the shortest decimal that is this number: 1.3, and not 1.2999999523162842. `null` for what is infinite.
fn decimal(number: f32) -> Option<f64> {
    number.to_string().parse().ok().filter(|number: &f64| number.is_finite())
}

/// The worst that is known of it. Whether it gets requests for all that is `takes_requests`.
fn state(weight: u32, standing: Standing, failed_in_a_row: u32) -> &'static str {
    match standing {
        _ if weight == 0 || standing.drained => "draining",
        Standing { unhealthy: true, .. } => "unhealthy",
        Standing { ejected: true, .. } => "ejected",
        _ if failed_in_a_row > 0 => "failing",
        _ => "up",
    }
}

/// `null` where the window has no sample.
fn millis<const N: usize>(window: &LatencyWindow, quantiles: [f64; N]) -> [Option<f64>; N] {
    // Microseconds fit the 52 bits of a double for 142 years.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    let millis = |micros: u64| micros as f64 / 1e3;
    window.quantiles_us(quantiles).map_or([None; N], |all| all.map(|micros| Some(millis(micros))))
}

/// The config in force, with every default spelled out.
pub(super) async fn config(State(app): State<App>) -> Json<Value> {
    let snapshot = app.control.snapshot();
    Json(json!({ "generation": snapshot.generation, "config": render::to_json(&snapshot.config) }))
}

/// Reads the config again. 200 with what changed, 422 with why it was refused, or 503 while draining.
pub(super) async fn reload(State(app): State<App>) -> (StatusCode, Json<Value>) {
    match app.control.reload(Cause::Admin, &app.requests).await {
        Ok(report) => (StatusCode::OK, Json(json!({ "reloaded": true, "report": report }))),
        Err(problems) => {
            let ready = app.control.is_ready();
            let status =
                if ready { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, Json(json!({ "reloaded": false, "problems": problems })))
        }
    }
}
