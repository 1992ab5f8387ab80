//! Which pages of other origins may read an answer: the CORS protocol (Fetch standard, section 3.3).
//!
//! The route answers for its endpoints: what they say of it is taken off, so that there is one place to look and no
//! header stands there twice. An origin that is not allowed is told nothing, which is a browser's no; its requests are
//! not refused here, since who is no browser sends no Origin, or any.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::route::{Head, RouteTable};
use crate::config::{self, Listed, OriginPattern};

/// Everything that an endpoint may say of it.
static ANSWERED: [HeaderName; 7] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
    HeaderName::from_static("access-control-allow-private-network"),
];

/// Bytes of an Origin that is looked at.
const LONGEST_ORIGIN: usize = 512;

/// A route's policy, as headers.
#[derive(Debug)]
pub struct Cors {
    origins: Listed<OriginPattern>,
    credentials: bool,
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    max_age: HeaderValue,
}

impl Cors {
    /// Compiles a policy.
    pub fn new(cors: &config::Cors) -> Self {
        Self {
            origins: cors.allow_origins.clone(),
            credentials: cors.allow_credentials,
            methods: list(&cors.allow_methods, Method::as_str),
            headers: list(&cors.allow_headers, HeaderName::as_str),
            exposed: list(&cors.expose_headers, HeaderName::as_str),
            max_age: HeaderValue::from(cors.max_age.as_secs()),
        }
    }

    /// The value of Access-Control-Allow-Origin for a request with these headers, if there is one.
    pub fn allows(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        match &self.origins {
            Listed::All => Some(HeaderValue::from_static("*")),
            Listed::These(patterns) => origin(headers)
                .filter(|origin| patterns.iter().any(|pattern| covers(pattern, origin)))
                .cloned(),
        }
    }

    /// Makes an answer say who may read it, and nothing else of the kind. `allowed` is the answer of [`Self::allows`].
    pub fn mark(&self, allowed: Option<HeaderValue>, headers: &mut HeaderMap) {
        for name in &ANSWERED {
            headers.remove(name);
        }
        if matches!(self.origins, Listed::These(_)) {
            // Also where the answer says nothing: a cache must not hand it to an origin that would be told more.
            vary_by_origin(headers);
        }
        let Some(origin) = allowed else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(exposed) = &self.exposed {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    /// Makes the answer to a preflight of an origin that is allowed say what it may ask.
    pub fn permit(&self, headers: &mut HeaderMap) {
        let lists =
            [(ACCESS_CONTROL_ALLOW_METHODS, &self.methods), (ACCESS_CONTROL_ALLOW_HEADERS, &self.headers)];
        for (name, list) in lists {
            if let Some(list) = list {
                headers.insert(name, list.clone());
            }
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
    }
}

/// The route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its index.
    pub index: usize,
    /// Whether the request is a preflight that the route's policy answers.
    pub is_preflight: bool,
}

/// The route that takes a request. A preflight belongs to the route of the request that it asks leave for, if that has a
/// policy: a route of POST takes no OPTIONS, and another route's policy must not let the POST through.
pub fn find(table: &RouteTable, head: &Head<'_>, has_policy: impl Fn(usize) -> bool) -> Option<Found> {
    let asked = requested(head).and_then(|method| table.find(&Head { method: &method, ..*head }));
    match asked.filter(|index| has_policy(*index)) {
        Some(index) => Some(Found { index, is_preflight: true }),
        None => table.find(head).map(|index| Found { index, is_preflight: false }),
    }
}

/// Whether it has the form of a preflight.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The method that a preflight asks leave for.
fn requested(head: &Head<'_>) -> Option<Method> {
    if !is_preflight(head.method, head.headers) {
        return None;
    }
    Method::from_bytes(head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

/// The one Origin of a request.
fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(ORIGIN).iter();
    let first = lines.next().filter(|origin| origin.len() <= LONGEST_ORIGIN)?;
    lines.next().is_none().then_some(first)
}

fn covers(pattern: &OriginPattern, origin: &HeaderValue) -> bool {
    let origin = origin.as_bytes();
    match pattern {
        OriginPattern::Exact(exact) => origin == exact.as_bytes(),
        OriginPattern::Wildcard { scheme, domain } => {
            let rest = origin.strip_prefix(scheme.as_bytes());
            rest.and_then(|rest| rest.strip_suffix(domain.as_bytes())).is_some_and(are_labels)
        }
    }
}

/// As browsers write them. What else could stand there could end the host: `https://evil.example/.shop.example`.
fn are_labels(text: &[u8]) -> bool {
    let is_fit =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    text.split(|byte| *byte == b'.').all(|label| !label.is_empty() && label.iter().all(is_fit))
}

fn vary_by_origin(headers: &mut HeaderMap) {
    let lines = headers.get_all(VARY).into_iter();
    let mut names =
        lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if !names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin")) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

/// `None` for an empty list.
fn list<T>(listed: &Listed<T>, name: impl Fn(&T) -> &str) -> Option<HeaderValue> {
    let text = match listed {
        Listed::All => "*".to_owned(),
        Listed::These(names) => names.iter().map(name).collect::<Vec<_>>().join(", "),
    };
    (!text.is_empty()).then(|| HeaderValue::try_from(text).expect("methods and names of headers are tokens"))
}

#[cfg(test)]
mod tests;
