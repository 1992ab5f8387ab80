//! Which upstream of its route a request goes to.

use std::sync::atomic::Ordering::Relaxed;

use http::HeaderMap;

use super::handle::Service;
use super::told::Told;
use crate::snapshot::{Branch, OwnCookie, Route, Split};

/// The upstream of one request.
#[derive(Debug)]
pub struct Chosen<'a> {
    /// Index into the snapshot's upstreams.
    pub upstream: usize,
    kept: Option<Kept<'a>>,
}

/// A branch that the client stays with.
#[derive(Debug)]
struct Kept<'a> {
    branch: &'a Branch,
    cookie: &'a OwnCookie,
    is_told: bool,
}

impl<'a> Chosen<'a> {
    /// The only one, the one that the request's cookie names, or one that is drawn.
    pub fn of(service: &Service, route: &'a Route, headers: &HeaderMap) -> Self {
        match &route.split {
            None => Self { upstream: route.upstream, kept: None },
            Some(split) => Self::branch(service, split, headers),
        }
    }

    fn branch(service: &Service, split: &'a Split, headers: &HeaderMap) -> Self {
        let worker = &service.worker;
        let opened = split.cookie.as_ref().and_then(|cookie| cookie.read(headers, worker.unix_time()));
        let named = opened.and_then(|opened| Some((split.branch(opened.mark)?, !opened.is_stale)));
        let (index, is_told) =
            named.unwrap_or_else(|| (split.weights.draw(&mut worker.rng.borrow_mut()), false));
        let branch = &split.branches[index];
        branch.requests.fetch_add(1, Relaxed);
        let kept = split.cookie.as_ref().map(|cookie| Kept { branch, cookie, is_told });
        Self { upstream: branch.upstream, kept }
    }

    /// Takes the cookie out of what the endpoint gets.
    pub fn forget(&self, headers: &mut HeaderMap) {
        if let Some(kept) = &self.kept {
            kept.cookie.forget(headers);
        }
    }

    /// An endpoint has answered: tells the client where it is to come again, unless it knows.
    pub fn tell(&self, service: &Service, told: &mut Told) {
        let Some(Kept { branch, cookie, is_told: false }) = &self.kept else { return };
        service.set_cookie(cookie, branch.mark, told);
    }
}
