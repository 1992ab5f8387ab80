//! What is left of a route once host and path agree: method, headers and query.

use std::cmp::Reverse;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};

use super::Head;
use crate::config::{RouteMatch, Scheme};
use crate::policy::query::parameter_is;

/// The conditions of one route that no index covers.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) index: usize,
    except: Option<Scheme>,
    methods: Box<[Method]>,
    headers: Box<[(HeaderName, HeaderValue)]>,
    query: Box<[(String, String)]>,
}

impl Candidate {
    pub(super) fn new(index: usize, matches: &RouteMatch) -> Self {
        Self {
            index,
            except: matches.except,
            methods: matches.methods.as_slice().into(),
            headers: matches.headers.as_slice().into(),
            query: matches.query.as_slice().into(),
        }
    }

    /// Smaller is tried first.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        (self.methods.is_empty(), Reverse(self.headers.len()), Reverse(self.query.len()), self.index)
    }

    pub(super) fn takes(&self, head: &Head<'_>) -> bool {
        self.except != Some(head.scheme)
            && (self.methods.is_empty() || self.methods.contains(head.method))
            && self.headers.iter().all(|(name, value)| has_header(head.headers, name, value))
            && self.query.iter().all(|(name, value)| has_parameter(head.query, name, value))
    }
}

/// The route among candidates of equal host and path, in order of rank, that takes the request.
pub(super) fn first_taker(candidates: &[Candidate], head: &Head<'_>) -> Option<usize> {
    candidates.iter().find(|candidate| candidate.takes(head)).map(|candidate| candidate.index)
}

fn has_header(headers: &HeaderMap, name: &HeaderName, value: &HeaderValue) -> bool {
    headers.get_all(name).iter().any(|sent| sent == value)
}

fn has_parameter(query: Option<&str>, name: &str, value: &str) -> bool {
    query.is_some_and(|query| parameter_is(query, name, value))
}
