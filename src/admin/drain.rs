//! Taking an endpoint out of service, and back, by hand.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::App;
use crate::policy::endpoint::Obstacle;
use crate::snapshot::{Endpoint, Upstream};

/// Sends an endpoint nothing new; what sticks to it may finish. It lasts until it is undone or the process ends, over
/// reloads too.
pub(super) async fn drain(state: State<App>, path: Path<(String, String)>) -> (StatusCode, Json<Value>) {
    obstruct(state, path, true)
}

/// Takes a drain back.
pub(super) async fn undrain(state: State<App>, path: Path<(String, String)>) -> (StatusCode, Json<Value>) {
    obstruct(state, path, false)
}

fn obstruct(
    State(app): State<App>,
    Path((name, address)): Path<(String, String)>,
    is_drained: bool,
) -> (StatusCode, Json<Value>) {
    let snapshot = app.control.snapshot();
    let Some(upstream) = snapshot.upstreams.iter().find(|upstream| *upstream.name == *name) else {
        return missing(
            &format!("there is no upstream `{name}`"),
            snapshot.upstreams.iter().map(|one| &*one.name),
        );
    };
    let Some(index) = upstream.endpoints.iter().position(|endpoint| *endpoint.name == *address) else {
        let known = upstream.endpoints.iter().map(|endpoint| &*endpoint.name);
        return missing(&format!("upstream `{name}` has no endpoint `{address}`"), known);
    };
    let changed = upstream.state(index).obstruct(Obstacle::Drained, is_drained);
    upstream.reopen();
    if changed {
        tell(upstream, &upstream.endpoints[index], is_drained);
    }
    (
        StatusCode::OK,
        Json(json!({ "upstream": name, "endpoint": address, "drained": is_drained, "changed": changed })),
    )
}

fn missing<'a>(problem: &str, known: impl Iterator<Item = &'a str>) -> (StatusCode, Json<Value>) {
    let known: Vec<&str> = known.take(MOST_NAMED).collect();
    (StatusCode::NOT_FOUND, Json(json!({ "error": problem, "known": known })))
}

/// Names in one answer.
const MOST_NAMED: usize = 100;

fn tell(upstream: &Upstream, endpoint: &Endpoint, is_drained: bool) {
    let what = if is_drained { "endpoint drained" } else { "endpoint back from its drain" };
    tracing::info!(upstream = &*upstream.name, endpoint = &*endpoint.name, "{what}");
}
