//! From a config's text to a snapshot in force, or to the reasons why not.
//!
//! A config takes effect whole or not at all: it is parsed, checked, resolved and bound before anything that runs is
//! touched.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::bound::{self, BindError, Bound};
use super::certificates;
use super::control::{Cause, Control, Request};
use super::server::{Source, worker_count};
use crate::admin;
use crate::config::{self, Problem, Problems};
use crate::net::tls::Termination;
use crate::pki::Fault;
use crate::policy::balance::hash_key;
use crate::snapshot::{self, Snapshot, Unresolved};
use crate::telemetry::access_log::AccessLog;

/// Tells one text from another.
pub type Digest = u64;

/// Why a config did not take effect.
#[derive(Debug)]
pub enum Refused {
    /// What it says is wrong.
    Problems(Problems),
    /// Endpoints whose names have no address, files for TLS that are of no use.
    Unresolved(Vec<Unresolved>),
    /// Certificates and keys that cannot be used, with their listeners.
    Certificates(Vec<(String, Fault)>),
    /// An address that cannot be listened on.
    Bind(BindError),
    /// The admin address cannot be listened on.
    Admin(admin::BindError),
    /// The access log cannot be opened.
    AccessLog(PathBuf, std::io::Error),
    /// The process is about to end.
    Draining,
    /// A mistake of ours.
    Internal,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problems(problems) => problems.fmt(f),
            Self::Certificates(all) => {
                all.iter().try_for_each(|(listener, fault)| writeln!(f, "listener {listener}: {fault}"))
            }
            Self::Unresolved(all) => all.iter().try_for_each(|one| writeln!(f, "{one}")),
            Self::Bind(BindError { listener, address, error }) => {
                write!(f, "listener {listener}: cannot listen on {address}: {error}")
            }
            Self::Admin(admin::BindError { address, error }) => {
                write!(f, "admin: cannot listen on {address}: {error}")
            }
            Self::AccessLog(path, error) => write!(f, "access_log: cannot open {}: {error}", path.display()),
            Self::Draining => f.write_str("the process is draining: no config takes effect any more"),
            Self::Internal => f.write_str("internal error while compiling the config"),
        }
    }
}

impl From<admin::BindError> for Refused {
    fn from(error: admin::BindError) -> Self {
        Self::Admin(error)
    }
}

impl From<BindError> for Refused {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

/// A config that has been compiled, and may take effect.
#[derive(Debug)]
pub struct Compiled {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The TLS of its listeners, in their order.
    pub terminations: Vec<Option<Arc<Termination>>>,
    warnings: Option<Problems>,
}

impl Compiled {
    /// Logs what is odd about it, but not wrong.
    pub fn report_warnings(&self) {
        for warning in self.warnings() {
            tracing::warn!(line = warning.line, "{}", warning.message);
        }
    }
}

impl Compiled {
    fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.warnings.iter().flat_map(Problems::iter)
    }
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The generation in force now.
    pub generation: u64,
    /// Whether it is a new one. A file event finds the text unchanged now and then.
    pub changed: bool,
    /// What is odd about the config, or takes effect only at the next start.
    pub warnings: Vec<String>,
}

/// Reads and compiles the config that follows `previous`, whose listeners are `open`.
///
/// # Errors
/// Why it cannot take effect.
pub fn compile(
    source: &Source,
    previous: Option<&Snapshot>,
    open: &[Arc<Bound>],
) -> Result<Compiled, Refused> {
    let (config, warnings) = match source {
        Source::Fixed(config) => ((**config).clone(), None),
        Source::File(path) => {
            let loaded = config::load(path).map_err(Refused::Problems)?;
            (loaded.config, Some(loaded.warnings))
        }
    };
    let terminations = certificates::read(&config.listeners, open).map_err(Refused::Certificates)?;
    let log = AccessLog::open(&config.access_log).map_err(|(path, error)| Refused::AccessLog(path, error))?;
    let snapshot = snapshot::build(config, previous, log, &resolve).map_err(Refused::Unresolved)?;
    Ok(Compiled { snapshot, terminations, warnings })
}

/// Of the file's bytes as they are now, or of why they cannot be read: a file that is gone is refused once, not at every
/// event in its directory. `None` where there is no file.
pub fn digest(source: &Source) -> Option<Digest> {
    match source {
        Source::File(path) => Some(match std::fs::read(path) {
            Ok(text) => hash_key(&text),
            Err(error) => hash_key(error.to_string().as_bytes()),
        }),
        Source::Fixed(_) => None,
    }
}

/// Every address the system knows for a name, in its order.
pub(crate) fn resolve(name: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    Ok((name, port).to_socket_addrs()?.collect())
}

/// Runs what may block in a thread of its own. A panic there costs the reload and nothing else.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refused::Internal)
}

