//! Whether a request is within the limits of its route, and what the client is told of them.
//!
//! In the fields of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` says what is allowed, `RateLimit` what is
//! left of it. What the endpoint says of limits of its own stands beside, since the client has to keep to both.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, header};

use super::told::{RATELIMIT, RATELIMIT_POLICY, Told};
use crate::config::RateKey;
use crate::policy::cookies;
use crate::policy::forward::header_value;
use crate::policy::rate_limit::{Key, Limit, Standing};
use crate::policy::reason::Reason;

/// Counts a request against the limits of its route.
///
/// # Errors
/// It is over one of them, and then counts against none.
pub(super) fn check(
    limits: &[Arc<Limit>],
    headers: &HeaderMap,
    client: IpAddr,
    now: Instant,
    told: &mut Told,
) -> Result<(), Reason> {
    if limits.is_empty() {
        return Ok(());
    }
    let ask = |take: fn(&Limit, Key<'_>, IpAddr, Instant) -> Standing| {
        let standing =
            |limit: &Arc<Limit>| take(limit, key(&limit.config().key, headers, client), client, now);
        limits.iter().map(standing).collect::<Vec<_>>()
    };
    // With several, a request that one refuses is not to use up what another allows.
    let refused =
        (limits.len() > 1).then(|| ask(Limit::peek)).filter(|standings| longest_wait(standings).is_some());
    let standings = refused.unwrap_or_else(|| ask(Limit::take));
    tell(limits, &standings, told);
    match longest_wait(&standings) {
        None => Ok(()),
        Some(wait) => {
            told.set(header::RETRY_AFTER, HeaderValue::from(seconds(wait).max(1)));
            Err(Reason::RateLimited)
        }
    }
}

/// What the limit counts the request by: what its key names, or else the client.
fn key<'a>(by: &RateKey, headers: &'a HeaderMap, client: IpAddr) -> Key<'a> {
    let value = match by {
        RateKey::ClientIp => None,
        RateKey::Header(name) => header_value(headers, name),
        RateKey::Cookie(name) => cookies::values(headers, name).next(),
    };
    value.filter(|value| !value.is_empty()).map_or_else(|| Key::client(client), Key::Value)
}

fn longest_wait(standings: &[Standing]) -> Option<Duration> {
    standings.iter().filter_map(|standing| standing.wait).max()
}

fn tell(limits: &[Arc<Limit>], standings: &[Standing], told: &mut Told) {
    for (index, (limit, standing)) in limits.iter().zip(standings).enumerate() {
        let name = Name(index);
        let rate = limit.config().rate;
        let (quota, window) = (rate.count, rate.per.duration().as_secs());
        told.add(RATELIMIT_POLICY.clone(), value(format!("{name};q={quota};w={window}")));
        let (left, reset) = (standing.remaining, seconds(standing.reset));
        told.add(RATELIMIT.clone(), value(format!("{name};r={left};t={reset}")));
    }
}

/// Of a policy: `tillgate`, and for those that stand behind it in the config, `tillgate-2` and so on. An endpoint may
/// have a `default` of its own.
struct Name(usize);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("\"tillgate\""),
            index => write!(f, "\"tillgate-{}\"", index + 1),
        }
    }
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("names of this crate and numbers are visible ASCII")
}

/// Rounded up: who comes back then is not too early.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
