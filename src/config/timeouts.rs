//! `routes[].timeouts`: data only.

use std::num::NonZeroU64;
use std::time::Duration;

/// How long the parts of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request head to the last byte of the response, 1 ms to 24 h. Default: no bound.
    pub request: Option<Duration>,
    /// For one try, from the request sent whole to the response head, and for its connection; 1 ms to 24 h. Default: no
    /// bound but the others.
    pub per_try: Option<Duration>,
    /// Without a byte moving in either direction once the request is with the endpoint. Default 60 s.
    pub idle: Duration,
    /// For the client's next piece of the request body, 1 ms to 24 h. Default: `idle`.
    pub body_idle: Duration,
    /// Without a byte in either direction of a tunnel, 1 ms to 24 h. Default 1 h.
    pub tunnel_idle: Duration,
    /// How fast a request body must come. `None`: as slowly as it likes.
    pub pace: Option<BodyPace>,
}

impl Default for Timeouts {
    fn default() -> Self {
        let idle = Duration::from_secs(60);
        let tunnel_idle = Duration::from_secs(3600);
        let pace = Some(BodyPace::default());
        Self { request: None, per_try: None, idle, body_idle: idle, tunnel_idle, pace }
    }
}

/// `timeouts.min_body_rate` and `timeouts.body_grace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyPace {
    /// Bytes a second, 1 to 1 GiB. Default 500, as Apache's mod_reqtimeout: a phone at the edge of its network sends more.
    pub rate: NonZeroU64,
    /// Over which time the rate is a mean, and so for how long nobody is too slow; 1 ms to 24 h. Default 20 s, as Apache's.
    pub grace: Duration,
}

impl Default for BodyPace {
    fn default() -> Self {
        Self { rate: NonZeroU64::MIN.saturating_add(499), grace: Duration::from_secs(20) }
    }
}
