//! Passing on 103 Early Hints (RFC 8297), where a route says so: a client may load what a page needs while the endpoint is
//! still making the page.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, StatusCode, Version, header};
use hyper::ext::on_informational;

use super::body::RequestBody;
use super::handle::Service;
use crate::net::downstream::Interim;
use crate::snapshot::Route;

/// What clients go by. Anything else waits for the response.
static PASSED: [HeaderName; 3] = [header::LINK, header::CONTENT_SECURITY_POLICY, header::REFERRER_POLICY];

/// Where the hints for this client's request go, if they go anywhere. HTTP/1.0 knows of no interim responses.
pub(super) fn open(service: &Service, route: &Route, parts: &Parts) -> Option<Arc<Interim>> {
    let passes = route.early_hints && parts.version == Version::HTTP_11;
    if passes { service.connection.open_interim() } else { None }
}

/// Listens to what the endpoint says before its response. Only to the first endpoint that is asked: the next one's hints
/// would be the same.
pub(super) fn listen(interim: Option<Arc<Interim>>, request: &mut Request<RequestBody>) {
    let Some(interim) = interim else { return };
    on_informational(request, move |answer| {
        if answer.status() == StatusCode::EARLY_HINTS && answer.headers().contains_key(header::LINK) {
            interim.tell(&message(answer.headers()));
        }
    });
}

fn message(headers: &HeaderMap) -> Vec<u8> {
    let mut message = b"HTTP/1.1 103 Early Hints\r\n".to_vec();
    for name in &PASSED {
        for value in headers.get_all(name) {
            message.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    message.extend(b"\r\n");
    message
}
