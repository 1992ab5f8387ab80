//! `upstreams.*.health_check`: data only. What follows from a check's results is decided by `policy::health`.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Method, StatusCode};

/// How the endpoints of an upstream are asked whether they are well, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Where, if not at the port that the requests go to.
    pub port: Option<NonZeroU16>,
    /// From the beginning of one check to that of the next, 100 ms to 1 h. Default 2 s.
    pub interval: Duration,
    /// For the whole of a check, the connection with it, 10 ms to 5 min, and no more than `interval`. Default 1 s.
    pub timeout: Duration,
    /// So many checks in a row must pass before an unhealthy endpoint is healthy, 1 to 100. Default 2.
    pub rise: u8,
    /// So many checks in a row must fail before a healthy endpoint is unhealthy, 1 to 100. Default 3.
    pub fall: u8,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            probe: Probe::Http(HttpProbe::default()),
            port: None,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
        }
    }
}

/// `health_check.type`, with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A request that is answered with a status that is expected.
    Http(HttpProbe),
    /// A connection that is accepted.
    Tcp,
    /// `grpc.health.v1.Health/Check`, answered with `SERVING`.
    Grpc(GrpcProbe),
}

impl Probe {
    /// The word used for it in the config.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp => "tcp",
            Self::Grpc(_) => "grpc",
        }
    }
}

/// What a check by HTTP asks, and what it takes for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// Default GET.
    pub method: Method,
    /// With its query, if it has one. Default `/`.
    pub path: PathAndQuery,
    /// The Host header. Default: the address that is connected to.
    pub host: Option<Authority>,
    /// Beside those that every check has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Default 200 to 399.
    pub expect: Statuses,
    /// Text that stands among the first [`HttpProbe::BODY_BYTES`] of the body, 1 to 1000 bytes.
    pub body: Option<String>,
}

impl HttpProbe {
    /// So much of a body is looked at.
    pub const BODY_BYTES: usize = 64 * 1024;
}

impl Default for HttpProbe {
    fn default() -> Self {
        Self {
            method: Method::GET,
            path: PathAndQuery::from_static("/"),
            host: None,
            headers: Vec::new(),
            expect: Statuses::default(),
            body: None,
        }
    }
}

/// What a check by gRPC asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrpcProbe {
    /// Whose health is asked for, up to 255 bytes. Default: that of the whole server.
    pub service: Option<String>,
    /// The `:authority`. Default: the address that is connected to.
    pub host: Option<Authority>,
}

/// A set of statuses: ranges with both ends, in the order of the file. At least one, and at most 16.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// Takes ranges, the lower end first.
    pub(super) fn new(ranges: Vec<(u16, u16)>) -> Self {
        Self(ranges)
    }

    /// Whether it is one of them.
    pub fn contains(&self, status: StatusCode) -> bool {
        self.0.iter().any(|(least, most)| (*least..=*most).contains(&status.as_u16()))
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![(200, 399)])
    }
}

/// As in the config: `200-399,404`.
impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (least, most)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match least == most {
                true => write!(f, "{comma}{least}")?,
                false => write!(f, "{comma}{least}-{most}")?,
            }
        }
        Ok(())
    }
}
