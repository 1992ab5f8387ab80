//! The addresses of an upstream's endpoints.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::config::{self, Host, HostPort};
use crate::net::connect::tls::{ClientTls, Unusable};

/// Finds the addresses of a name, as the system does.
pub type Resolve<'a> = &'a dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// What a config names and cannot be had.
#[derive(Debug)]
pub enum Unresolved {
    /// An endpoint's name has no address.
    Endpoint {
        /// The upstream it belongs to.
        upstream: String,
        /// As it stands in the config.
        endpoint: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// TLS cannot be spoken with what there is.
    Tls {
        /// The upstream.
        upstream: String,
        /// Which file, and what is wrong with it.
        error: Unusable,
    },
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint { upstream, endpoint, error } => {
                write!(f, "upstream {upstream}: cannot resolve {endpoint}: {error}")
            }
            Self::Tls { upstream, error } => write!(f, "upstream {upstream}: tls: {error}"),
        }
    }
}

/// What the files of `tls` hold, if the upstream has it.
pub(super) fn tls(upstream: &config::Upstream) -> Result<Option<ClientTls>, Vec<Unresolved>> {
    let load = |tls| ClientTls::load(tls, upstream.protocol);
    let unusable = |error| vec![Unresolved::Tls { upstream: upstream.name.clone(), error }];
    upstream.tls.as_ref().map(load).transpose().map_err(unusable)
}

/// An endpoint's place in the config, and one address of it.
pub(super) struct Resolved<'a> {
    pub(super) config: &'a config::Endpoint,
    pub(super) address: SocketAddr,
}

/// A name with several addresses stands for as many endpoints. An address that came up before is left out.
pub(super) fn addresses<'a>(
    upstream: &'a config::Upstream,
    resolve: Resolve<'_>,
) -> Result<Vec<Resolved<'a>>, Vec<Unresolved>> {
    let (mut found, mut problems) = (Vec::<Resolved<'a>>::new(), Vec::new());
    let mut seen = HashSet::new();
    for config in &upstream.endpoints {
        match resolve_one(&config.address, resolve) {
            Ok(addresses) => {
                let fresh = addresses.into_iter().filter(|address| seen.insert(*address));
                found.extend(fresh.map(|address| Resolved { config, address }));
            }
            Err(error) => problems.push(Unresolved::Endpoint {
                upstream: upstream.name.clone(),
                endpoint: config.address.to_string(),
                error,
            }),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

fn resolve_one(address: &HostPort, resolve: Resolve<'_>) -> io::Result<Vec<SocketAddr>> {
    let found = match &address.host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, address.port)]),
        Host::Name(name) => resolve(name, address.port)?,
    };
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(found)
}
