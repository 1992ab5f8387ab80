//! Watches the config file.
//!
//! Editors and Kubernetes replace a file by renaming another over it, so the directory is watched, not the file; and
//! where the file is a symbolic link, the directory of its target too.

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

/// Keeps the watch; dropping it ends it.
pub(super) struct Watching(#[expect(dead_code, reason = "held for its drop")] RecommendedWatcher);

/// Asks for a reload when the config file changes, if the options say so.
pub(super) fn start(options: &Options, requests: mpsc::Sender<Request>) -> Option<Watching> {
    let Source::File(path) = &options.source else { return None };
    if !options.watch {
        return None;
    }
    let (changed, events) = mpsc::channel(1);
    match watch(path, changed) {
        Ok(watcher) => {
            tokio::spawn(debounce(events, requests));
            Some(Watching(watcher))
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot watch the config: edits need a SIGHUP");
            None
        }
    }
}

fn watch(path: &Path, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = recommended_watcher(move |event: notify::Result<Event>| {
        // A full channel has an event in it already.
        if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
            let _ = changed.try_send(());
        }
    })?;
    for directory in directories(path) {
        watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Where the file and its link's target are.
fn directories(path: &Path) -> BTreeSet<PathBuf> {
    let target = path.canonicalize().ok();
    let parent = |path: &Path| {
        path.parent()
            .map(|parent| if parent.as_os_str().is_empty() { ".".into() } else { parent.to_path_buf() })
    };
    [parent(path), target.as_deref().and_then(parent)].into_iter().flatten().collect()
}

async fn debounce(mut events: mpsc::Receiver<()>, requests: mpsc::Sender<Request>) {
    while events.recv().await.is_some() {
        sleep(DEBOUNCE).await;
        while events.try_recv().is_ok() {}
        if requests.send(Request::Reload(Cause::File)).await.is_err() {
            return;
        }
    }
}
