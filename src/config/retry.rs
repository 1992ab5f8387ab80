//! `routes[].retry`: data only. What follows from it for one request is decided by `policy::retry`.

use std::time::Duration;

use http::StatusCode;

/// When a request that failed is sent again, how often, and where that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How many times a request is sent again at most, 1 to 5. Default 2.
    pub attempts: u8,
    /// After what. Default: after a failed connection and after a reset.
    pub on: Conditions,
    /// How many requests in a hundred may be sent again, 1 to 100; ten a second always may. Default 20.
    pub budget_percent: u8,
    /// How long to wait before the second time and those that follow; the first is not waited for.
    pub backoff: Backoff,
    /// A body of up to so many bytes, 0 to 1 MiB, is kept to be sent again. Default 0: a request that has a body is not,
    /// unless nothing of it was written.
    pub max_body: u64,
    /// Whether gRPC calls do no harm when they are made twice, and so are made again though an endpoint may have had them:
    /// they are POSTs, which otherwise never are. Default: no.
    pub idempotent_calls: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 2,
            on: [Condition::ConnectFailure, Condition::Reset].into_iter().collect(),
            budget_percent: 20,
            backoff: Backoff::default(),
            max_body: 0,
            idempotent_calls: false,
        }
    }
}

/// `retry.backoff`: a wait is at random between nothing and a bound that begins at `base` and doubles up to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// 1 ms to 1 s, and no more than `max`. Default 25 ms.
    pub base: Duration,
    /// 1 ms to 1 s. Default 250 ms.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(25), max: Duration::from_millis(250) }
    }
}

/// One entry of `retry.on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// No connection could be had, or it was lost before anything was written.
    ConnectFailure,
    /// The connection ended before a response head, or what came is not one.
    Reset,
    /// No response head in time.
    Timeout,
    /// 429.
    TooManyRequests,
    /// 500.
    InternalError,
    /// 502.
    BadGateway,
    /// 503.
    Unavailable,
    /// 504.
    GatewayTimeout,
    /// `grpc-status: 14` in place of an answer.
    GrpcUnavailable,
}

impl Condition {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ConnectFailure,
        Self::Reset,
        Self::Timeout,
        Self::TooManyRequests,
        Self::InternalError,
        Self::BadGateway,
        Self::Unavailable,
        Self::GatewayTimeout,
        Self::GrpcUnavailable,
    ];

    /// The word or number used for it in the config and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectFailure => "connect_failure",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::TooManyRequests => "429",
            Self::InternalError => "500",
            Self::BadGateway => "502",
            Self::Unavailable => "503",
            Self::GatewayTimeout => "504",
            Self::GrpcUnavailable => "grpc_unavailable",
        }
    }

    /// The status that it is, if it is one.
    pub fn status(self) -> Option<StatusCode> {
        match self {
            Self::ConnectFailure | Self::Reset | Self::Timeout | Self::GrpcUnavailable => None,
            Self::TooManyRequests => Some(StatusCode::TOO_MANY_REQUESTS),
            Self::InternalError => Some(StatusCode::INTERNAL_SERVER_ERROR),
            Self::BadGateway => Some(StatusCode::BAD_GATEWAY),
            Self::Unavailable => Some(StatusCode::SERVICE_UNAVAILABLE),
            Self::GatewayTimeout => Some(StatusCode::GATEWAY_TIMEOUT),
        }
    }

    /// The condition that a response of this status is, if it is one.
    pub fn of_status(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            429 => Some(Self::TooManyRequests),
            500 => Some(Self::InternalError),
            502 => Some(Self::BadGateway),
            503 => Some(Self::Unavailable),
            504 => Some(Self::GatewayTimeout),
            _ => None,
        }
    }
}

/// A set of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions(u16);

impl Conditions {
    /// Whether it is one of them.
    pub fn contains(self, condition: Condition) -> bool {
        self.0 & bit(condition) != 0
    }

    /// Those in it, in the order of [`Condition::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Condition> {
        Condition::ALL.into_iter().filter(move |condition| self.contains(*condition))
    }
}

impl FromIterator<Condition> for Conditions {
    fn from_iter<T: IntoIterator<Item = Condition>>(conditions: T) -> Self {
        Self(conditions.into_iter().fold(0, |set, condition| set | bit(condition)))
    }
}

fn bit(condition: Condition) -> u16 {
    1 << condition as u16
}
