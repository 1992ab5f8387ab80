//! How long an exchange may take, and whose turn it was when it took too long.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::config::{BodyPace, Timeouts};
use crate::net::timers::{Timer, Timers};
use crate::policy::reason::Reason;
use crate::proxy::body::{Patience, Progress};

/// A deadline of the exchange has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// It was the client's turn to send more of the request.
    Client,
    /// It was, and whatever it sent now would come too slowly.
    ClientPace,
    /// Nothing moved for the idle timeout, and it was the endpoint's turn.
    EndpointIdle,
    /// This try took longer than the route allows for one.
    Try,
    /// The whole took longer than the route allows.
    Request,
}

impl Expired {
    /// What the client is told.
    pub fn reason(self) -> Reason {
        match self {
            Self::Client => Reason::BodyTimeout,
            Self::ClientPace => Reason::BodyTooSlow,
            Self::EndpointIdle => Reason::ResponseTimeout,
            Self::Try => Reason::PerTryTimeout,
            Self::Request => Reason::RequestTimeout,
        }
    }
}

/// The deadlines of one exchange. No timer is set until somebody waits.
#[derive(Debug)]
pub(super) struct Deadlines {
    timers: Rc<Timers>,
    timer: Option<Timer>,
    timeouts: Timeouts,
    started: Instant,
    /// When the current try began, until its response head is here.
    tried: Option<Instant>,
    last: Instant,
    /// The request's body, which moves by itself.
    pub(super) upload: Option<Rc<Progress>>,
}

impl Deadlines {
    pub(super) fn new(timers: &Rc<Timers>, started: Instant) -> Self {
        let timers = Rc::clone(timers);
        let timeouts = Timeouts::default();
        Self { timers, timer: None, timeouts, started, tried: None, last: started, upload: None }
    }

    pub(super) fn allow(&mut self, timeouts: Timeouts) {
        self.timeouts = timeouts;
    }

    /// Takes no longer than this, whatever else is allowed. Whether that is the shortest.
    pub(super) fn allow_at_most(&mut self, whole: Duration) -> bool {
        let is_shortest = self.timeouts.request.is_none_or(|request| whole < request);
        if is_shortest {
            self.timeouts.request = Some(whole);
        }
        is_shortest
    }

    /// Either side of a stream may be quiet for as long as the other.
    pub(super) fn allow_pauses(&mut self) {
        self.timeouts.body_idle = self.timeouts.idle;
        self.timeouts.pace = None;
    }

    /// How fast the body of the request must come.
    pub(super) fn pace(&self) -> Option<BodyPace> {
        self.timeouts.pace
    }

    /// A try begins.
    pub(super) fn try_begins(&mut self, now: Instant) {
        self.tried = Some(now);
        self.last = now;
    }

    /// The current try has got its response head, or failed.
    pub(super) fn try_ends(&mut self, now: Instant) {
        self.tried = None;
        self.last = now;
    }

    /// Whether the endpoint had at least half of the time for the whole request to itself. A client that uploads slowly,
    /// or endpoints that were asked before, may have used up the rest.
    pub(super) fn were_the_endpoint_s(&self, now: Instant) -> bool {
        let its_turn = self.tried.map_or(now, |tried| tried.max(self.last_move()));
        let own = now.saturating_duration_since(its_turn);
        self.timeouts.request.is_some_and(|whole| own >= whole / 2)
    }

