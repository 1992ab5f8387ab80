//! `routes[].rate_limit`: data only. Who is over it is decided by `policy::rate_limit`.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderName;

/// How often each key may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// What of a request is counted.
    pub key: RateKey,
    /// What each key may do for as long as it likes.
    pub rate: Rate,
    /// What a key that was quiet may do at once, 1 to 1,000,000. Default: the number in `rate`.
    pub burst: NonZeroU32,
    /// Keys that are told apart at a time, 1024 to 1,048,576, at 32 bytes each (40 of a header or a cookie, see
    /// [`Self::newcomers`]). Default 65,536.
    pub max_keys: u32,
}

impl RateLimit {
    /// The default of `max_keys`.
    pub const MAX_KEYS: u32 = 65_536;

    /// Addresses by which keys are counted that there is no room for; none where the keys are addresses.
    pub fn newcomers(&self) -> u32 {
        match self.key {
            RateKey::ClientIp => 0,
            RateKey::Header(_) | RateKey::Cookie(_) => self.max_keys / 4,
        }
    }
}

/// `rate_limit.key`. A request without that header or cookie is counted by its client's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    /// The client's address (after `trusted_proxies`); of an IPv6 address its /64.
    ClientIp,
    /// The value of this header.
    Header(HeaderName),
    /// The value of the cookie of this name.
    Cookie(String),
}

impl fmt::Display for RateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
        }
    }
}

/// `rate_limit.rate`: so many in a second, minute or hour, 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In what time.
    pub per: Per,
}

impl Rate {
    /// The time that one request stands for, in whole nanoseconds; rounded up, so that none comes on top.
    pub fn interval(self) -> Duration {
        let (unit, count) = (self.per.duration().as_nanos(), u128::from(self.count.get()));
        Duration::from_nanos(u64::try_from(unit.div_ceil(count)).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.name())
    }
}

/// The unit of a [`Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// `/s`.
    Second,
    /// `/m`.
    Minute,
    /// `/h`.
    Hour,
}

impl Per {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    /// The letter behind the slash.
    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
        }
    }

    /// How long it is.
    pub fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        })
    }
}
