//! A request head that may be passed on, and what is decided from it alone.

use std::net::IpAddr;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, Version};

use super::answer::Refusal;
use crate::config::Strategy;
use crate::net::downstream::Flaw;
use crate::policy::balance::hash_key;
use crate::policy::forward::sticky_value;
use crate::policy::head::{self, Checked, Framing, HeadError, Target};
use crate::policy::path::{self, NormalPath, PathError};
use crate::policy::reason::Reason;
use crate::policy::route::Head;

/// A head that has passed every check.
#[derive(Debug)]
pub struct Received<'a> {
    parts: &'a Parts,
    checked: Checked<'a>,
    path: NormalPath<'a>,
}

/// What the endpoint is sent of it, no longer tied to the client's head.
#[derive(Debug)]
pub struct Outgoing {
    /// Where it is not the client's own: a resolved path, or an absolute form made relative.
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
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn check(parts: &'a Parts, flaw: Option<Flaw>, ended: bool) -> Result<Self, Refusal> {
        let mut checked = head::check_request(parts)?;
        if ended && parts.version == Version::HTTP_2 {
            checked.body = Framing::None;
        }
        flaw.map_or(Ok(()), |flaw| Err(HeadError::from(flaw)))?;
        let path = match checked.target {
            Target::Asterisk => NormalPath { matched: "*".into(), forwarded: "*".into() },
            Target::Origin | Target::Absolute => path::normalise(checked.path)?,
        };
        Ok(Self { parts, checked, path })
    }

    /// What routes are matched on.
    pub fn head(&self) -> Head<'_> {
        Head {
            host: &self.checked.host,
            path: &self.path.matched,
            query: self.checked.query,
            method: &self.parts.method,
            headers: &self.parts.headers,
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

    /// What the endpoint is sent.
    pub fn outgoing(&self) -> Outgoing {
        Outgoing {
            target: self.changed_target(),
            host: head::authority_value(self.parts),
            body: self.checked.body,
            expects_continue: self.checked.expects_continue,
        }
    }

    fn changed_target(&self) -> Option<PathAndQuery> {
        let Self { checked, path, .. } = self;
        if checked.target == Target::Origin && path.forwarded == checked.path {
            return None;
        }
        let target = match checked.query {
            Some(query) => format!("{}?{query}", path.forwarded),
            None => path.forwarded.clone().into_owned(),
        };
        Some(PathAndQuery::try_from(target).expect("a normalised path is a valid one"))
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
