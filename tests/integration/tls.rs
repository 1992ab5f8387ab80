//! TLS on listeners, as clients meet it.

use crate::support::{Authority, OK, Origin, Proxy, Yaml};

mod clients;
mod failures;
mod files;
mod handshakes;
mod renewals;
mod sessions;

/// A proxy whose listener `web` shows a certificate for shop.example, with more keys of `tls`.
fn secured(authority: &Authority, origin: &Origin, more: &str) -> Proxy {
    authority.issue("shop", &["shop.example", "localhost"]);
    Yaml::before(&[origin]).listeners(&authority.listener(&["shop"], more)).start()
}

fn ok() -> (Authority, Origin) {
    (Authority::new(), Origin::answering(OK))
}
