//! Watches the config file.
//!
//! Editors and Kubernetes replace a file by renaming another over it, so directories are watched, not the file: the
//! one it is in, and where links lead to it, the one of every link on the way. A link may be moved to a place that
//! nobody watched before, so what is watched is worked out again after every change. A directory that was removed is
//! waited for in the nearest one above it that is left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::control::{Cause, Request};
use super::server::{Options, Source};

/// A save is several events; they have come to rest after this.
pub(super) const DEBOUNCE: Duration = Duration::from_millis(200);
/// How long until a directory that could not be watched is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Links followed before they are taken for a circle; Linux gives up after as many.
const MOST_LINKS: usize = 40;
/// Directories made while others are put under watch, after which it is left to the next change.
const MOST_RENEWALS: usize = 16;

/// Asks for a reload when the config file changes, if the options say so. Ends with the runtime it is called in.
pub(super) fn start(options: &Options, requests: mpsc::Sender<Request>) {
    let Source::File(path) = &options.source else { return };
    if !options.watch {
        return;
    }
    let (changed, events) = mpsc::channel(1);
    match Watch::new([path.clone()].into(), changed) {
        Ok(watch) => drop(tokio::spawn(debounce(watch, events, requests))),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot watch the config: edits need a SIGHUP");
        }
    }
}

/// The directories on the way to some files, under watch until this is dropped.
pub(super) struct Watch {
    paths: BTreeSet<PathBuf>,
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
}

impl Watch {
    pub(super) fn new(paths: BTreeSet<PathBuf>, changed: mpsc::Sender<()>) -> notify::Result<Self> {
        let watcher = recommended_watcher(move |event: notify::Result<Event>| {
            // A full channel has an event in it already.
            if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
                let _ = changed.try_send(());
            }
        })?;
        let mut watch = Self { paths, watcher, directories: BTreeSet::new() };
        watch.renew()?;
        Ok(watch)
    }

    /// Watches other files from now on, and where the links lead now.
    pub(super) fn follow(&mut self, paths: BTreeSet<PathBuf>) -> notify::Result<()> {
        self.paths = paths;
        self.renew()
    }

    /// Watches where the links lead now. A directory that is watched already is watched once, and one that was
    /// removed and made again is a new one.
    fn renew(&mut self) -> notify::Result<()> {
        for _ in 0..MOST_RENEWALS {
            let directories = self.on_the_way();
            for gone in self.directories.difference(&directories) {
                // An error means that the directory itself is gone, and the watch with it.
                let _ = self.watcher.unwatch(gone);
            }
            self.directories.clone_from(&directories);
            for directory in &directories {
                self.watcher.watch(directory, RecursiveMode::NonRecursive)?;
            }
            // One that was made before its parent was watched has told nobody.
            if self.on_the_way() == directories {
                break;
            }
        }
        Ok(())
    }

    /// Whether there is a directory that the file could be in.
    fn has_home(&self) -> bool {
        self.paths.iter().any(|path| parent(path).is_dir())
    }

    fn on_the_way(&self) -> BTreeSet<PathBuf> {
        self.paths.iter().flat_map(|path| directories(path)).collect()
    }
}

/// Where the file is, and every link on the way to it, as real paths.
fn directories(path: &Path) -> BTreeSet<PathBuf> {
    let file = path.canonicalize().ok().and_then(|file| file.parent().map(Path::to_path_buf));
    let mut found: BTreeSet<PathBuf> = home(path).into_iter().chain(file).collect();
    let (mut pending, mut links) = (vec![path.to_path_buf()], 0);
    while let Some(path) = pending.pop() {
        for part in path.ancestors() {
            let Ok(target) = part.read_link() else { continue };
            links += 1;
            if links > MOST_LINKS {
                return found;
            }
            found.extend(home(part));
            pending.push(part.with_file_name("").join(target));
        }
    }
    found
}

/// The real directory that `path` is an entry of, or the nearest above it that there is.
fn home(path: &Path) -> Option<PathBuf> {
    let there = parent(path).ancestors().find_map(|directory| directory.canonicalize().ok());
    there.or_else(|| Path::new(".").canonicalize().ok())
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

async fn debounce(mut watch: Watch, mut events: mpsc::Receiver<()>, requests: mpsc::Sender<Request>) {
    let (mut blind, mut homeless) = (false, false);
    while next(&mut events, blind).await {
        sleep(DEBOUNCE).await;
        while events.try_recv().is_ok() {}
        // Before the file is read, so that no edit falls between the two.
        let renewed = watch.renew();
        if let (Err(error), false) = (&renewed, blind) {
            tracing::warn!(%error, "cannot watch where the config is now: edits may need a SIGHUP");
        }
        blind = renewed.is_err();
        // Said once, by the refusal: what else happens in the directories above is no edit.
        let idle = homeless && !watch.has_home();
        homeless = !watch.has_home();
        if !idle && requests.send(Request::Reload(Cause::File)).await.is_err() {
            return;
        }
    }
}

/// Waits for a change, or where changes cannot be seen, for the time to look again. False when there will be none.
async fn next(events: &mut mpsc::Receiver<()>, blind: bool) -> bool {
    if !blind {
        return events.recv().await.is_some();
    }
    !matches!(timeout(RETRY, events.recv()).await, Ok(None))
}
