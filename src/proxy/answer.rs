//! Answers that Tillgate makes itself: a status, the reason in a header, and a short body.

use bytes::Bytes;
use http::response::Builder;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};

use super::body::ResponseBody;
use super::exchange::Exchange;
use super::view::Balancing;
use crate::policy::balance::Hint;
use crate::policy::grpc;
use crate::policy::reason::{Reason, Sent};
use crate::snapshot::Endpoint;

/// The header that says why.
pub const REASON: &str = "x-tillgate-reason";
/// The header that says whether the endpoint may have seen the request.
pub const UPSTREAM_SENT: &str = "x-tillgate-upstream-sent";

/// The methods a refused CONNECT is told to use (RFC 9110 section 15.5.6).
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Why a request is not answered by an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The cause.
    pub reason: Reason,
    /// Whether an endpoint may have seen it. `None` where no route took it, or one that needs no endpoint for it.
    pub sent: Option<Sent>,
}

/// Nothing was sent.
impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        let routed = !matches!(reason, Reason::BadRequest(..) | Reason::PlainHttp | Reason::NoRoute);
        Self { reason, sent: (routed && reason.is_refusal()).then_some(Sent::None) }
    }
}

impl Refusal {
    /// The same with what is known of the endpoint.
    pub fn with_sent(reason: Reason, sent: Sent) -> Self {
        Self { reason, sent: Some(sent) }
    }
}

/// What an answer is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A line of text.
    Text,
    /// An object of JSON, for whoever asks for it.
    Json,
    /// A code in the head, as gRPC has it.
    Grpc,
}

impl Form {
    /// What the client of a request can read. A CONNECT is no call, whatever it says it is: the 200 of an answer to one would
    /// be a tunnel.
    pub fn of<B>(request: &Request<B>) -> Self {
        let may_be_call = request.version() == Version::HTTP_2 && request.method() != Method::CONNECT;
        if may_be_call && grpc::is_call(request.headers()) {
            Self::Grpc
        } else if accepts_json(request.headers()) {
            Self::Json
        } else {
            Self::Text
        }
    }
}

fn accepts_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).map_or(&b""[..], |value| value.as_bytes());
    accept.windows(JSON.len()).any(|part| part.eq_ignore_ascii_case(JSON))
}

const JSON: &[u8] = b"application/json";

/// Which endpoint was picked for a request, and why: the value of `x-tillgate-endpoint`.
#[cold]
pub fn account(endpoint: &Endpoint, balancing: Balancing<'_>, picked: usize, hint: Hint) -> HeaderValue {
    let why = balancing.balancer.account(balancing.strategy, picked, hint);
    let account = format!("{}; {why}", endpoint.name);
    HeaderValue::try_from(account).expect("addresses, numbers and words of this crate are visible ASCII")
}

/// The same for an endpoint that the client stays with.
#[cold]
pub fn sticky_account(endpoint: &Endpoint) -> HeaderValue {
    let account = format!("{}; sticky: the client's cookie names it", endpoint.name);
    HeaderValue::try_from(account).expect("addresses and words of this crate are visible ASCII")
}

/// Answers the client, and closes the exchange.
pub fn refuse(refusal: Refusal, form: Form, mut exchange: Box<Exchange>) -> Response<ResponseBody> {
    let reason = refusal.reason;
    let (kind, body) = body(reason, form);
    // What is left of an upload is read as far as it is here already, or not at all: nobody can tell the client which.
    // An HTTP/2 connection goes on in any case: it is told of one stream what it is told here of the connection.
    let closes = (reason.closes() || !exchange.upload_read()) && !exchange.is_multiplexed();
    exchange.refused(reason, body.len() as u64);
    let mut response = Response::builder();
    response = match form {
        // A redirect too: clients of gRPC follow none.
        Form::Grpc => response
            .header(&grpc::GRPC_STATUS, grpc::code_of(reason).value())
            .header(&grpc::GRPC_MESSAGE, reason.text()),
        Form::Text | Form::Json => response.status(reason.status()),
    };
    if let Some(kind) = kind {
        response = response.header(header::CONTENT_TYPE, kind);
    }
    if reason.is_refusal() {
        response = response.header(header::CACHE_CONTROL, "no-store");
    }
    response = response.header(REASON, reason.header());
    if let Some(sent) = refusal.sent {
        response = response.header(UPSTREAM_SENT, sent.header());
    }
    finish(response, reason, body, closes)
}

fn finish(mut response: Builder, reason: Reason, body: Bytes, closes: bool) -> Response<ResponseBody> {
    if closes {
        response = response.header(header::CONNECTION, "close");
    }
    if reason.status() == StatusCode::METHOD_NOT_ALLOWED {
        response = response.header(header::ALLOW, ALLOWED);
    }
    let body = Some(body).filter(|body| !body.is_empty());
    response.body(ResponseBody::Own(body)).expect("every name and value is a constant of this crate")
}

fn body(reason: Reason, form: Form) -> (Option<&'static str>, Bytes) {
    match form {
        Form::Grpc => (Some("application/grpc"), Bytes::new()),
        _ if reason.status() == StatusCode::NO_CONTENT => (None, Bytes::new()),
        Form::Text => {
            let line = format!("{} ({})\n", reason.text(), reason.name());
            (Some("text/plain; charset=utf-8"), Bytes::from(line))
        }
        Form::Json => {
            let body = serde_json::json!({ "error": reason.name(), "detail": reason.text() });
            (Some("application/json"), Bytes::from(body.to_string()))
        }
    }
}
