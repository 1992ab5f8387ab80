//! Two copies of a request under way beside the deadlines of their exchange.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::super::{Answer, Ended};
use super::looks::Looks;
use crate::net::pool::Pool;
use crate::policy::endpoint::InFlight;
use crate::policy::outlier::Sign;
use crate::policy::score::{self, Outcome};
use crate::proxy::body::{Progress, RequestBody};
use crate::proxy::exchange::{Exchange, Expired};
use crate::proxy::handle::Service;
use crate::proxy::send::{Failed, Try, send};
use crate::snapshot::Id;
use crate::telemetry::record::Sample;
use crate::telemetry::recorder::Recorder;

/// Which of the two copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    First,
    Second,
}

/// The deadline that has passed for each copy.
#[derive(Debug, Default)]
pub(super) struct Stops([Cell<Option<Expired>>; 2]);

/// What one copy has of its own.
pub(super) struct Attempt {
    pub(super) index: usize,
    pub(super) in_flight: InFlight,
    pub(super) sent: Instant,
}

impl Attempt {
    pub(super) fn new(index: usize, (in_flight, sent): (InFlight, Instant)) -> Self {
        Self { index, in_flight, sent }
    }

    /// For how long it has been with its endpoint.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.sent)
    }

    /// It has come to nothing, which says so much of its endpoint, and the other copy goes on. With the status, if it was
    /// answered.
    pub(super) fn fail(
        self,
        recorder: &Recorder,
        endpoint: Id,
        route: Id,
        (outcome, status): (Outcome, Option<StatusCode>),
    ) {
        let latency = status.map(|_| self.waited(Instant::now()));
        let sign = Sign::of(outcome, status.map_or(0, |status| status.as_u16()), false);
        self.in_flight.endpoint().observe(outcome);
        let learned = score::Sample { route: route.number(), latency, outcome };
        recorder.sample(Sample { endpoint, learned, sign, began: self.sent });
        if sign == Sign::Bad {
            recorder.raise_alarm(self.in_flight.endpoint());
        }
    }
}

/// A copy that is being sent.
struct Running<'s> {
    attempt: Attempt,
    stop: &'s Cell<Option<Expired>>,
}

impl Try for Running<'_> {
    async fn within<F: Future>(&mut self, future: F) -> Result<F::Output, Expired> {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| match (future.as_mut().poll(cx), self.stop.get()) {
            (Poll::Ready(output), _) => Poll::Ready(Ok(output)),
            (Poll::Pending, Some(expired)) => Poll::Ready(Err(expired)),
            (Poll::Pending, None) => Poll::Pending,
        })
        .await
    }

    fn connected(&mut self) {
        self.attempt.sent = Instant::now();
    }

    fn waits(&mut self) {
        self.attempt.in_flight.wait(self.attempt.sent);
    }

    /// The exchange is told of the answer that it gets.
    fn answered(&mut self, _: &Response<Incoming>) {}

    fn is_hurried(&self) -> bool {
        false
    }

    fn upload(&self) -> Option<&Progress> {
        None
    }
}

/// A copy that has ended, well or not.
pub(super) struct Ran {
    pub(super) side: Side,
    pub(super) attempt: Attempt,
    pub(super) result: Result<Answer, Failed>,
}

impl Ran {
    /// As any try that ended otherwise than well.
    pub(super) fn into_ended(self) -> (Side, Attempt, Ended) {
        let ended = match self.result {
            Ok(answer) => Ended::Answered(answer),
            Err(failed) => Ended::Failed(failed),
        };
        (self.side, self.attempt, ended)
    }
}

type Run<'s> = Pin<Box<dyn Future<Output = Ran> + 's>>;

/// The copies that run.
pub(super) struct Race<'s> {
    service: &'s Service,
    stops: &'s Stops,
    first: Option<Run<'s>>,
    second: Option<Run<'s>>,
}

impl<'s> Race<'s> {
    pub(super) fn new(service: &'s Service, stops: &'s Stops) -> Self {
        Self { service, stops, first: None, second: None }
    }

    /// A copy leaves.
    pub(super) fn join(
        &mut self,
        side: Side,
        attempt: Attempt,
        pool: &'s Rc<Pool<RequestBody>>,
        request: Box<Request<RequestBody>>,
    ) {
        let running = Running { attempt, stop: self.stops.of(side) };
        let run = run(self.service, side, running, pool, request);
        *self.side(side) = Some(Box::pin(run));
    }

    /// Whether one still runs.
    pub(super) fn is_on(&self) -> bool {
        self.first.is_some() || self.second.is_some()
    }

    /// Waits for a copy to end, or for a look to be due: `None`.
    pub(super) async fn next(&mut self, exchange: &mut Exchange, looks: &mut Looks<'_>) -> Option<Ran> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(ran) = self.poll(cx) {
                return Poll::Ready(Some(ran));
            }
            if let Poll::Ready(expired) = exchange.poll_expired(cx) {
                self.stop(expired);
                return self.poll(cx).map(Some);
            }
            looks.poll(cx).map(|()| None)
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ran> {
        for side in [Side::First, Side::Second] {
            let run = self.side(side);
            if let Some(Poll::Ready(ran)) = run.as_mut().map(|run| run.as_mut().poll(cx)) {
                *run = None;
                return Poll::Ready(ran);
            }
        }
        Poll::Pending
    }

    /// The deadlines of a try are those of the older copy; after it has ended, those of the other one.
    fn stop(&self, expired: Expired) {
        let older = if self.first.is_some() { Side::First } else { Side::Second };
        self.stops.of(older).set(Some(expired));
    }

    fn side(&mut self, side: Side) -> &mut Option<Run<'s>> {
        match side {
            Side::First => &mut self.first,
            Side::Second => &mut self.second,
        }
    }
}

impl Stops {
    fn of(&self, side: Side) -> &Cell<Option<Expired>> {
        &self.0[side as usize]
    }
}

async fn run(
    service: &Service,
    side: Side,
    mut running: Running<'_>,
    pool: &Rc<Pool<RequestBody>>,
    request: Box<Request<RequestBody>>,
) -> Ran {
    let result = send(service, &mut running, pool, request).await;
    Ran { side, attempt: running.attempt, result }
}
