//! The admin server: what operators and their tools ask the process. On an address of its own, never on a listener.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};

use crate::config::Admin;
use crate::net::listen;
use crate::process::control::{Control, Request};

mod api;
mod certificates;
mod drain;
mod ejection;
mod guard;
mod socket_file;

use guard::Transport;
use socket_file::SocketFile;

/// An address the admin server can listen on.
#[derive(Debug)]
pub enum Listener {
    /// `admin: off`.
    Off,
    /// A TCP socket.
    Tcp(StdTcpListener),
    /// A Unix socket, and its file.
    Unix(StdUnixListener, SocketFile),
}

/// The admin address cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// As configured.
    pub address: String,
    /// What the operating system said.
    pub error: io::Error,
}

impl Listener {
    /// Binds what the config names. `open` is where the admin server that is to be replaced listens.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn bind(config: &Admin, open: Option<SocketAddr>) -> Result<Self, BindError> {
        match config {
            Admin::Off => Ok(Self::Off),
            Admin::Tcp(address) => {
                bind_tcp(*address, open).map_err(|error| BindError { address: address.to_string(), error })
            }
            Admin::Unix(path) => socket_file::listen(path)
                .map(|(socket, file)| Self::Unix(socket, file))
                .map_err(|error| BindError { address: format!("unix:{}", path.display()), error }),
        }
    }
}

fn bind_tcp(address: SocketAddr, open: Option<SocketAddr>) -> io::Result<Listener> {
    listen::claim(address, open)?;
    let mut sockets = listen::bind_all(address, 1)?;
    Ok(Listener::Tcp(sockets.remove(0)))
}

/// A running admin server. Dropping it lets it finish what it is answering, then end.
#[derive(Debug)]
pub struct Running {
    address: Option<SocketAddr>,
    _file: Option<SocketFile>,
    _stop: oneshot::Sender<()>,
}

impl Running {
    /// Where it listens, if on TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

/// What the handlers share.
#[derive(Debug, Clone)]
struct App {
    control: Arc<Control>,
    requests: mpsc::Sender<Request>,
}

/// Serves on `listener`, within the runtime of the caller. `None` for `admin: off` and for a socket that cannot be
/// watched, which is logged.
pub fn serve(listener: Listener, control: Arc<Control>, requests: mpsc::Sender<Request>) -> Option<Running> {
    let app = App { control, requests };
    let (stop, stopped) = oneshot::channel();
    let stopped = async move { drop(stopped.await) };
    let (address, file) = match listener {
        Listener::Off => return None,
        Listener::Tcp(socket) => {
            let socket = TcpListener::from_std(socket).inspect_err(unwatchable).ok()?;
            let address = socket.local_addr().ok();
            let router = router(app, Transport::Tcp);
            tokio::spawn(async move { axum::serve(socket, router).with_graceful_shutdown(stopped).await });
            (address, None)
        }
        Listener::Unix(socket, file) => {
            let socket = UnixListener::from_std(socket).inspect_err(unwatchable).ok()?;
            let router = router(app, Transport::Unix);
            tokio::spawn(async move { axum::serve(socket, router).with_graceful_shutdown(stopped).await });
            (None, Some(file))
        }
    };
    Some(Running { address, _file: file, _stop: stop })
}

fn unwatchable(error: &io::Error) {
    tracing::error!(%error, "cannot serve the admin address");
}

fn router(app: App, transport: Transport) -> Router {
    Router::new()
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .route("/metrics", get(api::metrics))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/upstreams", get(api::upstreams))
        .route("/api/v1/config", get(api::config))
        .route("/api/v1/reload", post(api::reload))
        .route("/api/v1/upstreams/{name}/endpoints/{address}/drain", post(drain::drain))
        .route("/api/v1/upstreams/{name}/endpoints/{address}/undrain", post(drain::undrain))
        .layer(middleware::from_fn_with_state(transport, guard::refuse_strangers))
        .with_state(app)
}
