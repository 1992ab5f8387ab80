//! A read that is slow to be answered is sent to a second endpoint as well, and the first answer wins.
//!
//! HTTP/1 cannot take a request back, so the copy that loses is dropped with its connection. It leaves no latency and no
//! failure behind; that an endpoint is overtaken again and again shows elsewhere (`EndpointState::overtaken`). Everything
//! here is for GET and HEAD without a body; nothing else comes in.

mod looks;
mod notes;
mod race;

use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};

use self::looks::Looks;
use self::notes::{FirstNote, SecondNote};
use self::race::{Attempt, Race, Ran, Side, Stops};
use super::Ended;
use super::{Answer, Past, Spare, Tries};
use crate::policy::availability::Access;
use crate::policy::hedge::Cause;
use crate::policy::reason::Sent;
use crate::policy::score::Outcome;
use crate::proxy::admission::Permit;
use crate::proxy::answer::{self, Refusal};
use crate::proxy::body::RequestBody;
use crate::proxy::exchange::{Exchange, outcome_of};
use crate::proxy::rewrite::endpoint_host;
use crate::snapshot::Hedged;
use crate::telemetry::record::{Hedge, HedgeEnd, Hedging};

/// The second copy of a request.
struct Second<'a> {
    index: usize,
    sent: Instant,
    note: SecondNote<'a>,
    /// For a client that may know which endpoint was picked, and why.
    account: Option<HeaderValue>,
}

