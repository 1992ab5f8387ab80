//! What is different where a request is a gRPC call.

use http::{HeaderMap, HeaderValue};

use super::{Exchange, Told, outcome_of};
use crate::policy::grpc::{self, Code, GRPC_MESSAGE, GRPC_STATUS};
use crate::policy::score::Outcome;
use crate::proxy::body::DownloadError;

/// Whether a request is a gRPC call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    No,
    Yes,
    /// Its client said how long it waits.
    Timed,
}

impl Exchange {
    /// It is a gRPC call. To be called before its route is known.
    pub fn begin_call(&mut self) {
        self.call = Call::Yes;
    }

    /// Whether it is a gRPC call.
    pub fn is_grpc(&self) -> bool {
        self.call != Call::No
    }

    /// A call takes no longer than its client waits, and is not held to the pace of an upload. To be called once the route
    /// has said how long things may take.
    pub fn bound_call(&mut self, headers: &HeaderMap) {
        if !self.is_grpc() {
            return;
        }
        let timeout = grpc::timeout(headers);
        if timeout.is_some() {
            self.call = Call::Timed;
        }
        self.deadlines.allow_call(timeout);
    }

    /// Tells the endpoint how long the client still waits, if that is bounded.
    pub fn tell_time_left(&self, headers: &mut HeaderMap) {
        if self.call == Call::Timed
            && let Some(left) = self.left()
        {
            headers.insert(&grpc::GRPC_TIMEOUT, grpc::timeout_value(left));
        }
    }

    /// The end of the response says what a call came to.
    pub fn trailers_moved(&mut self, trailers: &HeaderMap) {
        if !self.is_grpc() {
            return;
        }
        let Some(code) = Code::of(trailers) else { return };
        self.call_ended(code);
        if matches!(self.record.outcome, Outcome::Failure | Outcome::SoftFailure) {
            self.sample(None, Told::Before);
        }
    }

    pub(super) fn call_ended(&mut self, code: Code) {
        self.record.grpc_status = Some(code);
        self.record.outcome = outcome_of_code(code);
    }

    /// What a call is told whose response stopped early. `None` where nobody could be told: it just ends there.
    pub fn call_failed(&mut self, error: &DownloadError) -> Option<HeaderMap> {
        if !self.is_grpc() || !self.is_multiplexed() {
            return None;
        }
        let (code, message) = match error {
            DownloadError::TimedOut(_) => (Code::DEADLINE_EXCEEDED, "The response did not end in time."),
            DownloadError::Endpoint(_) | DownloadError::CutShort => {
                (Code::UNAVAILABLE, "The endpoint broke off its response.")
            }
            // No call is compressed, so that none ends so.
            DownloadError::Compression(_) => return None,
        };
        self.record.grpc_status = Some(code);
        let message = HeaderValue::from_static(message);
        Some(HeaderMap::from_iter([(GRPC_STATUS.clone(), code.value()), (GRPC_MESSAGE.clone(), message)]))
    }
}

/// What a gRPC code says of the endpoint that sent it.
fn outcome_of_code(code: Code) -> Outcome {
    code.http_status().map_or(Outcome::Neutral, outcome_of)
}
