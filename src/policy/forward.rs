//! Headers on their way through: what belongs to one connection stays on it, and who asked is said truthfully
//! (RFC 9110 section 7.6.1; design, section 10).
//!
//! Works in place on the client's map. Content-Length passes as it is, for the HTTP library to frame by; Transfer-Encoding
//! never passes, the library writes its own, and where one was, Content-Length goes too. Via is passed on but not added,
//! as in nginx, HAProxy and Envoy: nginx endpoints stop compressing for requests that have one. Nothing here knows of a
//! route's own header edits, which come after it.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

mod client;
mod hop_by_hop;
mod look_alike;
mod origin;
mod present;
mod sticky;
#[cfg(test)]
mod tests;
mod trailers;
mod version;

use super::audience::X_TILLGATE_TOKEN;
use present::Present;

pub use client::{TrustedProxies, client_address, client_behind, client_scheme};
pub use hop_by_hop::tokens;
pub use sticky::{header_value, sticky_value};
pub use trailers::prepare_trailers;
pub use version::{to_http1, to_http2};

/// Names a request in the logs of everybody it passes.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Says which endpoint was picked and why, to those who may know.
pub static X_TILLGATE_ENDPOINT: HeaderName = HeaderName::from_static("x-tillgate-endpoint");

/// Says to an endpoint that the request is a copy, whose answer nobody gets. None ever sees one that a client wrote.
pub static X_TILLGATE_MIRROR: HeaderName = HeaderName::from_static("x-tillgate-mirror");

/// Who the client is by a certificate that was verified here, as Envoy writes it. Whoever finds it believes it, so no peer's
/// is passed on: proxies that are trusted to name addresses often let it through as their clients wrote it.
pub static X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Bytes of a request id that is taken over from a trusted peer.
const LONGEST_REQUEST_ID: usize = 128;

/// What the headers are to say about where a request came from.
#[derive(Debug, Clone, Copy)]
pub struct ForwardContext<'a> {
    /// Who holds the other end of the connection (after a PROXY header): what is added to X-Forwarded-For. Not the
    /// answer of [`client_address`], which a trusted peer has named there already.
    pub client: IpAddr,
    /// Whether the forwarding headers that came in are believed: [`TrustedProxies::contains`] of `client`.
    pub peer_trusted: bool,
    /// `http` or `https`, as the client connected.
    pub scheme: &'static str,
    /// Who the client is by its certificate, where the connection has one that was verified: an element of
    /// X-Forwarded-Client-Cert.
    pub client_certificate: Option<&'a HeaderValue>,
    /// The authority that the client asked for ([`authority_value`](super::head::authority_value)).
    pub host: Option<&'a HeaderValue>,
    /// Set as X-Request-ID unless a trusted peer brought one.
    pub request_id: &'a HeaderValue,
}

/// Has the headers of a request name its client by the certificate that was verified here, or by none, whatever they said
/// before. To be called before anything is decided by them.
pub fn name_client(headers: &mut HeaderMap, certificate: Option<&HeaderValue>) {
    look_alike::strip_client_certificates(headers);
    if let Some(certificate) = certificate {
        headers.insert(&X_FORWARDED_CLIENT_CERT, certificate.clone());
    }
}

/// Makes the headers of a request those to send to the endpoint. Host stays the client's.
pub fn prepare_request(headers: &mut HeaderMap, ctx: &ForwardContext<'_>) {
    let present = Present::of(headers);
    let wants_trailers = present.has(Present::TE) && hop_by_hop::wants_trailers(headers);
    hop_by_hop::strip(headers, present);
    strip_own(headers, present);
    if wants_trailers {
        // RFC 9110 section 10.1.4: who sends TE says so in Connection.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    if present.has(Present::EXPECT) {
        // The server library answers 100-continue when the body is first read.
        headers.remove(header::EXPECT);
    }
    if present.has(Present::TRAILER) {
        trailers::strip_announced(headers);
    }
    origin::declare(headers, present, ctx);
    if let Some(certificate) = ctx.client_certificate {
        headers.insert(&X_FORWARDED_CLIENT_CERT, certificate.clone());
    }
    set_host(headers, ctx);
    set_request_id(headers, ctx);
}

/// Makes the headers of a response, or its trailers, those to send to the client. For a 101, `Upgrade` and `Connection` are
/// the tunnel's to put back.
pub fn prepare_response(headers: &mut HeaderMap) {
    let present = Present::of(headers);
    hop_by_hop::strip(headers, present);
    strip_own(headers, present);
}

/// What is said between a client and Tillgate, and by no endpoint: the token would be told to it, and the name of an
/// endpoint could be another's.
fn strip_own(headers: &mut HeaderMap, present: Present) {
    if present.has(Present::OWN) {
        headers.remove(&X_TILLGATE_TOKEN);
        headers.remove(&X_TILLGATE_ENDPOINT);
        headers.remove(&X_TILLGATE_MIRROR);
        look_alike::strip_client_certificates(headers);
    }
}

/// An HTTP/2 request may have none, and an HTTP/1 endpoint needs one.
fn set_host(headers: &mut HeaderMap, ctx: &ForwardContext<'_>) {
    if let Some(host) = ctx.host {
        headers.entry(header::HOST).or_insert_with(|| host.clone());
    }
}

fn set_request_id(headers: &mut HeaderMap, ctx: &ForwardContext<'_>) {
    if !(ctx.peer_trusted && has_good_request_id(headers)) {
        headers.insert(&X_REQUEST_ID, ctx.request_id.clone());
    }
}

/// One line, short and printable: it ends up in logs.
fn has_good_request_id(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(&X_REQUEST_ID).iter();
    let is_good = |id: &HeaderValue| {
        (1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    lines.next().is_some_and(is_good) && lines.next().is_none()
}
