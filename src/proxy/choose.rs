//! Which upstream of its route a request goes to, and which endpoint of it, where a cookie of our own says so.

use std::sync::atomic::Ordering::Relaxed;

use http::HeaderMap;

use super::handle::Service;
use super::sticky::Session;
use super::told::Told;
use super::view::{UpstreamView, View};
use crate::policy::availability::Access;
use crate::policy::retry::Tried;
use crate::snapshot::{Branch, OwnCookie, Route, Split};

/// The upstream of one request.
#[derive(Debug)]
pub struct Chosen<'a> {
    /// Index into the snapshot's upstreams.
    pub index: usize,
    /// The upstream.
    pub upstream: &'a UpstreamView,
    kept: Option<Kept<'a>>,
    session: Option<Session<'a>>,
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
    pub fn of(service: &Service, view: &'a View, route: &'a Route, headers: &HeaderMap) -> Self {
        let (index, kept) = match &route.split {
            None => (route.upstream, None),
            Some(split) => branch(service, split, headers),
        };
        let upstream = view.upstream(index);
        Self { index, upstream, kept, session: Session::find(service, &upstream.upstream, headers) }
    }

    /// The endpoint that the client stays with, if it does.
    pub fn endpoint(&self) -> Option<usize> {
        self.session.as_ref().and_then(Session::endpoint)
    }

    /// The last of `tried` has answered: tells the client where it is to come again, unless it knows.
    pub fn tell(&self, service: &Service, tried: Tried, told: &mut Told) {
        if let Some(Kept { branch, cookie, is_told: false }) = &self.kept {
            service.set_cookie(cookie, branch.mark, told);
        }
        let was_full = self.endpoint().is_some_and(|kept| self.was_full(kept, tried));
        if let (Some(session), Some(endpoint)) = (&self.session, tried.last()) {
            session.tell(service, endpoint, was_full, told);
        }
    }

    /// Whoever may be asked and was not had no room.
    fn was_full(&self, kept: usize, tried: Tried) -> bool {
        !tried.contains(kept) && self.upstream.upstream.state(kept).gives(Access::Draining)
    }
}

fn branch<'a>(service: &Service, split: &'a Split, headers: &HeaderMap) -> (usize, Option<Kept<'a>>) {
    let worker = &service.worker;
    let opened = split.cookie.as_ref().and_then(|cookie| cookie.read(headers, worker.unix_time()));
    let named = opened.and_then(|opened| Some((split.branch(opened.mark)?, !opened.is_stale)));
    let (drawn, is_told) = named.unwrap_or_else(|| (split.weights.draw(&mut worker.rng.borrow_mut()), false));
    let branch = &split.branches[drawn];
    branch.requests.fetch_add(1, Relaxed);
    let kept = split.cookie.as_ref().map(|cookie| Kept { branch, cookie, is_told });
    (branch.upstream, kept)
}
