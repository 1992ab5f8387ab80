//! One check: a new connection, a question, and what the answer says.
//!
//! Each check has a connection of its own, as those of nginx and HAProxy have: one that is kept would not notice that
//! nobody accepts any more.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hyper::rt::Executor;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{grpc, http};
use crate::config::{HealthCheck, Probe, Protocol, show_duration};
use crate::net::connect::{self, ConnectError, Opened, Target, is_out_of_sockets};
use crate::policy::health::Finding;

/// What is said of an endpoint that ends the connection.
const CLOSED: &str = "closed without an answer";

/// Why an endpoint did not pass.
pub(super) enum Trouble {
    /// What is wrong with it.
    Bad(String),
    /// Something is wrong here: it was not asked.
    Ours(String),
}

impl Trouble {
    pub(super) fn bad(why: impl Into<String>) -> Self {
        Self::Bad(why.into())
    }
}

impl From<hyper::Error> for Trouble {
    fn from(error: hyper::Error) -> Self {
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return Self::bad(CLOSED);
        }
        let source = std::error::Error::source(&error);
        match source.and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(error) => Self::Bad(words(error)),
            None => Self::Bad(format!("no proper answer: {error}")),
        }
    }
}

/// Asks once.
pub(super) async fn ask(target: &Target, check: &HealthCheck) -> Finding {
    match timeout(check.timeout, try_ask(target, &check.probe)).await {
        Ok(Ok(())) => Finding::Passed,
        Ok(Err(Trouble::Bad(why))) => Finding::Failed(why),
        Ok(Err(Trouble::Ours(why))) => Finding::Untried(why),
        Err(_) => Finding::Failed(format!("timed out after {}", show_duration(check.timeout))),
    }
}

/// Asks while the library does what it has to do beside. What ends the connection reaches the request too; where it ends
/// well, the body may still be read.
pub(super) async fn beside<T>(connection: impl Future, asked: impl Future<Output = T>) -> T {
    let driven = async {
        drop(connection.await);
        std::future::pending().await
    };
    tokio::select! {
        judged = asked => judged,
        never = driven => never,
    }
}

/// Runs what the library wants to run beside the connection, for as long as the check lasts.
#[derive(Clone)]
pub(super) struct Beside(Weak<Mutex<JoinSet<()>>>);

/// Ends those tasks when it is dropped, whatever the endpoint does.
pub(super) type Tasks = Arc<Mutex<JoinSet<()>>>;

impl Beside {
    pub(super) fn new() -> (Self, Tasks) {
        let tasks = Arc::new(Mutex::new(JoinSet::new()));
        (Self(Arc::downgrade(&tasks)), tasks)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Beside {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move { drop(task.await) });
        }
    }
}

async fn try_ask(target: &Target, probe: &Probe) -> Result<(), Trouble> {
    match probe {
        Probe::Tcp => connect::open_tcp(target).await.map(drop).map_err(|error| connect_trouble(&error)),
        Probe::Http(probe) => http::ask(open(target).await?, target, probe).await,
        Probe::Grpc(probe) => {
            let target = target.speaking(Protocol::H2);
            grpc::ask(open(&target).await?.stream, &target, probe).await
        }
    }
}

async fn open(target: &Target) -> Result<Opened, Trouble> {
    connect::open(target).await.map_err(|error| match error {
        ConnectError::OutOfSockets(error) => Trouble::Ours(words(&error)),
        ConnectError::Failed(error) => Trouble::Bad(words(&error)),
        ConnectError::Tls(_) | ConnectError::TimedOut(_) | ConnectError::Handshake(_) => {
            Trouble::Bad(error.to_string())
        }
    })
}

fn connect_trouble(error: &io::Error) -> Trouble {
    if is_out_of_sockets(error) { Trouble::Ours(words(error)) } else { Trouble::Bad(words(error)) }
}

/// As people say it, without the number that the system has for it.
fn words(error: &io::Error) -> String {
    if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof) {
        return CLOSED.to_owned();
    }
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    words.to_lowercase()
}
