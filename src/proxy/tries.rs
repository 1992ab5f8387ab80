//! One request, sent to one endpoint after another until one answers it or it must not go out again.
//!
//! What may go out again is decided by `policy::retry`; here it is done. An endpoint is not asked twice, save over a new
//! connection where the old one may have been closed for lying unused, and where it said itself when to come back.

mod hedge;

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;

use super::answer::{self, Refusal};
use super::body::{RequestBody, discard};
use super::exchange::{Exchange, outcome_of};
use super::handle::Service;
use super::rewrite::endpoint_host;
use super::send::{Failed, repeated_body, send};
use super::told::Told;
use super::view::{Balancing, UpstreamView};
use crate::config::{Condition, Protocol, Retry};
use crate::net::pool::Lease;
use crate::policy::availability::Access;
use crate::policy::balance::Hint;
use crate::policy::endpoint::InFlight;
use crate::policy::forward::X_TILLGATE_ENDPOINT;
use crate::policy::grpc::{self, Code, Pushback};
use crate::policy::reason::{Reason, Sent};
use crate::policy::retry::{self, Decision, Repeatable, Tried, Trouble};
use crate::policy::score::Outcome;
use crate::snapshot::Route;

/// An answer, and the connection that its body comes on.
pub type Answer = (Response<Incoming>, Lease<RequestBody>);

/// Where one request may go, and where it has been.
#[derive(Debug)]
pub struct Tries<'a> {
    /// What the requests of the connection share.
    pub service: &'a Service,
    /// Whose endpoints are asked.
    pub upstream: &'a UpstreamView,
    /// How they are picked.
    pub balancing: Balancing<'a>,
    /// What the balancer may know.
    pub hint: Hint,
    /// The endpoint that the client stays with, whatever the balancer thinks.
    pub kept_to: Option<usize>,
    /// Whether its method may do twice what it does once.
    pub idempotent: bool,
    /// The route that took it.
    pub route: &'a Route,
    /// The route's policy; `None` to try once.
    pub policy: Option<Retry>,
    /// Whether the client may know which endpoint was picked.
    pub explains: bool,
    /// What the answer is to say beside.
    pub told: &'a mut Told,
    /// The client named no Host, so each endpoint gets its own.
    pub hostless: bool,
    /// Endpoints asked so far.
    pub tried: Tried,
    /// What was taken of the endpoint picked last, until the request is sent there; and the account of that pick, made
    /// before this request counted there.
    pub place: Option<(InFlight, Option<HeaderValue>)>,
}

/// How one try ended other than well.
enum Ended {
    Answered(Answer),
    Failed(Failed),
}

/// What came before a try.
struct Past {
    /// Times that the request was sent again.
    again: u8,
    /// Whether an endpoint may have seen it.
    worst: Sent,
}

/// What is between a failed try and the next.
#[derive(Clone, Copy)]
struct Pause {
    /// How long it is.
    wait: Duration,
    /// The same endpoint will do where there is no other.
    same: bool,
    /// What the try has failed of.
    condition: Condition,
}

/// The request as it can go out again.
enum Repeat {
    /// Nothing of it was written.
    Unsent(Box<Request<RequestBody>>),
    /// Some of it may have been.
    Spare(Box<Spare>),
}

/// Bytes of a request body that are kept where an endpoint may refuse the request: they are in memory already.
const KEPT_IF_REFUSED: u64 = 64 * 1024;

/// What was kept of a request before it was sent.
#[derive(Clone)]
struct Spare {
    /// It goes out again only if the endpoint has not looked at it and will not.
    only_if_refused: bool,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Tries<'_> {
    /// Picks the first endpoint, as an index.
    ///
    /// # Errors
    /// None takes requests.
    pub fn begin(&mut self, exchange: &mut Exchange) -> Result<usize, Reason> {
        if let Some(policy) = &self.policy {
            self.upstream.earn_retries(policy.budget_percent);
        }
        let first = self.pick_another().ok_or_else(|| self.why_none())?;
        self.turn_to(first, exchange);
        Ok(first)
    }

