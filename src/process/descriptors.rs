//! How many files and sockets the process may have open at once.
//!
//! The soft limit is 1024 on many systems, for the sake of programs that call `select`. This one does not, so it takes
//! all that it may have, as nginx, Envoy and Go do.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Listener;
use crate::net::connect::sockets;

/// Sockets of one request under way: its client's, and the endpoint's.
const PER_CONNECTION: u64 = 2;

/// Quarters of the limit that sockets to endpoints may take. The rest is for clients, the admin API, and files.
const ENDPOINT_QUARTERS: u64 = 3;

/// Raises the soft limit to the hard one, and keeps a share of it from endpoints.
pub fn raise_and_share_limit() {
    raise_limit();
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        sockets::bound(limit / 4 * ENDPOINT_QUARTERS);
    }
}

fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, limit = current, "the limit of open files cannot be raised");
    }
}

/// Warns where `listeners` may take more connections than there could be sockets for.
pub fn warn_if_few(listeners: &[Listener]) {
    let connections = listeners.iter().map(|listener| listener.limits.max_connections);
    let needed = needed(connections);
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => tracing::warn!(
            limit,
            needed,
            "the limit of open files is lower than max_connections may need: raise it (ulimit -n, LimitNOFILE=), or \
             lower max_connections"
        ),
        Some(_) | None => {}
    }
}

fn needed(connections: impl Iterator<Item = usize>) -> u64 {
    connections.fold(0, |sum: u64, most| sum.saturating_add(PER_CONNECTION.saturating_mul(most as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_of_every_listener_needs_two_sockets() {
        assert_eq!(needed([10_000, 5].into_iter()), 20_010);
        assert_eq!(needed([usize::MAX, 5].into_iter()), u64::MAX);
    }
}