impl<'a> Tries<'a> {
    /// By what rule the request may be with two endpoints at a time, if it may. One that is kept to an endpoint may not:
    /// another knows nothing of the session, and would answer the sooner for it. Nor one that is to become a tunnel.
    pub(super) fn hedged(&self, request: &Request<RequestBody>) -> Option<&'a Hedged> {
        let hedged = self.route.hedge.as_ref()?;
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let free = self.kept_to.is_none();
        let switches = request.headers().contains_key(header::UPGRADE);
        (reads && free && !switches && matches!(request.body(), RequestBody::Empty)).then_some(hedged)
    }

    /// As `send`, with a second copy if the first is slow.
    pub(super) async fn send_hedged(
        &mut self,
        exchange: &mut Exchange,
        request: Box<Request<RequestBody>>,
        hedged: &'a Hedged,
    ) -> Result<Answer, Refusal> {
        hedged.state.allowance.pay_in(hedged.policy.max_percent);
        let delay = hedged.state.delay(hedged.policy.after);
        let begun = Instant::now();
        let timer = pin!(delay.map(|delay| tokio::time::sleep_until((begun + delay).into())));
        let mut looks = Looks::new(timer, begun, delay);
        let mut note = FirstNote::begin(&self.service.worker.recorder, self.route, begun, delay);
        let spare = Spare::of(&request, Bytes::new());
        let (stops, index) = (Stops::default(), self.endpoint());
        let lent = exchange.lend().expect("the first endpoint is picked before anything is sent");
        // The second copy's, for as long as there are two. It outlives the copies: with the permit free and the endpoint's
        // place not yet, the next request would be let in to find no room.
        let mut permit = None;
        let mut race = Race::new(self.service, &stops);
        race.join(Side::First, Attempt::new(index, lent), &self.upstream.pools[index], request);
        let (mut second, mut past) = (None, Past { again: 0, worst: Sent::None });
        loop {
            let Some(ran) = race.next(exchange, &mut looks).await else {
                match self.second(hedged, looks.are_repeated()) {
                    Ok((copy, attempt, held)) => {
                        permit = held;
                        let request = self.copy(&spare, copy.index);
                        race.join(Side::Second, attempt, &self.upstream.pools[copy.index], request);
                        exchange.copied();
                        past.again += 1;
                        second = Some(copy);
                        looks.end();
                    }
                    Err(cause) => {
                        self.tell(Hedge::Refused(cause));
                        looks.put_off();
                    }
                }
                continue;
            };
            note.ends_with(&ran);
            if self.wins(&ran, race.is_on()) {
                return Ok(self.pass_on(exchange, ran, second, race.is_on()));
            }
            if !race.is_on() {
                return Box::pin(self.give_up(exchange, ran, second, spare, past)).await;
            }
            let sent = self.leave(exchange, ran, &mut second).await;
            past.worst = past.worst.max(sent);
            drop(permit.take());
        }
    }

    /// Picks the endpoint for a second copy, as a retry does, and counts it there; unless that would do more harm than good.
    fn second(
        &mut self,
        hedged: &Hedged,
        repeated: bool,
    ) -> Result<(Second<'a>, Attempt, Option<Permit>), Cause> {
        let upstream = &self.upstream.upstream;
        if !upstream.has_to_spare() {
            return Err(Cause::Unfit);
        }
        self.hint = self.hint.again();
        let index = self.pick(Access::Open).ok_or(Cause::NoEndpoint)?;
        let state = upstream.state(index);
        if upstream.load.is_busy(state.in_flight()) {
            return Err(Cause::Busy);
        }
        // Before the place: whoever has a permit counts on finding one.
        let permit = self.permit()?;
        // Another worker may have taken the last place there.
        let place = state.try_begin().ok_or(Cause::NoEndpoint)?;
        if !hedged.state.allowance.take(repeated) {
            return Err(Cause::Budget);
        }
        self.tried.add(index);
        let endpoint = &upstream.endpoints[index];
        let account = self.explains.then(|| answer::account(endpoint, self.balancing, index, self.hint));
        let sent = Instant::now();
        let note = SecondNote::begin(&self.service.worker.recorder, self.route, endpoint.id);
        Ok((Second { index, sent, note, account }, Attempt::new(index, (place, sent)), permit))
    }

    /// What a second copy needs beside its place where the upstream bounds what it has in flight.
    fn permit(&self) -> Result<Option<Permit>, Cause> {
        let queue = self.upstream.queue.as_ref();
        queue.map(|queue| queue.enter_beside().ok_or(Cause::Busy)).transpose()
    }

    fn copy(&self, spare: &Spare, endpoint: usize) -> Box<Request<RequestBody>> {
        let mut request = Box::new(spare.clone().read());
        if self.hostless {
            request.headers_mut().insert(header::HOST, endpoint_host(self.upstream, endpoint));
        }
        request
    }

    /// Whether what a copy ended in goes to the client. A second copy that only fails quicker does not take the answer
    /// away that the first may still get.
    fn wins(&self, ran: &Ran, other_runs: bool) -> bool {
        match &ran.result {
            Ok((response, _)) if self.is_trouble(response) => false,
            Ok((response, _)) => {
                let fails = matches!(outcome_of(response.status()), Outcome::Failure | Outcome::SoftFailure);
                ran.side == Side::First || !other_runs || !fails
            }
            Err(_) => false,
        }
    }

    /// The client gets this answer. The other copy, if it still runs, is about to be dropped.
    fn pass_on(
        &mut self,
        exchange: &mut Exchange,
        ran: Ran,
        mut second: Option<Second<'_>>,
        other_runs: bool,
    ) -> Answer {
        if let (Side::Second, Some(second)) = (ran.side, &mut second) {
            second.note.copied.end = HedgeEnd::Won;
            if other_runs {
                let first = self.tried.first().expect("a second copy follows a first");
                second.note.copied.other = self.upstream.upstream.endpoints[first].id;
                self.upstream.upstream.state(first).overtaken();
            }
        }
        let answer = ran.result.expect("what wins is an answer");
        self.settle(exchange, ran.side, ran.attempt, second);
        exchange.answered(&answer.0);
        answer
    }

    /// One copy has failed, and the other goes on. Whether the endpoint may have seen it.
    async fn leave(&self, exchange: &mut Exchange, ran: Ran, second: &mut Option<Second<'_>>) -> Sent {
        let upstream = &self.upstream.upstream;
        let (side, attempt, ended) = ran.into_ended();
        let endpoint = upstream.endpoints[attempt.index].id;
        // As long as the exchange is about the older copy, whose deadlines they are.
        let outcome = ended.outcome(exchange);
        if let Some(second) = second {
            let failed = matches!(outcome, Outcome::Failure | Outcome::SoftFailure);
            (second.note.copied.other, second.note.copied.failed) = (endpoint, failed);
            match side {
                Side::First => exchange.goes_on_at(upstream, second.index, second.sent),
                Side::Second => second.note.copied.end = HedgeEnd::Failed,
            }
        }
        if side == Side::Second {
            *second = None;
        }
        attempt.fail(&self.service.worker.recorder, endpoint, self.route.id, (outcome, ended.status()));
        let sent = ended.trouble().sent;
        ended.discard(exchange).await;
        sent
    }

    /// No copy is left. What follows is what follows any failure; a second copy counts as a time that the request was
    /// sent again.
    async fn give_up(
        &mut self,
        exchange: &mut Exchange,
        ran: Ran,
        mut second: Option<Second<'_>>,
        spare: Spare,
        past: Past,
    ) -> Result<Answer, Refusal> {
        if let Some(second) = &mut second {
            second.note.copied.end = HedgeEnd::Failed;
        }
        let (side, attempt, ended) = ran.into_ended();
        self.settle(exchange, side, attempt, second);
        if let Ended::Answered((response, _)) = &ended {
            exchange.answered(response);
        }
        self.again(exchange, Box::new(ended), Some(spare), past).await
    }

    /// The exchange is about this copy alone, and so is the cookie that names the endpoint.
    fn settle(&mut self, exchange: &mut Exchange, side: Side, attempt: Attempt, second: Option<Second<'_>>) {
        self.tried.turn_to(attempt.index);
        exchange.goes_on_at(&self.upstream.upstream, attempt.index, attempt.sent);
        exchange.adopt(attempt.in_flight);
        if let (Side::Second, Some(account)) = (side, second.and_then(|second| second.account)) {
            self.told.set(super::X_TILLGATE_ENDPOINT.clone(), account);
        }
    }

    fn tell(&self, told: Hedge) {
        self.service.worker.recorder.hedging(Hedging { route: self.route.id, told });
    }
}
