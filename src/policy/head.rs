//! What a request head must satisfy before anything is decided about it (design, section 10; RFC 9112 sections 3 and 6).
//!
//! The server library has parsed the bytes; here is refused what it lets through although client, proxy and endpoint
//! could read it differently: that difference is what request smuggling and host confusion are made of. Nothing is
//! repaired and nothing is guessed. Paths are [`path`](super::path)'s business.

use std::borrow::Cow;
use std::fmt;

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Version, header};

mod authority;
mod framing;
#[cfg(test)]
mod tests;

use authority::Authority;
pub use framing::Framing;

/// A request head that has passed, in the pieces that decisions are made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<'a> {
    /// The form of the request target.
    pub target: Target,
    /// Lower case, without port and trailing dot, an IPv6 address in brackets; empty for HTTP/1.0 without Host.
    /// Borrowed unless the client wrote capitals.
    pub host: Cow<'a, str>,
    /// Host and port as the client wrote them, to be forwarded in Host; empty for HTTP/1.0 without Host.
    pub authority: &'a str,
    /// The port of that, if it has one.
    pub port: Option<u16>,
    /// As sent, not normalised; `*` for the asterisk form.
    pub path: &'a str,
    /// As sent, without `?`.
    pub query: Option<&'a str>,
    /// How the body is delimited.
    pub body: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// The form of a request target that is accepted (RFC 9112 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `/path?query`.
    Origin,
    /// `http://host/path?query`; every HTTP/2 request too.
    Absolute,
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// Why a head is refused. The connection is to be closed after the answer: what follows may be no request at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// Neither HTTP/1.0, HTTP/1.1 nor HTTP/2.
    UnsupportedVersion,
    /// CONNECT: this is no forward proxy. The answer needs an `Allow` header (RFC 9110 section 15.5.6).
    ConnectRefused,
    /// Authority form without CONNECT, `*` without OPTIONS, or a path that is not absolute.
    MalformedTarget,
    /// An absolute target whose scheme is neither `http` nor `https`.
    UnsupportedScheme,
    /// HTTP/1.1 without Host, HTTP/2 without Host and `:authority`.
    MissingHost,
    /// More than one Host line, even equal ones.
    RepeatedHost,
    /// Not a name or address with an optional port: bad characters, userinfo, empty, too long, bad port.
    MalformedHost,
    /// Host names another host or port than the target.
    HostDisagrees,
    /// Transfer-Encoding other than one `chunked`.
    UnsupportedTransferEncoding,
    /// Transfer-Encoding on HTTP/1.0 or HTTP/2, which have none.
    MisplacedTransferEncoding,
    /// Transfer-Encoding and Content-Length on one request.
    ConflictingLength,
    /// More than one Content-Length line, even equal ones.
    RepeatedLength,
    /// Content-Length that is not digits only, or does not fit 64 bits.
    MalformedLength,
    /// An Expect other than `100-continue`.
    UnknownExpectation,
}

impl HeadError {
    /// What to answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::UnsupportedVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::ConnectRefused => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnknownExpectation => StatusCode::EXPECTATION_FAILED,
            Self::MalformedTarget
            | Self::UnsupportedScheme
            | Self::MissingHost
            | Self::RepeatedHost
            | Self::MalformedHost
            | Self::HostDisagrees
            | Self::UnsupportedTransferEncoding
            | Self::MisplacedTransferEncoding
            | Self::ConflictingLength
            | Self::RepeatedLength
            | Self::MalformedLength => StatusCode::BAD_REQUEST,
        }
    }

    /// The word for it in `x-tillgate-reason`, logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnsupportedVersion => "unsupported_version",
            Self::ConnectRefused => "connect_refused",
            Self::MalformedTarget => "malformed_target",
            Self::UnsupportedScheme => "unsupported_scheme",
            Self::MissingHost => "missing_host",
            Self::RepeatedHost => "repeated_host",
            Self::MalformedHost => "malformed_host",
            Self::HostDisagrees => "host_disagrees",
            Self::UnsupportedTransferEncoding => "unsupported_transfer_encoding",
            Self::MisplacedTransferEncoding => "misplaced_transfer_encoding",
            Self::ConflictingLength => "conflicting_length",
            Self::RepeatedLength => "repeated_length",
            Self::MalformedLength => "malformed_length",
            Self::UnknownExpectation => "unknown_expectation",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for HeadError {}

