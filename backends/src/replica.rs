//! One running process of a service: bind, say where, serve, and stop without dropping a request.

use std::future::IntoFuture;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::extract::MAX_BODY;
use crate::faults::Faults;
use crate::options::Options;
use crate::problem::Problem;
use crate::store::{Schema, Store};

/// How long running requests may take after the first SIGTERM or SIGINT. A second one stops at once.
const DRAIN: Duration = Duration::from_secs(30);

/// Serves until told to stop. One thread has all sockets: several replicas share a demo machine with the proxy.
pub fn run(options: Options, schema: &Schema, routes: fn() -> Router<Store>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.map_err(text).and_then(|runtime| runtime.block_on(serve(options, schema, routes)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => complain(&problem),
    }
}

async fn serve(options: Options, schema: &Schema, routes: fn() -> Router<Store>) -> Result<(), String> {
    let mut stop = Stop::listen().map_err(text)?;
    let faults = Arc::new(Faults::new(options.faults, Instant::now())?);
    let store = Store::open(&options.store, schema)?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = listener.local_addr().map_err(text)?;
    let name = replica_name(options.name, address)?;

    let (stopping, told) = watch::channel(());
    let server =
        axum::serve(listener, app(routes(), store, faults, name)).with_graceful_shutdown(closed(told));
    announce(address).map_err(text)?;
    tokio::select! {
        served = server.into_future() => served.map_err(text),
        () = stop.drain(stopping) => Err("stopped before all requests were answered".to_owned()),
    }
}

/// `/healthz` stands outside the faults other than the stall: it tells of the replica, not of the experiment.
fn app(routes: Router<Store>, store: Store, faults: Arc<Faults>, name: HeaderValue) -> Router {
    let disturbed = routes
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&faults), Faults::disturb));
    Router::new()
        .route("/healthz", get(healthz))
        .merge(disturbed)
        .with_state(store)
        .layer(middleware::from_fn_with_state(faults, Faults::pause))
        .layer(middleware::map_response_with_state(name, sign))
}

async fn healthz(State(store): State<Store>) -> Result<Json<Value>, Problem> {
    store.read(|db| Ok(db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?)).await?;
    Ok(Json(json!({ "status": "ok" })))
}

async fn sign(State(name): State<HeaderValue>, mut answer: Response) -> Response {
    answer.headers_mut().insert("x-replica", name);
    answer
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(uri.path())
}

async fn wrong_method(uri: Uri) -> Problem {
    let detail = format!("{} does not take this method", uri.path());
    Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

fn replica_name(asked: Option<String>, address: SocketAddr) -> Result<HeaderValue, String> {
    let name = asked.unwrap_or_else(|| address.port().to_string());
    HeaderValue::try_from(name).map_err(|_| "--name has to fit into a header".to_owned())
}

/// The signals that end a replica, caught from before it says that it listens.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// On the first signal drops `stopping`, which ends the accepting; returns on the second, or when time is up.
    async fn drain(&mut self, stopping: watch::Sender<()>) {
        self.next().await;
        drop(stopping);
        tokio::select! {
            () = self.next() => {}
            () = tokio::time::sleep(DRAIN) => {}
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn closed(mut told: watch::Receiver<()>) {
    while told.changed().await.is_ok() {}
}

fn announce(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {address}")?;
    out.flush()
}

fn complain(problem: &str) -> ExitCode {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{problem}");
    ExitCode::FAILURE
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