    /// Sends the request to the endpoint picked, and to others for as long as it fails and may go out again.
    ///
    /// # Errors
    /// What to answer instead: the last failure, and the worst of what is known of all tries.
    pub async fn send(
        &mut self,
        exchange: &mut Exchange,
        request: Box<Request<RequestBody>>,
    ) -> Result<Answer, Refusal> {
        if let Some(hedged) = self.hedged(&request) {
            return Box::pin(self.send_hedged(exchange, request, hedged)).await;
        }
        let spare = self.spare(&request, 0);
        match self.once(exchange, request).await {
            Ok(answer) => Ok(answer),
            // Boxed, as it is rare: the future of every request would be as large.
            Err(ended) => {
                Box::pin(self.again(exchange, ended, spare, Past { again: 0, worst: Sent::None })).await
            }
        }
    }

    async fn once(
        &self,
        exchange: &mut Exchange,
        request: Box<Request<RequestBody>>,
    ) -> Result<Answer, Box<Ended>> {
        let pool = &self.upstream.pools[self.endpoint()];
        match send(self.service, exchange, pool, request).await {
            Ok(answer) if !self.is_trouble(&answer.0) => Ok(answer),
            Ok(answer) => Err(Box::new(Ended::Answered(answer))),
            Err(failed) => Err(Box::new(Ended::Failed(failed))),
        }
    }

    /// The first try has failed, and so has its second copy if there was one.
    async fn again(
        &mut self,
        exchange: &mut Exchange,
        mut ended: Box<Ended>,
        mut spare: Option<Spare>,
        past: Past,
    ) -> Result<Answer, Refusal> {
        let Past { mut again, mut worst } = past;
        loop {
            let trouble = ended.trouble();
            worst = worst.max(trouble.sent);
            let repeat = ended.repeat(spare);
            let pause = self.decide(exchange, repeat.is_some(), again, trouble);
            let (Some(repeat), Some(pause)) = (repeat, pause) else { return ended.pass_on(worst) };
            let next = match self.pause(exchange, pause, ended).await {
                Ok(next) => next,
                Err(ended) => return ended.pass_on(worst),
            };
            exchange.try_failed(pause.condition);
            let request = self.renew(exchange, repeat, next);
            again += 1;
            spare = self.spare(&request, again);
            ended = match self.once(exchange, request).await {
                Ok(answer) => return Ok(answer),
                Err(ended) => ended,
            };
        }
    }

    /// What is kept of a request that may have to go out again after some of it was written. One that may not is spared
    /// the cost, and so is the last try.
    fn spare(&self, request: &Request<RequestBody>, again: u8) -> Option<Spare> {
        let policy = self.policy.filter(|policy| again < policy.attempts)?;
        let repeatable = || request.body().kept(policy.max_body).filter(|_| self.idempotent);
        match repeatable() {
            Some(body) => Some(Spare::of(request, body)),
            None if self.may_be_refused() => Spare::if_refused(request),
            None => None,
        }
    }

    /// Whether endpoints can say of a request that was written that they have not looked at it: over HTTP/2.
    fn may_be_refused(&self) -> bool {
        self.upstream.upstream.config.protocol != Protocol::Http1
    }

    /// Whether the route asks for this answer not to be taken for one.
    fn is_trouble(&self, response: &Response<Incoming>) -> bool {
        let asks = |condition| self.policy.is_some_and(|policy| policy.on.contains(condition));
        match Condition::of_status(response.status()) {
            Some(condition) => asks(condition),
            None => asks(Condition::GrpcUnavailable) && is_unavailable(response),
        }
    }

    /// After how long the request goes out again, if it may and there is somebody to go to. The budget has been charged
    /// then.
    fn decide(&self, exchange: &Exchange, kept: bool, again: u8, trouble: Trouble) -> Option<Pause> {
        let (policy, condition) = (self.policy?, trouble.condition?);
        let request = Repeatable { idempotent: self.idempotent, kept, again, left: exchange.left() };
        let decision = retry::decide(&policy, request, trouble, &mut self.service.worker.rng.borrow_mut());
        let Decision::Again { wait, same } = decision else { return None };
        if !same && !self.is_any_left() {
            return None;
        }
        if !self.upstream.take_retry(Instant::now()) {
            exchange.retry_refused();
            return None;
        }
        Some(Pause { wait, same, condition })
    }

