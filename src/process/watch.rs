//! Watches the config file.
//!
//! Editors and Kubernetes replace a file by renaming another over it, so directories are watched, not the file: the
//! one it is in, and where links lead to it, the one of every link on the way. A link may be moved to a place that
//! nobody watched before, so what is watched is worked out again after every change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::control::{Cause, Request};
use super::server::{Options, Source};

/// A save is several events; they have come to rest after this.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Links followed before they are taken for a circle; Linux gives up after as many.
const MOST_LINKS: usize = 40;

/// Asks for a reload when the config file changes, if the options say so. Ends with the runtime it is called in.
pub(super) fn start(options: &Options, requests: mpsc::Sender<Request>) {
    let Source::File(path) = &options.source else { return };
    if !options.watch {
        return;
    }
    let (changed, events) = mpsc::channel(1);
    match Watch::new(path, changed) {
        Ok(watch) => drop(tokio::spawn(debounce(watch, events, requests))),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot watch the config: edits need a SIGHUP");
        }
    }
}

/// The directories on the way to a file, under watch until this is dropped.
struct Watch {
    path: PathBuf,
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
}

impl Watch {
    fn new(path: &Path, changed: mpsc::Sender<()>) -> notify::Result<Self> {
        let watcher = recommended_watcher(move |event: notify::Result<Event>| {
            // A full channel has an event in it already.
            if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
                let _ = changed.try_send(());
            }
        })?;
        let mut watch = Self { path: path.to_path_buf(), watcher, directories: BTreeSet::new() };
        watch.renew()?;
        Ok(watch)
    }

    /// Watches where the links lead now. A directory that is watched already is watched once, and one that was
    /// removed and made again is a new one.
    fn renew(&mut self) -> notify::Result<()> {
        let directories = directories(&self.path);
        for gone in self.directories.difference(&directories) {
            // An error means that the directory itself is gone, and the watch with it.
            let _ = self.watcher.unwatch(gone);
        }
        for directory in &directories {
            self.watcher.watch(directory, RecursiveMode::NonRecursive)?;
        }
        self.directories = directories;
        Ok(())
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

/// The real directory that `path` is an entry of.
fn home(path: &Path) -> Option<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).canonicalize().ok()
}

async fn debounce(mut watch: Watch, mut events: mpsc::Receiver<()>, requests: mpsc::Sender<Request>) {
    while events.recv().await.is_some() {
        sleep(DEBOUNCE).await;
        while events.try_recv().is_ok() {}
        // Before the file is read, so that no edit falls between the two.
        if let Err(error) = watch.renew() {
            tracing::warn!(%error, "cannot watch where the config is now: edits may need a SIGHUP");
        }
        if requests.send(Request::Reload(Cause::File)).await.is_err() {
            return;
        }
    }
}
