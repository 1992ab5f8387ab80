//! Signals: `SIGHUP` reloads, `SIGTERM` and `SIGINT` drain and stop, a second one stops at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::control::{Cause, Request};
use super::server::Options;

/// Turns signals into requests, if the options say so.
///
/// # Errors
/// The operating system refuses a handler.
pub(super) fn start(options: &Options, requests: &mpsc::Sender<Request>) -> io::Result<()> {
    if !options.signals {
        return Ok(());
    }
    let wanted = [
        (SignalKind::hangup(), Request::Reload(Cause::Signal)),
        (SignalKind::terminate(), Request::Drain),
        (SignalKind::interrupt(), Request::Drain),
    ];
    for (kind, request) in wanted {
        let mut stream = signal(kind)?;
        let requests = requests.clone();
        // Ends with the control thread's runtime.
        tokio::spawn(async move {
            while stream.recv().await.is_some() && requests.send(request).await.is_ok() {}
        });
    }
    Ok(())
}
