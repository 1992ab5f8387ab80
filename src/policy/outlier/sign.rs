//! What one try says of its endpoint.

use crate::policy::score::Outcome;

/// What outlier detection goes by. It differs from what a score goes by: a score may be wrong by a little, and an ejection
/// may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It answered. 429 too, which is what it was told to say: one client that asks too much must not take an endpoint
    /// away from all others.
    Good,
    /// 500: as often a page's fault as an endpoint's. It counts for the share of failures, where the rest of the pool is
    /// compared, and not for failures in a row.
    Error,
    /// Not connected, reset, timed out, not HTTP, or 502, 503, 504.
    Bad,
    /// An answer, told of before, that broke off before its end.
    Spoilt,
    /// Nothing: the client's doing.
    None,
}

impl Sign {
    /// `status`: the endpoint's, if it answered. `truncated`: whether the answer ended too early.
    pub fn of(outcome: Outcome, status: u16, truncated: bool) -> Self {
        match outcome {
            Outcome::Neutral => Self::None,
            Outcome::Success => Self::Good,
            Outcome::SoftFailure => Self::Error,
            Outcome::Failure if truncated => Self::Spoilt,
            Outcome::Failure if status == 429 => Self::Good,
            Outcome::Failure => Self::Bad,
        }
    }
}
