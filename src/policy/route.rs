//! Which route takes a request: the Gateway API's precedence, compiled once so that a lookup costs no walk over routes.
//!
//! From the most to the least specific: scheme, host (exact, longest wildcard, none), path (exact, longest prefix, regex,
//! any), then routes that name methods, then most headers, then most query parameters, then the first in the file.
//! A route of a less specific host still gets its chance when no route of a more specific one takes the request. The
//! prefix `/` takes every path, so it says nothing about the path and ranks with routes that name none, after regexes.
//! The table never changes after it is built and never allocates in a lookup.

use http::{HeaderMap, Method};

use crate::config::{RouteMatch, Scheme};

mod candidate;
pub mod conditions;
mod hosts;
mod paths;
mod prefixes;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use candidate::Candidate;
use hosts::Hosts;
pub(super) use paths::as_matched;

/// The part of a request that routes are matched against.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// As the client sees it.
    pub scheme: Scheme,
    /// In lower case, without port and without a trailing dot; empty if the request names no host.
    pub host: &'a str,
    /// [`NormalPath::matched`](super::path::NormalPath).
    pub path: &'a str,
    /// As it was sent, without `?`.
    pub query: Option<&'a str>,
    /// As it was sent.
    pub method: &'a Method,
    /// As they were sent.
    pub headers: &'a HeaderMap,
}

/// All routes of a config, indexed by host and path.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// Of routes for one scheme alone; most configs have none.
    http: Option<Box<Hosts>>,
    https: Option<Box<Hosts>>,
    hosts: Hosts,
}

impl RouteTable {
    /// Compiles the matches, in file order. Linear in their number; a regex is shared, not compiled again.
    pub fn new<'a>(routes: impl Iterator<Item = &'a RouteMatch>) -> Self {
        let mut table = Self::default();
        for (index, matches) in routes.enumerate() {
            let hosts = match matches.scheme {
                None => &mut table.hosts,
                Some(Scheme::Http) => table.http.get_or_insert_default(),
                Some(Scheme::Https) => table.https.get_or_insert_default(),
            };
            hosts.insert(matches.host.as_ref(), &matches.path, Candidate::new(index, matches));
        }
        let named = table.http.iter_mut().chain(&mut table.https).map(|hosts| &mut **hosts);
        named.chain([&mut table.hosts]).for_each(Hosts::seal);
        table
    }

    /// The index, in the order given to [`new`](Self::new), of the route that takes this request.
    pub fn find(&self, head: &Head<'_>) -> Option<usize> {
        let named = match head.scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        };
        named.as_ref().and_then(|hosts| hosts.find(head)).or_else(|| self.hosts.find(head))
    }
}
