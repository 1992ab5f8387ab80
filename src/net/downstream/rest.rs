//! What a connection that waits for its next request gives back meanwhile.
//!
//! For as long as the HTTP library has a connection it keeps buffers for it, and room for a request: some 20 KiB, which is most
//! of what ten thousand idle clients would cost. So a connection that has been idle for a while is taken from it, and given
//! to it again with the first bytes that come.

use std::time::{Duration, Instant};

use super::{Connection, Phase};

/// Whoever sends one request after another does not pay for it.
const REST_AFTER: Duration = Duration::from_secs(1);

impl Connection {
    /// Waits for the next request until then, and rests before.
    pub(super) fn idle_until(&self, until: Instant) {
        let rest = self.timers.now() + REST_AFTER;
        self.rest_until.set(Some(until).filter(|until| rest < *until));
        self.read_timer.set_at(rest.min(until));
    }

    /// The wait is not over, but long enough for the library to be done without.
    pub(super) fn begins_rest(&self) -> bool {
        let Some(until) = self.rest_until.take().filter(|_| self.phase.get() == Phase::Idle) else {
            return false;
        };
        self.rests.set(true);
        self.read_timer.set_at(until);
        true
    }

    /// Something has come.
    pub(super) fn end_rest(&self) {
        self.rest_until.set(None);
        self.rests.set(false);
    }

    /// Whether nothing is under way and the library need not have it. Told once.
    pub fn takes_rest(&self) -> bool {
        self.rests.take()
    }
}