/// Checks a head as the server library hands it over.
///
/// # Errors
/// The first rule that the head breaks.
pub fn check_request(parts: &Parts) -> Result<Checked<'_>, HeadError> {
    check_version(parts.version)?;
    let target = check_target(parts)?;
    let named = check_host(parts)?;
    let body = framing::check_body(parts)?;
    let expects_continue = check_expect(parts)?;
    let (path, query) = (parts.uri.path(), parts.uri.query());
    let (host, authority, port) =
        named.map_or((Cow::Borrowed(""), "", None), |named| (named.host, named.text, named.port));
    Ok(Checked { target, host, authority, port, path, query, body, expects_continue })
}

/// [`Checked::authority`] as a header value, for a Host that outlives `parts`; free when the client sent a Host.
pub fn authority_value(parts: &Parts) -> Option<HeaderValue> {
    let from_target = || HeaderValue::from_str(parts.uri.authority()?.as_str()).ok();
    parts.headers.get(header::HOST).cloned().or_else(from_target)
}

fn check_version(version: Version) -> Result<(), HeadError> {
    match version {
        Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2 => Ok(()),
        _ => Err(HeadError::UnsupportedVersion),
    }
}

fn check_target(parts: &Parts) -> Result<Target, HeadError> {
    let Parts { method, uri, .. } = parts;
    match (uri.scheme_str(), uri.authority()) {
        _ if method == Method::CONNECT => Err(HeadError::ConnectRefused),
        _ if uri.path() == "*" && method == Method::OPTIONS => Ok(Target::Asterisk),
        _ if !uri.path().starts_with('/') => Err(HeadError::MalformedTarget),
        (None, None) => Ok(Target::Origin),
        (Some("http" | "https"), Some(_)) => Ok(Target::Absolute),
        (Some(_), Some(_)) => Err(HeadError::UnsupportedScheme),
        (_, _) => Err(HeadError::MalformedTarget),
    }
}

/// The host that both Host and the target name; `None` if neither need be there and neither is.
fn check_host(parts: &Parts) -> Result<Option<Authority<'_>>, HeadError> {
    let from_header = host_header(parts)?;
    let Some(target) = parts.uri.authority() else { return Ok(from_header) };
    let from_target = Authority::parse(target.as_str()).ok_or(HeadError::MalformedHost)?;
    match from_header {
        None => Ok(Some(from_target)),
        Some(named) if named.agrees_with(&from_target, parts.uri.scheme_str()) => Ok(Some(named)),
        Some(_) => Err(HeadError::HostDisagrees),
    }
}

fn host_header(parts: &Parts) -> Result<Option<Authority<'_>>, HeadError> {
    let mut lines = parts.headers.get_all(header::HOST).iter();
    match (lines.next(), lines.next()) {
        (_, Some(_)) => Err(HeadError::RepeatedHost),
        (Some(host), None) => host_value(host).map(Some),
        (None, None) if may_lack_host(parts) => Ok(None),
        (None, None) => Err(HeadError::MissingHost),
    }
}

fn host_value(host: &HeaderValue) -> Result<Authority<'_>, HeadError> {
    host.to_str().ok().and_then(Authority::parse).ok_or(HeadError::MalformedHost)
}

fn may_lack_host(parts: &Parts) -> bool {
    match parts.version {
        Version::HTTP_10 => true,
        Version::HTTP_2 => parts.uri.authority().is_some(),
        _ => false,
    }
}

fn check_expect(parts: &Parts) -> Result<bool, HeadError> {
    let mut expects = false;
    for value in parts.headers.get_all(header::EXPECT) {
        if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadError::UnknownExpectation);
        }
        expects = true;
    }
    // RFC 9110 section 10.1.1: from an HTTP/1.0 client it is ignored.
    Ok(expects && parts.version > Version::HTTP_10)
}
