//! When a request that waits is looked at: after its delay, and if no copy may be sent then, a few times later.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::policy::hedge::LOOKS;

/// The looks at one request. The timer is the runtime's, which tells milliseconds apart, and not the worker's own, which
/// tells tenths of a second apart; there is none while the delay is not known.
pub(super) struct Looks<'t> {
    timer: Pin<&'t mut Option<Sleep>>,
    begun: Instant,
    delay: Option<Duration>,
    taken: usize,
}

impl<'t> Looks<'t> {
    pub(super) fn new(timer: Pin<&'t mut Option<Sleep>>, begun: Instant, delay: Option<Duration>) -> Self {
        Self { timer, begun, delay, taken: 0 }
    }

    /// Ready when the next one is due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().as_pin_mut().map_or(Poll::Pending, |timer| timer.poll(cx))
    }

    /// Whether this is not the first.
    pub(super) fn are_repeated(&self) -> bool {
        self.taken > 0
    }

    /// Nothing could be done at this one.
    pub(super) fn put_off(&mut self) {
        self.taken += 1;
        match (LOOKS.get(self.taken), self.delay, self.timer.as_mut().as_pin_mut()) {
            (Some(times), Some(delay), Some(timer)) => {
                timer.reset((self.begun + delay.saturating_mul(*times)).into());
            }
            _ => self.end(),
        }
    }

    /// There is nothing to look at any more.
    pub(super) fn end(&mut self) {
        self.timer.set(None);
    }
}
