//! Why Tillgate answered by itself, in one closed list: the values of `x-tillgate-reason` and of the `reason` label.

use http::{HeaderValue, StatusCode};

/// One cause for an answer that is Tillgate's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The head breaks a rule of HTTP; which one is in the word.
    BadRequest(&'static str, StatusCode),
    /// The request came without TLS to a listener that has it.
    PlainHttp,
    /// The route has faults injected on purpose; the word is always the same, the status as configured.
    FaultInjected(StatusCode),
    /// The route sends the client elsewhere; the word is always the same, the status as configured.
    Redirected(StatusCode),
    /// The route's CORS policy answers for its endpoints what a page may ask.
    Preflight,
    /// No route takes the request.
    NoRoute,
    /// The client, or whatever else the route counts, asks too often.
    RateLimited,
    /// The body is larger than the route's `max_body`.
    BodyTooLarge,
    /// The body ended before it was complete, or was not well-formed.
    BodyIncomplete,
    /// The next piece of the body did not arrive in time.
    BodyTimeout,
    /// The body came more slowly than the route allows.
    BodyTooSlow,
    /// No endpoint may take requests.
    NoEndpoint,
    /// Every endpoint that takes requests has as many as it may have, and none may wait.
    UpstreamFull,
    /// As many requests wait for the upstream as may.
    QueueFull,
    /// The request waited for the upstream for as long as it may.
    QueueTimeout,
    /// The upstream has more to do than it can, and the request is of those that go first.
    Overloaded,
    /// Sockets, ports or memory for a connection to the endpoint have run out here.
    OutOfSockets,
    /// The endpoint refused the connection, or cannot be reached.
    ConnectFailed,
    /// The connection was not established in time.
    ConnectTimeout,
    /// The endpoint did not prove who it is, or speaks no TLS that is spoken here.
    TlsFailed,
    /// The endpoint closed the connection before its response head.
    Reset,
    /// The endpoint's response is not HTTP.
    BadResponse,
    /// The endpoint let nothing be heard for the idle timeout.
    ResponseTimeout,
    /// No response head within the time for one try.
    PerTryTimeout,
    /// The request took longer than its route allows.
    RequestTimeout,
}

impl Reason {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest(word, _) => word,
            Self::PlainHttp => "plain_http",
            Self::FaultInjected(_) => "fault_injected",
            Self::Redirected(_) => "redirect",
            Self::Preflight => "cors_preflight",
            Self::NoRoute => "no_route",
            Self::RateLimited => "rate_limited",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyIncomplete => "body_incomplete",
            Self::BodyTimeout => "body_timeout",
            Self::BodyTooSlow => "body_too_slow",
            Self::NoEndpoint => "no_endpoint",
            Self::UpstreamFull => "upstream_full",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Overloaded => "overloaded",
            Self::OutOfSockets => "out_of_sockets",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::TlsFailed => "tls_failed",
            Self::Reset => "reset",
            Self::BadResponse => "bad_response",
            Self::ResponseTimeout => "response_timeout",
            Self::PerTryTimeout => "per_try_timeout",
            Self::RequestTimeout => "request_timeout",
        }
    }

    /// The word as a header value.
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    /// The status it is answered with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_, status) | Self::FaultInjected(status) | Self::Redirected(status) => status,
            Self::Preflight => StatusCode::NO_CONTENT,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::PlainHttp | Self::BodyIncomplete => StatusCode::BAD_REQUEST,
            Self::BodyTimeout | Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoEndpoint
            | Self::UpstreamFull
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::Overloaded
            | Self::OutOfSockets => StatusCode::SERVICE_UNAVAILABLE,
            // A dead endpoint is a dead endpoint, whether it refuses or drops what it is sent.
            Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::TlsFailed
            | Self::Reset
            | Self::BadResponse => StatusCode::BAD_GATEWAY,
            Self::ResponseTimeout | Self::PerTryTimeout | Self::RequestTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What it means, for a person.
    pub fn text(self) -> &'static str {
        match self {
            Self::BadRequest(..) => "The request is not one that may be passed on.",
            Self::PlainHttp => "A plain HTTP request was sent to an HTTPS port; use https://.",
            Self::FaultInjected(_) => "This route fails some requests on purpose, as a test.",
            Self::Redirected(_) => "This is found at the place that Location names.",
            Self::Preflight => "What pages of this origin may ask stands in the headers.",
            Self::NoRoute => "No route takes this request.",
            Self::RateLimited => "Too many requests; Retry-After says when to come back.",
            Self::BodyTooLarge => "The request body is larger than this route allows.",
            Self::BodyIncomplete => "The request body ended early or is not well-formed.",
            Self::BodyTimeout => "The request body did not arrive in time.",
            Self::BodyTooSlow => "The request body arrived too slowly.",
            Self::NoEndpoint => "No endpoint of the upstream takes requests.",
            Self::UpstreamFull => "Every endpoint of the upstream is busy.",
            Self::QueueFull => "The upstream is busy, and too many requests wait for it.",
            Self::QueueTimeout => "The upstream was busy for too long.",
            Self::Overloaded => "The upstream is overloaded.",
            Self::OutOfSockets => "This server has no connection left for the request.",
            Self::ConnectFailed => "The endpoint cannot be reached.",
            Self::ConnectTimeout => "The endpoint did not accept the connection in time.",
            Self::TlsFailed => "No secure connection to the endpoint could be made.",
            Self::Reset => "The endpoint closed the connection before it answered.",
            Self::BadResponse => "The endpoint's answer is not valid HTTP.",
            Self::ResponseTimeout | Self::PerTryTimeout => "The endpoint did not answer in time.",
            Self::RequestTimeout => "The request took longer than its route allows.",
        }
    }

    /// Whether the client does not get what it asked for. A redirect is what its route is there for.
    pub fn is_refusal(self) -> bool {
        !matches!(self, Self::Redirected(_) | Self::Preflight)
    }

    /// Whether the request was turned away for the load: nothing of it was sent, and it may come again soon.
    pub fn is_load(self) -> bool {
        matches!(self, Self::UpstreamFull | Self::QueueFull | Self::QueueTimeout | Self::Overloaded)
    }

    /// Whether the rest of the request cannot be trusted to be where it should, so that the connection must close.
    pub fn closes(self) -> bool {
        match self {
            Self::BadRequest(..)
            | Self::PlainHttp
            | Self::BodyTooLarge
            | Self::BodyIncomplete
            | Self::BodyTimeout
            | Self::BodyTooSlow => true,
            Self::NoRoute
            | Self::Redirected(_)
            | Self::Preflight
            | Self::RateLimited
            | Self::NoEndpoint
            | Self::OutOfSockets
            | Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::TlsFailed
            | Self::Reset
            | Self::BadResponse
            | Self::ResponseTimeout
            | Self::PerTryTimeout
            | Self::RequestTimeout
            | Self::UpstreamFull
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::Overloaded
            | Self::FaultInjected(_) => false,
        }
    }
}

/// Whether an endpoint may have seen the request: the value of `x-tillgate-upstream-sent`. In order of how bad it would
/// be to send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sent {
    /// No byte of it was written.
    None,
    /// Some of it may have been.
    Maybe,
    /// The endpoint has begun to answer it.
    Yes,
}

impl Sent {
    /// The word as a header value.
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::None => "none",
            Self::Maybe => "maybe",
            Self::Yes => "yes",
        })
    }
}
