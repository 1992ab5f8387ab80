//! Whether a request that failed is sent again, and when (design, sections 4 and 9).
//!
//! A request that may have reached an endpoint goes out again only if its method is idempotent (RFC 9110 section 9.2.2)
//! and all of it is at hand; one of which no byte was written may go out again whatever it is. Nothing here sends or
//! waits. How many may is the [`Budget`]'s to say.

use std::time::{Duration, SystemTime};

use http::{HeaderValue, StatusCode};

mod budget;

pub use budget::Budget;

use super::reason::{Reason, Sent};
use crate::config::{Backoff, Condition, Retry};

/// A longer `Retry-After` is the client's to wait for: what waits here holds a connection and memory.
pub const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What went wrong with one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// In the words of the config. `None` for what nobody can ask to be retried.
    pub condition: Option<Condition>,
    /// Whether the endpoint may have seen the request.
    pub sent: Sent,
    /// It came on a connection that had served before: the endpoint may just have been closing it for lying unused.
    pub stale: bool,
    /// The endpoint said how long to wait.
    pub retry_after: Option<Duration>,
}

/// What of a request matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeatable {
    /// Its method is safe or idempotent.
    pub idempotent: bool,
    /// Head and body are at hand. Always so for what was not written.
    pub kept: bool,
    /// Times it was sent again already.
    pub again: u8,
    /// What is left of the time that its route allows; `None` for no bound.
    pub left: Option<Duration>,
}

/// What is done about a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The client is told.
    PassOn,
    /// It is sent again, if there is an endpoint and the budget allows it.
    Again {
        /// After this.
        wait: Duration,
        /// The same endpoint will do where there is no other.
        same: bool,
    },
}

/// What to do about `trouble` with `request`.
pub fn decide(policy: &Retry, request: Repeatable, trouble: Trouble, rng: &mut fastrand::Rng) -> Decision {
    let asked = trouble.condition.is_some_and(|condition| policy.on.contains(condition));
    if !asked || request.again >= policy.attempts || !is_harmless(request, trouble.sent) {
        return Decision::PassOn;
    }
    let wait = match trouble.retry_after {
        Some(after) => after,
        None => pause(policy.backoff, request.again, rng),
    };
    if wait > LONGEST_WAIT || request.left.is_some_and(|left| wait >= left) {
        return Decision::PassOn;
    }
    Decision::Again { wait, same: trouble.stale || trouble.retry_after.is_some() }
}

/// Whether nobody is charged twice.
fn is_harmless(request: Repeatable, sent: Sent) -> bool {
    match sent {
        Sent::None => true,
        Sent::Maybe | Sent::Yes => request.idempotent && request.kept,
    }
}

/// Nothing before the first time, since it goes to another endpoint; then full jitter, so that those that failed
/// together do not come back together (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
fn pause(backoff: Backoff, again: u8, rng: &mut fastrand::Rng) -> Duration {
    let Some(doublings) = again.checked_sub(1) else { return Duration::ZERO };
    let bound = backoff.base.saturating_mul(1 << doublings.min(16)).min(backoff.max);
    bound.mul_f64(rng.f64())
}

/// What a failure without a response is called in `retry.on`.
pub fn condition_of(reason: Reason, sent: Sent) -> Option<Condition> {
    match (reason, sent) {
        // A connection that breaks before it is used is as good as none.
        (Reason::ConnectFailed | Reason::ConnectTimeout | Reason::TlsFailed, _)
        | (Reason::Reset, Sent::None) => Some(Condition::ConnectFailure),
        // What is not HTTP ends the connection without a response head just the same. To whom it may be sent again is a
        // question of its method, not of this.
        (Reason::Reset, Sent::Maybe | Sent::Yes) | (Reason::BadResponse, _) => Some(Condition::Reset),
        (Reason::ResponseTimeout | Reason::PerTryTimeout, _) => Some(Condition::Timeout),
        (
            Reason::BadRequest(..)
            | Reason::FaultInjected(_)
            | Reason::PlainHttp
            | Reason::Redirected(_)
            | Reason::Preflight
            | Reason::NoRoute
            | Reason::BodyTooLarge
            | Reason::BodyIncomplete
            | Reason::BodyTimeout
            | Reason::BodyTooSlow
            | Reason::RateLimited
            | Reason::NoEndpoint
            | Reason::UpstreamFull
            | Reason::QueueFull
            | Reason::QueueTimeout
            | Reason::Overloaded
            // The next connection would fail alike.
            | Reason::OutOfSockets
            | Reason::RequestTimeout,
            _,
        ) => None,
    }
}

/// How long a response of this status asks to wait (RFC 9110 section 10.2.3): seconds, or a date.
pub fn retry_after(status: StatusCode, value: Option<&HeaderValue>, now: SystemTime) -> Option<Duration> {
    if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let text = value?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The endpoints that one request was sent to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tried {
    indices: [usize; Self::MOST],
    len: usize,
}

impl Tried {
    /// The first time, and the most times again that a config may ask for.
    const MOST: usize = 6;

    /// Notes one. Beyond the most there can be, the last is noted in the place of the one before.
    pub fn add(&mut self, index: usize) {
        self.indices[self.len.min(Self::MOST - 1)] = index;
        self.len = (self.len + 1).min(Self::MOST);
    }

    /// Whether this one is among them.
    #[inline]
    pub fn contains(&self, index: usize) -> bool {
        self.indices[..self.len].contains(&index)
    }

    /// The one before all others.
    pub fn first(&self) -> Option<usize> {
        self.indices[..self.len].first().copied()
    }

    /// One that was noted before is the latest again.
    pub fn turn_to(&mut self, index: usize) {
        if self.last() != Some(index) {
            self.add(index);
        }
    }

    /// The latest.
    pub fn last(&self) -> Option<usize> {
        self.indices[..self.len].last().copied()
    }
}

#[cfg(test)]
mod tests;