    /// Lets the time pass and picks the next endpoint only then: it may be out by the end of the pause, and its place is
    /// of use to others meanwhile. So is the place of the one that has failed, unless the request may come back to it, or
    /// its answer, which holds the connection, may still be the client's.
    ///
    /// # Errors
    /// Nobody is there any more; the failure as it was.
    async fn pause(
        &mut self,
        exchange: &mut Exchange,
        pause: Pause,
        ended: Box<Ended>,
    ) -> Result<usize, Box<Ended>> {
        self.hint = self.hint.again();
        if !pause.same && ended.status().is_none() {
            exchange.let_go();
        }
        sleep(pause.wait).await;
        let next = self.pick_another().or_else(|| pause.same.then(|| self.stay()));
        let Some(next) = next else { return Err(ended) };
        ended.discard(exchange).await;
        Ok(next)
    }

    /// The request as `endpoint` gets it.
    fn renew(
        &mut self,
        exchange: &mut Exchange,
        repeat: Repeat,
        endpoint: usize,
    ) -> Box<Request<RequestBody>> {
        let mut request = match repeat {
            Repeat::Unsent(request) => request,
            Repeat::Spare(spare) => Box::new(spare.request(exchange)),
        };
        if self.hostless {
            request.headers_mut().insert(header::HOST, endpoint_host(self.upstream, endpoint));
        }
        self.turn_to(endpoint, exchange);
        exchange.tell_time_left(request.headers_mut());
        request
    }

    fn turn_to(&mut self, endpoint: usize, exchange: &mut Exchange) {
        let upstream = &self.upstream.upstream;
        self.tried.add(endpoint);
        let (place, account) = self.place.take().expect("whoever is turned to was picked, and had room");
        if let Some(account) = account {
            self.told.set(X_TILLGATE_ENDPOINT.clone(), account);
        }
        exchange.sent_to(upstream, endpoint, place);
    }

    /// One that has not been asked. Where all that are open have been, a backup.
    fn pick_another(&mut self) -> Option<usize> {
        self.keep().or_else(|| self.claim(Access::Open)).or_else(|| self.claim(Access::Spare))
    }

    /// Past the balancer: one that is drained, by hand or by weight 0, keeps those who are with it.
    fn keep(&mut self) -> Option<usize> {
        let gives = |kept: &usize| self.upstream.upstream.state(*kept).gives(Access::Draining);
        let kept = self.kept_to.filter(|kept| !self.tried.contains(*kept)).filter(gives)?;
        self.enter(kept)
    }

    /// The one asked last once more. Its failed request still counts there for a moment, and makes no room for this one.
    fn stay(&mut self) -> usize {
        let same = self.endpoint();
        let account = self.account(same);
        self.place = Some((self.upstream.upstream.state(same).begin(), account));
        same
    }

    /// Picks one and takes a place there. Where another worker has taken the last one meanwhile, the next look sees it.
    fn claim(&mut self, least: Access) -> Option<usize> {
        loop {
            let picked = self.pick(least)?;
            if self.enter(picked).is_some() {
                return Some(picked);
            }
        }
    }

    /// `None` where it has no room.
    fn enter(&mut self, picked: usize) -> Option<usize> {
        let account = self.account(picked);
        self.place = Some((self.upstream.upstream.state(picked).try_begin()?, account));
        Some(picked)
    }

    fn account(&self, picked: usize) -> Option<HeaderValue> {
        let endpoint = &self.upstream.upstream.endpoints[picked];
        self.explains.then(|| match self.kept_to == Some(picked) {
            true => answer::sticky_account(endpoint),
            false => answer::account(endpoint, self.balancing, picked, self.hint),
        })
    }

    #[cold]
    fn why_none(&self) -> Reason {
        let candidates = self.balancing.balancer.candidates();
        let full = candidates.iter().any(|one| one.state.gives(Access::Spare) && !one.state.has_room());
        if full { Reason::UpstreamFull } else { Reason::NoEndpoint }
    }

    /// Whether there is one that has not been asked.
    fn is_any_left(&self) -> bool {
        let candidates = self.balancing.balancer.candidates();
        candidates.iter().enumerate().any(|(index, one)| {
            let least = if self.kept_to == Some(index) { Access::Draining } else { Access::Spare };
            one.state.gives(least) && one.state.has_room() && !self.tried.contains(index)
        })
    }

