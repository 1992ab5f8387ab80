//! Routes by host: one lookup for the exact host, one for each parent domain that a wildcard could name.

use std::collections::HashMap;

use super::{Candidate, Head, paths::Paths};
use crate::config::{HostPattern, PathPattern};

/// The paths of every host, every wildcard, and of routes that name no host.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: HashMap<Box<str>, Paths>,
    /// By the domain after `*.`.
    wildcard: HashMap<Box<str>, Paths>,
    /// Bytes of the longest key of `wildcard`; a host that is all dots would otherwise cost a hash of each suffix.
    longest_wildcard: usize,
    any: Paths,
}

impl Hosts {
    pub(super) fn insert(&mut self, host: Option<&HostPattern>, path: &PathPattern, candidate: Candidate) {
        let paths = match host {
            None => &mut self.any,
            Some(HostPattern::Exact(host)) => self.exact.entry(host.as_str().into()).or_default(),
            Some(HostPattern::Wildcard(domain)) => {
                self.longest_wildcard = self.longest_wildcard.max(domain.len());
                self.wildcard.entry(domain.as_str().into()).or_default()
            }
        };
        paths.insert(path, candidate);
    }

    /// Puts the candidates in order of rank; nothing is inserted after it.
    pub(super) fn seal(&mut self) {
        let named = self.exact.values_mut().chain(self.wildcard.values_mut());
        named.chain([&mut self.any]).for_each(Paths::seal);
    }

    pub(super) fn find(&self, head: &Head<'_>) -> Option<usize> {
        self.exact
            .get(head.host)
            .and_then(|paths| paths.find(head))
            .or_else(|| self.find_wildcard(head))
            .or_else(|| self.any.find(head))
    }

    fn find_wildcard(&self, head: &Head<'_>) -> Option<usize> {
        let matching =
            parents(head.host, self.longest_wildcard).filter_map(|domain| self.wildcard.get(domain));
        matching.filter_map(|paths| paths.find(head)).next()
    }
}

/// The domains above `host`, longest first, that are no longer than `longest` bytes.
fn parents(host: &str, longest: usize) -> impl Iterator<Item = &str> {
    // A parent no longer than `longest` follows a dot at or after this byte.
    let from = host.len().saturating_sub(longest.saturating_add(1));
    let dots = host.bytes().enumerate().skip(from).filter(|&(at, byte)| byte == b'.' && at > 0);
    dots.map(|(at, _)| &host[at + 1..])
}
