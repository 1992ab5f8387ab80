//! What Tillgate does to the headers of an answer, whoever makes it: the endpoint, or Tillgate itself.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::HeaderEdits;
use crate::policy::cors::{self, Cors};
use crate::policy::header_edits;
use crate::snapshot::Route;

/// What is left of a limit (draft-ietf-httpapi-ratelimit-headers).
pub static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What a limit allows (the same).
pub static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Who has made an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// An endpoint.
    Endpoint,
    /// Tillgate.
    Tillgate,
}

/// What is to be done to the answer of one request. Takes no memory while there is nothing.
#[derive(Debug, Default)]
pub struct Told {
    lines: Vec<(HeaderName, HeaderValue)>,
    edits: Option<Arc<HeaderEdits>>,
    readers: Option<Box<Readers>>,
}

/// Which pages may read the answer.
#[derive(Debug)]
struct Readers {
    cors: Arc<Cors>,
    origin: Option<HeaderValue>,
    is_preflight: bool,
}

impl Told {
    /// The route wants it so. `is_preflight`: its own policy answers.
    pub fn routed(&mut self, route: &Route, parts: &Parts, is_preflight: bool) {
        self.edits = route.response_headers.clone();
        self.readers = route.cors.as_ref().map(|cors| Box::new(Readers::of(cors, parts, is_preflight)));
    }

    /// Says it in place of what was to be said under this name.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.lines.retain(|(other, _)| *other != name);
        self.lines.push((name, value));
    }

    /// Says it beside what is there under this name: a cookie, a limit.
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.lines.push((name, value));
    }

    /// Does the route's own edits to an answer, before anything else is done to it: what Tillgate says beside is kept.
    pub fn edit(&self, maker: Maker, headers: &mut HeaderMap) {
        match (&self.edits, maker) {
            (None, _) => {}
            (Some(edits), Maker::Endpoint) => header_edits::apply(edits, headers),
            (Some(edits), Maker::Tillgate) => header_edits::apply_to_own(edits, headers),
        }
    }

    /// Adds everything to an answer. What was set replaces what is there, save cookies and limits, which are added.
    pub fn apply(self, headers: &mut HeaderMap) {
        if let Some(readers) = self.readers {
            readers.apply(headers);
        }
        for (name, value) in self.lines {
            if name == http::header::SET_COOKIE || name == RATELIMIT || name == RATELIMIT_POLICY {
                headers.append(name, value);
            } else {
                headers.insert(name, value);
            }
        }
    }
}

impl Readers {
    /// A preflight that another route's policy would have to answer is told nothing.
    fn of(cors: &Arc<Cors>, parts: &Parts, is_preflight: bool) -> Self {
        let is_stray = !is_preflight && cors::is_preflight(&parts.method, &parts.headers);
        let origin = if is_stray { None } else { cors.allows(&parts.headers) };
        Self { cors: Arc::clone(cors), origin, is_preflight }
    }

    fn apply(self, headers: &mut HeaderMap) {
        let permits = self.is_preflight && self.origin.is_some();
        self.cors.mark(self.origin, headers);
        if permits {
            self.cors.permit(headers);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{RETRY_AFTER, SET_COOKIE};

    use super::*;

    #[test]
    fn the_last_word_counts_and_cookies_add_up() {
        let mut told = Told::default();
        told.set(RETRY_AFTER, HeaderValue::from_static("1"));
        told.set(RETRY_AFTER, HeaderValue::from_static("2"));
        told.add(SET_COOKIE, HeaderValue::from_static("b=2"));
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("9"));
        headers.insert(SET_COOKIE, HeaderValue::from_static("a=1"));
        told.apply(&mut headers);
        assert_eq!(headers.get_all(RETRY_AFTER).iter().collect::<Vec<_>>(), ["2"]);
        assert_eq!(headers.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    }
}