impl Control {
    /// Reads the config again and puts it in force, in a task of its own: one that is under way is finished, whether
    /// or not anybody waits for what comes of it. Another one waits for its end.
    ///
    /// # Errors
    /// Why it did not take effect; the one before stays in force.
    pub async fn reload(
        self: &Arc<Self>,
        cause: Cause,
        requests: &mpsc::Sender<Request>,
    ) -> Result<Report, String> {
        let task = self.start_reload(cause, requests.clone());
        task.await.unwrap_or_else(|_| Err("internal error: the reload panicked".into()))
    }

    /// As [`Self::reload`], without waiting for it. It is cut off at the end of the control thread.
    pub(super) fn start_reload(
        self: &Arc<Self>,
        cause: Cause,
        requests: mpsc::Sender<Request>,
    ) -> JoinHandle<Result<Report, String>> {
        let control = Arc::clone(self);
        tokio::spawn(async move { control.reload_in_turn(cause, &requests).await })
    }

    async fn reload_in_turn(
        self: &Arc<Self>,
        cause: Cause,
        requests: &mpsc::Sender<Request>,
    ) -> Result<Report, String> {
        // Before the wait for one that may never end.
        self.refuse_while_draining().map_err(|refused| refused.to_string())?;
        let mut last_read = self.reloading.lock().await;
        if cause == Cause::File && self.unchanged(*last_read).await {
            return Ok(self.unchanged_report());
        }
        // A config that was refused may have been so for what has just been replaced.
        if cause == Cause::Certificates && self.last_refusal().is_none() {
            self.refresh_certificates().await;
            return Ok(self.unchanged_report());
        }
        let reloaded = self.reload_now(&mut last_read, requests).await;
        match reloaded {
            Ok(report) => {
                self.counts.reloads.fetch_add(1, Ordering::Relaxed);
                self.remember_refusal(None);
                self.certificates.settled();
                tracing::info!(generation = report.generation, ?cause, "config reloaded");
                Ok(report)
            }
            Err(refused) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                let text = refused.to_string();
                self.remember_refusal(Some(refused));
                tracing::error!(?cause, "config refused, the one in force stays: {text}");
                self.refresh_certificates().await;
                Err(text)
            }
        }
    }

    /// Workers that drain listen to nothing new.
    fn refuse_while_draining(&self) -> Result<(), Refused> {
        if self.is_ready() { Ok(()) } else { Err(Refused::Draining) }
    }

    fn unchanged_report(&self) -> Report {
        Report { generation: self.snapshot().generation, changed: false, warnings: Vec::new() }
    }

    /// Whether the file still has the text that was accepted, or found wrong, last. Editors write a file more than once.
    async fn unchanged(&self, last_read: Option<Digest>) -> bool {
        let source = self.options.source.clone();
        let now = apart(move || digest(&source)).await;
        now.ok().flatten().is_some_and(|now| Some(now) == last_read)
    }

    async fn reload_now(
        self: &Arc<Self>,
        last_read: &mut Option<Digest>,
        requests: &mpsc::Sender<Request>,
    ) -> Result<Report, Refused> {
        let (source, previous, open) = (self.options.source.clone(), self.snapshot(), self.listeners());
        let compile = move || (digest(&source), compile(&source, Some(&previous), &open));
        let (digest, compiled) = apart(compile).await?;
        if matches!(compiled, Err(Refused::Problems(_))) {
            *last_read = digest;
        }
        let compiled = compiled?;
        self.refuse_while_draining()?;
        compiled.report_warnings();
        let mut warnings: Vec<String> = compiled.warnings().map(|warning| warning.message.clone()).collect();
        let next = Arc::new(compiled.snapshot);
        let change = bound::plan(&next.config.listeners, &self.listeners(), self.workers())?;
        let admin = self.next_admin(&next)?;
        bound::retune(&next.config.listeners, &change.next);
        bound::secure(compiled.terminations, &change.next);
        if worker_count(next.config.workers).get() != self.workers() {
            tracing::warn!("`workers` takes effect at the next start");
            warnings.push("`workers` takes effect at the next start".into());
        }
        let generation = next.generation;
        self.enforce(Some(next), change).await;
        // Not before: what was refused for want of an address, a port or a disk may be accepted as it is next time.
        *last_read = digest;
        if let Some(listener) = admin {
            self.serve_admin(listener, requests.clone());
        }
        Ok(Report { generation, changed: true, warnings })
    }

    /// A new admin listener, if the config moves it.
    fn next_admin(&self, next: &Snapshot) -> Result<Option<admin::Listener>, Refused> {
        if next.config.admin == self.snapshot().config.admin {
            return Ok(None);
        }
        Ok(Some(admin::Listener::bind(&next.config.admin, self.admin_address())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_while_compiling_is_a_refusal() {
        let compiled: Result<(), Refused> = apart(|| panic!("of a test")).await;
        let refused = compiled.expect_err("a panic");
        assert_eq!(refused.to_string(), "internal error while compiling the config");
    }
}
