//! Clients that stay with one endpoint of their upstream, by a cookie that only Tillgate reads.

use std::sync::atomic::Ordering::Relaxed;

use http::{HeaderMap, header};

use super::handle::Service;
use super::told::Told;
use crate::policy::seal::Mark;
use crate::snapshot::{OwnCookie, Sticky, Upstream};

/// What the cookie of one request says.
#[derive(Debug)]
pub struct Session<'a> {
    sticky: &'a Sticky,
    endpoint: Option<usize>,
    /// The cookie names somebody who is no more.
    is_orphan: bool,
    is_stale: bool,
}

impl<'a> Session<'a> {
    /// `None` where clients do not stay.
    pub fn find(service: &Service, upstream: &'a Upstream, headers: &HeaderMap) -> Option<Self> {
        let sticky = upstream.sticky.as_ref()?;
        let opened = sticky.cookie.read(headers, service.worker.unix_time());
        let endpoint = opened.and_then(|opened| sticky.endpoint(opened.mark));
        Some(Self {
            sticky,
            endpoint,
            is_orphan: opened.is_some() && endpoint.is_none(),
            is_stale: opened.is_none_or(|opened| opened.is_stale),
        })
    }

    /// The endpoint that the client was told to come to again, if there still is such a one.
    pub fn endpoint(&self) -> Option<usize> {
        self.endpoint
    }

    /// `endpoint` has answered: tells the client to come to it again, unless it knows. `was_full`: the client's own endpoint
    /// is fit, and had no room for this one request; the client stays with it.
    pub fn tell(&self, service: &Service, endpoint: usize, was_full: bool, told: &mut Told) {
        let counts = &self.sticky.counts;
        let is_kept = self.endpoint == Some(endpoint);
        let count = match self.endpoint.is_some() || self.is_orphan {
            _ if is_kept => &counts.kept,
            true => &counts.moved,
            false => &counts.new,
        };
        count.fetch_add(1, Relaxed);
        let home = self.endpoint.filter(|_| was_full).unwrap_or(endpoint);
        if self.endpoint != Some(home) || self.is_stale {
            service.set_cookie(&self.sticky.cookie, self.sticky.mark(home), told);
        }
    }
}

impl Service {
    /// Tells the client a cookie of our own, beside those of the endpoint.
    pub(super) fn set_cookie(&self, cookie: &OwnCookie, mark: Mark, told: &mut Told) {
        let mut rng = self.worker.rng.borrow_mut();
        let set = cookie.set(mark, self.worker.unix_time(), self.scheme == "https", &mut rng);
        if let Some(set) = set {
            told.add(header::SET_COOKIE, set);
        }
    }
}
