//! What is different where a request is a gRPC call.

use http::{HeaderMap, HeaderValue, header};

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
    /// And that is shorter than what the route allows.
    Hurried,
}

impl Exchange {
    /// It is a gRPC call. To be called before its route is known.
    pub fn begin_call(&mut self) {
        self.call = Call::Yes;
    }

    /// Whether its client itself says how little time it allows.
    pub fn is_hurried(&self) -> bool {
        self.call == Call::Hurried
    }

    /// Whether that was too little: the same to an endpoint as a call that is cancelled.
    pub(super) fn was_hurried(&self) -> bool {
        self.is_hurried() && self.record.grpc_status == Some(Code::DEADLINE_EXCEEDED)
    }

    /// Whether it is a gRPC call.
    pub fn is_grpc(&self) -> bool {
        self.call != Call::No
    }

    /// A call takes no longer than its client waits, and its messages come when they come, where the endpoint can take them so
    /// (`streams`) and no length is said of them. To be called once the route has said how long things may take.
    pub fn bound_call(&mut self, headers: &HeaderMap, streams: bool) {
        if !self.is_grpc() {
            return;
        }
        if let Some(timeout) = grpc::timeout(headers) {
            let is_shortest = self.deadlines.allow_at_most(timeout);
            self.call = if is_shortest { Call::Hurried } else { Call::Timed };
        }
        if streams && !headers.contains_key(header::CONTENT_LENGTH) {
            self.deadlines.allow_pauses();
        }
    }

    /// Tells the endpoint how long the client still waits, if that is bounded.
    pub fn tell_time_left(&self, headers: &mut HeaderMap) {
        if matches!(self.call, Call::Timed | Call::Hurried)
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
