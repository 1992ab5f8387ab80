//! Routes of one host by path: exact before longest prefix before regex before any.

use std::collections::HashMap;

use regex::Regex;

use super::candidate::first_taker;
use super::prefixes::Prefixes;
use super::{Candidate, Head};
use crate::config::PathPattern;
use crate::policy::path::normalise;

#[derive(Debug, Default)]
pub(super) struct Paths {
    exact: HashMap<Box<str>, Vec<Candidate>>,
    prefixes: Prefixes,
    /// Tried in turn, their other conditions first. A `RegexSet` would look at all of them for every request, and
    /// would have to be compiled on every reload.
    regexes: Vec<(Regex, Candidate)>,
    any: Vec<Candidate>,
}

impl Paths {
    pub(super) fn insert(&mut self, path: &PathPattern, candidate: Candidate) {
        match path {
            PathPattern::Any => self.any.push(candidate),
            PathPattern::Exact(path) => {
                self.exact.entry(as_matched(path).into()).or_default().push(candidate)
            }
            PathPattern::Prefix(prefix) => match as_matched(prefix).trim_end_matches('/') {
                "" => self.any.push(candidate),
                prefix => self.prefixes.insert(prefix, candidate),
            },
            PathPattern::Regex(regex) => self.regexes.push((regex.clone(), candidate)),
        }
    }

    pub(super) fn seal(&mut self) {
        self.exact.values_mut().for_each(|candidates| candidates.sort_by_key(Candidate::rank));
        self.prefixes.seal();
        self.regexes.sort_by_key(|(_, candidate)| candidate.rank());
        self.any.sort_by_key(Candidate::rank);
    }

    pub(super) fn find(&self, head: &Head<'_>) -> Option<usize> {
        self.exact
            .get(head.path)
            .and_then(|candidates| first_taker(candidates, head))
            .or_else(|| self.prefixes.find(head))
            .or_else(|| self.find_regex(head))
            .or_else(|| first_taker(&self.any, head))
    }

    fn find_regex(&self, head: &Head<'_>) -> Option<usize> {
        let mut takers = self.regexes.iter().filter(|(_, candidate)| candidate.takes(head));
        takers.find(|(regex, _)| regex.is_match(head.path)).map(|(_, candidate)| candidate.index)
    }
}

/// A path of the config in the spelling that requests are matched in, so that `/caf%C3%A9` and `/café` are one.
/// A path that no request can have stays as it is, and matches none.
pub(in crate::policy) fn as_matched(path: &str) -> String {
    normalise(path).map_or_else(|_| path.to_owned(), |normal| normal.matched.into_owned())
}