    /// What is left of the time for the whole request, where that is bounded.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.timeouts.request.map(|whole| (self.started + whole).saturating_duration_since(now))
    }

    /// Something of the response has moved.
    pub(super) fn moved(&mut self, now: Instant) {
        self.last = now;
    }

    /// How long the client may leave the response untaken.
    pub(super) fn reader_patience(&self) -> Patience {
        Patience { idle: self.timeouts.idle, whole: self.timeouts.request.map(|whole| self.started + whole) }
    }

    /// Nothing is waited for any more.
    pub(super) fn forget(&mut self) {
        self.timer = None;
    }

    /// Whether the whole request has been passed on.
    pub(super) fn upload_finished(&self) -> bool {
        self.upload.as_ref().is_none_or(|upload| upload.finished.get().is_some())
    }

    /// Ready when a deadline has passed.
    pub(super) fn poll_expired(&mut self, cx: &Context<'_>) -> Poll<Expired> {
        if self.timer.is_none() {
            let timer = self.timers.timer();
            timer.set_at(self.deadline());
            self.timer = Some(timer);
        }
        while self.timer.as_ref().is_some_and(|timer| timer.poll_fired(cx).is_ready()) {
            if let Some(expired) = self.expired(self.timers.now()) {
                return Poll::Ready(expired);
            }
            if let Some(timer) = &self.timer {
                timer.set_at(self.deadline());
            }
        }
        Poll::Pending
    }

    /// The next point in time at which something may have expired.
    fn deadline(&self) -> Instant {
        let whole = self.timeouts.request.map(|whole| self.started + whole);
        [whole, self.try_deadline()].into_iter().flatten().fold(self.idle_deadline(), Instant::min)
    }

    /// While it is not the client's turn, the next look is due no later than the client could be late.
    fn idle_deadline(&self) -> Instant {
        let idle = self.last_move() + self.timeouts.idle;
        match self.waits_for_client() {
            _ if !self.tries() => idle,
            Some(since) => self.next_look().min(since + self.client_may_wait()),
            None if self.upload_finished() => idle,
            None => idle.min(self.next_look()),
        }
    }

    /// The client could not be late before, whatever of the body moves meanwhile: nobody says when it becomes its turn,
    /// nor when a new stretch of its pace begins.
    fn next_look(&self) -> Instant {
        let grace = self.timeouts.pace.map_or(Duration::MAX, |pace| pace.grace);
        self.timers.now() + self.client_may_wait().min(grace)
    }

    /// How long the client may take for its next piece.
    fn client_may_wait(&self) -> Duration {
        self.patience().map_or(self.timeouts.body_idle, |patience| patience.min(self.timeouts.body_idle))
    }

    /// How long until it is too slow, where a rate is asked of it.
    fn patience(&self) -> Option<Duration> {
        self.upload.as_ref().and_then(|upload| upload.patience.get())
    }

    /// A try counts from when the request was sent whole. While it is not, the next look is due no later than it could
    /// be: nobody says when the last of it has gone. A body that nobody has asked for waits for a connection, and that is
    /// the try's own time.
    fn try_deadline(&self) -> Option<Instant> {
        let (tried, per_try) = (self.tried?, self.timeouts.per_try?);
        let since = match &self.upload {
            None => tried,
            Some(upload) if upload.is_untouched() => tried,
            Some(upload) => upload.finished.get().unwrap_or_else(|| self.timers.now()).max(tried),
        };
        Some(since + per_try)
    }

    fn expired(&self, now: Instant) -> Option<Expired> {
        let whole = self.timeouts.request.is_some_and(|whole| now >= self.started + whole);
        let (idle, slow) = (self.is_idle(now), self.is_slow(now));
        let one = self.try_deadline().is_some_and(|deadline| now >= deadline);
        match (whole, idle || slow || one) {
            (false, false) => None,
            _ if slow => Some(Expired::ClientPace),
            _ if self.waits_for_client().is_some() => Some(Expired::Client),
            (true, _) => Some(Expired::Request),
            (false, true) if one => Some(Expired::Try),
            (false, true) => Some(Expired::EndpointIdle),
        }
    }

    /// An endpoint that has begun to answer may have all it wants of the request: then either side may move.
    fn is_idle(&self, now: Instant) -> bool {
        match self.waits_for_client().filter(|_| self.tries()) {
            Some(since) => now >= since + self.timeouts.body_idle,
            None => now >= self.last_move() + self.timeouts.idle,
        }
    }

    /// Whether nothing that the client could send now would come quickly enough.
    fn is_slow(&self, now: Instant) -> bool {
        let waits = self.waits_for_client().filter(|_| self.tries());
        waits.zip(self.patience()).is_some_and(|(since, patience)| now >= since + patience)
    }

    /// Whether a response head is waited for.
    fn tries(&self) -> bool {
        self.tried.is_some()
    }

    /// Since when it has been the client's turn to send more of the request, if it is.
    fn waits_for_client(&self) -> Option<Instant> {
        let upload = self.upload.as_ref().filter(|_| !self.upload_finished())?;
        upload.waits_since.get()
    }

    fn last_move(&self) -> Instant {
        let uploaded = self.upload.as_ref().and_then(|upload| upload.moved.get());
        uploaded.map_or(self.last, |uploaded| uploaded.max(self.last))
    }
}
