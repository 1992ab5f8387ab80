//! The certificates of listeners: read with the config, and again when their files change.
//!
//! A file that was replaced is noticed by its directory, as with the config, or at the latest when it is looked at once a
//! minute. What is read then takes effect for connections to come; what cannot be used changes nothing, and is said.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::bound::Bound;
use super::control::{Cause, Control, Request};
use super::reload::apart;
use super::watch::{DEBOUNCE, Watch};
use crate::config;
use crate::net::tls::{Refreshed, Termination};
use crate::pki::{self, Fault};
use crate::telemetry::metrics::Renewals;

/// How often files are looked at whose changes nobody tells of, as on a network file system.
const POLL: Duration = Duration::from_secs(60);

/// A file that cannot be used, by listener.
type Refusal = (String, Fault);

/// What became of certificates since the process started.
#[derive(Debug, Default)]
pub struct Certificates {
    renewed: AtomicU64,
    failed: AtomicU64,
    refused: Mutex<Vec<Refusal>>,
    changed: Notify,
}

impl Certificates {
    /// The files that could not be used when they were read last, as `LISTENER: PATH: WHY`.
    pub fn refusals(&self) -> Vec<String> {
        self.refused().iter().map(|(listener, fault)| format!("listener {listener}: {fault}")).collect()
    }

    pub(super) fn counts(&self) -> Renewals {
        Renewals {
            renewed: self.renewed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Other listeners may have other files.
    pub(super) fn follow(&self) {
        self.changed.notify_one();
    }

    /// Every file could be used.
    pub(super) fn settled(&self) {
        self.refused().clear();
    }

    /// Counts and tells the faults that were not known.
    fn refuse(&self, now: Vec<Refusal>) {
        let mut known = self.refused();
        for (listener, fault) in now.iter().filter(|refusal| !known.contains(refusal)) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                listener,
                hint = fault.hint,
                "certificate not renewed, the one before stays: {fault}"
            );
        }
        *known = now;
    }

    fn refused(&self) -> MutexGuard<'_, Vec<Refusal>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The TLS of each listener, to follow what is open.
///
/// # Errors
/// Every file that cannot be used.
pub(super) fn read(
    listeners: &[config::Listener],
    open: &[Arc<Bound>],
) -> Result<Vec<Option<Arc<Termination>>>, Vec<Refusal>> {
    let (mut built, mut refused) = (Vec::with_capacity(listeners.len()), Vec::new());
    for listener in listeners {
        let Some(settings) = &listener.tls else {
            built.push(None);
            continue;
        };
        let previous = open.iter().find(|bound| bound.is(listener)).and_then(|bound| bound.tls.load_full());
        match Termination::build(settings, previous.as_deref()) {
            Ok(termination) => built.push(Some(Arc::new(termination))),
            Err(faults) => refused.extend(faults.into_iter().map(|fault| (listener.name.clone(), fault))),
        }
    }
    if refused.is_empty() { Ok(built) } else { Err(refused) }
}

impl Control {
    /// Reads the files again, and puts in force what is new. To be called by who holds the turn to reload.
    pub(super) async fn refresh_certificates(&self) {
        let secured: Vec<(Arc<Bound>, Arc<Termination>)> = self
            .listeners()
            .into_iter()
            .filter_map(|bound| bound.tls.load_full().map(|tls| (bound, tls)))
            .collect();
        let look = move || secured.into_iter().map(|(bound, tls)| (bound, tls.refresh())).collect::<Vec<_>>();
        // An error is a panic there, which costs this look at the files and nothing else.
        let Ok(looked) = apart(look).await else { return };
        let mut refused = Vec::new();
        for (bound, Refreshed { next, faults }) in looked {
            let listener = bound.name.load().to_string();
            if let Some(next) = next {
                tell(&listener, &next);
                bound.tls.store(Some(Arc::new(next)));
                self.certificates.renewed.fetch_add(1, Ordering::Relaxed);
            }
            refused.extend(faults.into_iter().map(|fault| (listener.clone(), fault)));
        }
        self.certificates.refuse(refused);
    }

    /// Every file that a listener shows something of.
    fn certificate_files(&self) -> BTreeSet<PathBuf> {
        let listeners = self.listeners();
        let secured = listeners.iter().filter_map(|bound| bound.tls.load_full());
        secured.flat_map(|tls| tls.files().cloned().collect::<Vec<_>>()).collect()
    }

    /// Whether a staple that is shown is out of date.
    fn has_stale_staples(&self) -> bool {
        let now = pki::now();
        let listeners = self.listeners();
        let mut secured = listeners.iter().filter_map(|bound| bound.tls.load_full());
        secured.any(|tls| tls.credentials.iter().any(|credential| credential.shows_stale(now)))
    }
}

fn tell(listener: &str, termination: &Termination) {
    tracing::info!(listener, "certificates renewed");
    for credential in &termination.credentials {
        for oddity in &credential.oddities {
            tracing::warn!(listener, "{oddity}");
        }
    }
}

/// Follows the files of listeners, if the options say so. Ends with the runtime it is called in.
pub(super) fn start(control: &Arc<Control>, requests: mpsc::Sender<Request>) {
    if control.options.watch {
        tokio::spawn(follow(Arc::clone(control), requests));
    }
}

async fn follow(control: Arc<Control>, requests: mpsc::Sender<Request>) {
    let (changed, mut events) = mpsc::channel(1);
    let (mut watch, mut known) = (None, Prints::default());
    loop {
        let files = control.certificate_files();
        // Before the files are looked at, so that no change falls between the two.
        observe(&mut watch, &files, &changed);
        let Ok(now) = apart(move || prints(files)).await else { return };
        // The first look is new too: what was replaced since the config was read has told nobody.
        let is_new = now != known;
        known = now;
        let due = is_new || control.has_stale_staples();
        if due && requests.send(Request::Reload(Cause::Certificates)).await.is_err() {
            return;
        }
        tokio::select! {
            _ = timeout(POLL, events.recv()) => {}
            () = control.certificates.changed.notified() => {}
        }
        sleep(DEBOUNCE).await;
        while events.try_recv().is_ok() {}
    }
}

/// Has no watch where there is nothing to be watched.
fn observe(watch: &mut Option<Watch>, files: &BTreeSet<PathBuf>, changed: &mpsc::Sender<()>) {
    let watched = match watch {
        _ if files.is_empty() => {
            *watch = None;
            return;
        }
        Some(watch) => watch.follow(files.clone()),
        None => Watch::new(files.clone(), changed.clone()).map(|new| *watch = Some(new)),
    };
    if let Err(error) = watched {
        tracing::debug!(%error, "cannot watch where the certificates are: they are looked at once a minute");
    }
}

/// By what a file differs from the one that it replaces, without reading it; `None` for one that is not there.
type Print = Option<[i64; 5]>;

type Prints = Vec<(PathBuf, Print)>;

fn prints(files: BTreeSet<PathBuf>) -> Prints {
    files.into_iter().map(|path| (path.clone(), print(&path))).collect()
}

fn print(path: &Path) -> Print {
    let found = fs::metadata(path).ok()?;
    Some([
        found.ino().cast_signed(),
        found.size().cast_signed(),
        found.mtime(),
        found.ctime(),
        found.ctime_nsec(),
    ])
}
