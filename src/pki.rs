//! Certificates and keys as files hold them: read, checked against each other, and named. Opens no socket and waits for
//! nothing; who shows them is `net::tls` to clients, and `net::connect::tls` to endpoints.

use std::time::{SystemTime, UNIX_EPOCH};

mod authorities;
mod client;
mod credential;
mod distinguished;
mod fault;
mod file;
mod leaf;
mod staple;

#[cfg(test)]
mod tests;

pub use authorities::Authorities;
pub use client::ClientCertificate;
pub use credential::{Credential, KeyKind};
pub use fault::{Fault, Part};
pub use leaf::{Leaf, Name};

/// Seconds since 1970, as certificates count them.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}
