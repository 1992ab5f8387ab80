//! From the client's head to the one the endpoint gets.

use http::request::Parts;
use http::{HeaderValue, Uri, Version, header};

use super::handle::Service;
use super::received::Outgoing;
use super::view::{UpstreamView, Worker};
use crate::net::tls::Session;
use crate::policy::cookies;
use crate::policy::forward::{ForwardContext, prepare_request};
use crate::policy::head::Framing;
use crate::policy::header_edits;
use crate::snapshot::{Route, Snapshot};

/// Makes the client's head the one the endpoint gets, in place.
pub fn rewrite(
    service: &Service,
    snapshot: &Snapshot,
    route: &Route,
    upstream: &UpstreamView,
    endpoint: usize,
    outgoing: Outgoing,
    parts: &mut Parts,
) {
    let host = outgoing.host.unwrap_or_else(|| endpoint_host(upstream, endpoint));
    let context = ForwardContext {
        client: service.connection.peer().ip(),
        peer_trusted: service.connection.is_believed(&snapshot.trusted),
        scheme: service.scheme,
        client_certificate: service.connection.session().and_then(Session::forwarded),
        host: Some(&host),
        request_id: &request_id(&service.worker),
    };
    prepare_request(&mut parts.headers, &context);
    if parts.version == Version::HTTP_2 {
        cookies::join(&mut parts.headers);
    }
    if let Some(host) = route.host() {
        parts.headers.insert(header::HOST, host.clone());
    }
    if let Some(edits) = &route.request_headers {
        header_edits::apply(edits, &mut parts.headers);
    }
    if outgoing.body == Framing::Chunked {
        // Said outright: for some methods the HTTP library would leave a body of unknown length out.
        parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(target) = outgoing.target {
        parts.uri = Uri::from(target);
    }
    parts.version = Version::HTTP_11;
}

/// What an HTTP/1.0 client without a Host is taken to mean: HTTP/1.1 to the endpoint needs one.
pub fn endpoint_host(upstream: &UpstreamView, endpoint: usize) -> HeaderValue {
    HeaderValue::from_str(&upstream.upstream.endpoints[endpoint].name).expect("an address is visible ASCII")
}

/// 128 random bits in hexadecimal.
fn request_id(worker: &Worker) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bits = worker.rng.borrow_mut().u128(..);
    let mut id = [0; 32];
    for digit in &mut id {
        *digit = DIGITS[(bits & 15) as usize];
        bits >>= 4;
    }
    HeaderValue::from_bytes(&id).expect("hexadecimal is visible ASCII")
}
