//! A request head that may be passed on, and what is decided from it alone.

use std::borrow::Cow;
use std::net::IpAddr;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, Version};

use super::answer::Refusal;
use crate::config::{Scheme, Strategy, Upgrades};
use crate::net::downstream::Flaw;
use crate::policy::balance::hash_key;
use crate::policy::forward::sticky_value;
use crate::policy::head::{self, Checked, Framing, HeadError, Target};
use crate::policy::path::{self, NormalPath, PathError};
use crate::policy::reason::Reason;
use crate::policy::redirect::Place;
use crate::policy::rewrite::Rewrite;
use crate::policy::route::Head;
use crate::policy::upgrade::Upgrade;

/// A head that has passed every check.
#[derive(Debug)]
pub struct Received<'a> {
    parts: &'a Parts,
    checked: Checked<'a>,
    path: NormalPath<'a>,
    scheme: Scheme,
}

/// What the endpoint is sent of it, no longer tied to the client's head.
#[derive(Debug)]
pub struct Outgoing {
    /// Where it is not the client's own: a resolved or rewritten path, or an absolute form made relative.
    pub target: Option<PathAndQuery>,
    /// The authority the client asked for. An HTTP/1.0 client may name none.
    pub host: Option<HeaderValue>,
    /// How the body is framed.
    pub body: Framing,
    /// The client waits to be told to go on before it sends the body.
    pub expects_continue: bool,
}

impl<'a> Received<'a> {
    /// Holds a head to the rules of design section 10. `ended`: nothing comes after it, which HTTP/2 says in a frame.
    /// `scheme`: as the client sees it.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn check(parts: &'a Parts, flaw: Option<Flaw>, ended: bool, scheme: Scheme) -> Result<Self, Refusal> {
        let mut checked = head::check_request(parts)?;
        if ended && parts.version == Version::HTTP_2 {
            checked.body = Framing::None;
        }
        flaw.map_or(Ok(()), |flaw| Err(HeadError::from(flaw)))?;
        let path = match checked.target {
            Target::Asterisk => NormalPath { matched: "*".into(), forwarded: "*".into() },
            Target::Origin | Target::Absolute => path::normalise(checked.path)?,
        };
        Ok(Self { parts, checked, path, scheme })
    }

    /// What routes are matched on.
    pub fn head(&self) -> Head<'_> {
        Head {
            scheme: self.scheme,
            host: &self.checked.host,
            path: &self.path.matched,
            query: self.checked.query,
            method: &self.parts.method,
            headers: &self.parts.headers,
        }
    }

    /// What a redirect goes by.
    pub fn place(&self) -> Place<'_> {
        Place {
            scheme: self.scheme,
            host: Cow::Borrowed(&self.checked.host),
            port: self.checked.port,
            path: Cow::Borrowed(&self.path.forwarded),
            query: self.checked.query,
        }
    }

    /// How the body is framed.
    pub fn framing(&self) -> Framing {
        self.checked.body
    }

    /// The hash of what `consistent_hash` sticks to, if the request has it.
    pub fn sticky_key(&self, strategy: &Strategy, client: IpAddr) -> Option<u64> {
        let value = strategy.hash_key().and_then(|key| sticky_value(key, &self.head(), client))?.into_owned();
        Some(hash_key(&value))
    }

    /// What the client asks to switch to, as far as `allowed` has it.
    pub fn upgrade(&self, allowed: &Upgrades) -> Option<Upgrade> {
        Upgrade::asked(self.parts, self.framing(), allowed)
    }

    /// What the endpoint is sent, of a route with this rewrite.
    ///
    /// # Errors
    /// The rewritten path cannot be sent.
    pub fn outgoing(&self, rewrite: Option<&Rewrite>) -> Result<Outgoing, Refusal> {
        Ok(Outgoing {
            target: self.changed_target(rewrite)?,
            host: head::authority_value(self.parts),
            body: self.checked.body,
            expects_continue: self.checked.expects_continue,
        })
    }

    fn changed_target(&self, rewrite: Option<&Rewrite>) -> Result<Option<PathAndQuery>, Refusal> {
        let checked = &self.checked;
        let path = self.sent_path(rewrite)?;
        if checked.target == Target::Origin && path == checked.path {
            return Ok(None);
        }
        let target = match checked.query {
            Some(query) => format!("{path}?{query}"),
            None => path.into_owned(),
        };
        // A normalised path is a valid one, but a rewritten one may have become too long.
        let too_long = |_| Reason::BadRequest("uri_too_long", StatusCode::URI_TOO_LONG).into();
        PathAndQuery::try_from(target).map(Some).map_err(too_long)
    }

    /// `*` stands for no path.
    fn sent_path<'p>(&'p self, rewrite: Option<&'p Rewrite>) -> Result<Cow<'p, str>, PathError> {
        match rewrite.and_then(|rewrite| rewrite.path.as_ref()) {
            Some(change) if self.checked.target != Target::Asterisk => change.apply(&self.path.forwarded),
            Some(_) | None => Ok(Cow::Borrowed(&self.path.forwarded)),
        }
    }
}

impl From<Flaw> for HeadError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::RepeatedLength => Self::RepeatedLength,
            Flaw::ConflictingLength => Self::ConflictingLength,
        }
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        Reason::BadRequest(error.reason(), error.status()).into()
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        Reason::BadRequest(error.reason(), StatusCode::BAD_REQUEST).into()
    }
}
