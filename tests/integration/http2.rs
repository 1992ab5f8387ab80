//! HTTP/2 from clients: without TLS, as all that is above it is the same with it.

use crate::support::{OK, Origin, Proxy};

mod deadlines;
mod ending;
mod floods;
mod heads;
mod messages;
mod streams;
mod tools;

/// One origin that answers `ok`, and a proxy before it with one worker, so that all connections share it.
fn shop() -> (Origin, Proxy) {
    let origin = Origin::answering(OK);
    let proxy = crate::support::Yaml::before(&[&origin]).workers(1).start();
    (origin, proxy)
}
