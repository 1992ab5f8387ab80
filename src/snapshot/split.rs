//! The upstreams that share a route's requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::Route;
use super::sticky::OwnCookie;
use crate::config;
use crate::policy::draw::Weights;
use crate::policy::seal::Mark;

/// A route's split.
#[derive(Debug)]
pub struct Split {
    /// In file order.
    pub branches: Vec<Branch>,
    /// Draws one of them.
    pub weights: Weights,
    /// Names the upstream that a client stays with, if any.
    pub cookie: Option<OwnCookie>,
}

/// One upstream of a split.
#[derive(Debug)]
pub struct Branch {
    /// Index into [`Snapshot::upstreams`](super::Snapshot::upstreams).
    pub upstream: usize,
    /// What stands for it in the cookie.
    pub mark: Mark,
    /// Requests that went to it; outlives a reload.
    pub requests: Arc<AtomicU64>,
    name: String,
    is_closed: bool,
}

impl Split {
    pub(super) fn build(
        route: &config::Route,
        indices: &HashMap<&str, usize>,
        carried: Option<&Route>,
    ) -> Option<Arc<Self>> {
        let split = route.split.as_ref()?;
        let known = carried.and_then(|route| route.split.as_ref());
        let counted = |name: &str| {
            let known = known.and_then(|split| split.branches.iter().find(|branch| branch.name == name));
            known.map_or_else(Arc::default, |branch| Arc::clone(&branch.requests))
        };
        let branch = |branch: &config::Branch| Branch {
            upstream: indices[branch.upstream.as_str()],
            mark: Mark::of(&branch.upstream),
            requests: counted(&branch.upstream),
            name: branch.upstream.clone(),
            is_closed: branch.weight == 0,
        };
        Some(Arc::new(Self {
            branches: split.branches.iter().map(branch).collect(),
            weights: Weights::new(split.branches.iter().map(|branch| branch.weight)),
            cookie: split.cookie.as_ref().map(|own| OwnCookie::for_split(own, &route.name)),
        }))
    }

    /// The branch that a mark stands for, if it still gets requests.
    pub fn branch(&self, mark: Mark) -> Option<usize> {
        self.branches.iter().position(|branch| branch.mark == mark && !branch.is_closed)
    }
}