    fn pick(&self, least: Access) -> Option<usize> {
        let Balancing { balancer, cursor, .. } = self.balancing;
        let (mut cursor, mut rng) = (cursor.borrow_mut(), self.service.worker.rng.borrow_mut());
        let candidates = balancer.candidates();
        let eligible = |index: usize| {
            let state = &candidates[index].state;
            state.gives(least) && state.has_room() && !self.tried.contains(index)
        };
        balancer.pick(&mut cursor, self.hint, eligible, &mut rng)
    }

    /// The endpoint that was asked last; of two that were asked at the same time, the one whose answer counts.
    pub fn endpoint(&self) -> usize {
        self.tried.last().expect("the first endpoint is picked before anything is sent")
    }
}

/// Whether a gRPC call was turned away without an answer.
fn is_unavailable(response: &Response<Incoming>) -> bool {
    Code::of(response.headers()) == Some(Code::UNAVAILABLE)
}

/// What stands in the head of a gRPC call that was turned away.
fn trouble_of_call(response: &Response<Incoming>, trouble: Trouble) -> Trouble {
    let condition = is_unavailable(response).then_some(Condition::GrpcUnavailable);
    match grpc::pushback(response.headers()) {
        Pushback::None => Trouble { condition, ..trouble },
        Pushback::After(wait) => Trouble { condition, retry_after: Some(wait), ..trouble },
        Pushback::Never => trouble,
    }
}

/// Not by the worker's own deadlines: those that share a sweep would come back together.
async fn sleep(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

impl Ended {
    fn trouble(&self) -> Trouble {
        match self {
            Self::Answered((response, _)) => {
                let (status, after) = (response.status(), response.headers().get(header::RETRY_AFTER));
                let condition = Condition::of_status(status);
                let retry_after = retry::retry_after(status, after, SystemTime::now());
                let trouble = Trouble { condition, sent: Sent::Yes, stale: false, retry_after };
                if condition.is_none() { trouble_of_call(response, trouble) } else { trouble }
            }
            Self::Failed(failed) => Trouble {
                condition: retry::condition_of(failed.reason, failed.sent),
                sent: failed.sent,
                stale: failed.reused && failed.reason == Reason::Reset,
                retry_after: None,
            },
        }
    }

    /// What the client gets.
    fn pass_on(self, worst: Sent) -> Result<Answer, Refusal> {
        match self {
            Self::Answered(answer) => Ok(answer),
            Self::Failed(failed) => Err(Refusal::with_sent(failed.reason, worst)),
        }
    }

    /// What it says of the endpoint.
    fn outcome(&self, exchange: &Exchange) -> Outcome {
        match self {
            Self::Answered((response, _)) => outcome_of(response.status()),
            Self::Failed(failed) => exchange.blame(failed.reason),
        }
    }

    /// That of an answer.
    fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answered((response, _)) => Some(response.status()),
            Self::Failed(_) => None,
        }
    }

    /// What is there to go out again, if anything is.
    fn repeat(&mut self, spare: Option<Spare>) -> Option<Repeat> {
        match self {
            Self::Failed(failed) if failed.unsent.is_some() => failed.unsent.take().map(Repeat::Unsent),
            Self::Failed(failed) if failed.sent == Sent::None => spare.map(Box::new).map(Repeat::Spare),
            Self::Failed(_) | Self::Answered(_) => {
                spare.filter(|spare| !spare.only_if_refused).map(Box::new).map(Repeat::Spare)
            }
        }
    }

    /// An answer that nobody gets.
    async fn discard(self, exchange: &Exchange) {
        match self {
            Self::Answered((response, lease)) if exchange.upload_finished() => discard(response, lease).await,
            Self::Answered(_) | Self::Failed(_) => {}
        }
    }
}

impl Spare {
    fn of(request: &Request<RequestBody>, body: Bytes) -> Self {
        Self {
            only_if_refused: false,
            body,
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        }
    }

    /// As far as its body is at hand.
    #[cold]
    fn if_refused(request: &Request<RequestBody>) -> Option<Self> {
        let body = request.body().kept(KEPT_IF_REFUSED)?;
        Some(Self { only_if_refused: true, ..Self::of(request, body) })
    }

    /// Without a body.
    fn read(self) -> Request<RequestBody> {
        self.with(RequestBody::Empty)
    }

    fn request(self, exchange: &mut Exchange) -> Request<RequestBody> {
        let body = repeated_body(exchange, self.body.clone());
        self.with(body)
    }

    fn with(self, body: RequestBody) -> Request<RequestBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}
