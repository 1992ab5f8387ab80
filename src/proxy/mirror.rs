//! Copies of requests to an upstream whose answers nobody gets.
//!
//! A copy is a task of its own on the worker of its request. It waits for nothing of the request, and the request for
//! nothing of it; neither the request's record nor the figures and the retry budget of its upstream know of it. It does
//! count as a request in flight of its endpoint and of its upstream, and where they have no room it is dropped: it waits in
//! no line. It is sent once, and ended by its timeout or the end of the worker.
//!
//! What becomes of it tells its endpoint's balancer and outlier detection, so that copies are balanced as requests are.
//! Not so where routes send requests to the same upstream: a copy may fail for being one, or hang until its timeout, and
//! must neither cost an endpoint its live traffic nor make up for what that fails.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use hyper::body::Incoming;

use super::admission::{self, Busy, Permit};
use super::body::{Kept, Progress, RequestBody};
use super::exchange::outcome_of;
use super::handle::Service;
use super::rewrite::endpoint_host;
use super::view::{UpstreamView, View, Worker};
use crate::net::downstream::Connection;
use crate::net::pool::{ConnectError, Lease, Pool};
use crate::policy::availability::Access;
use crate::policy::balance::Hint;
use crate::policy::draw::is_hit;
use crate::policy::endpoint::InFlight;
use crate::policy::forward::X_TILLGATE_MIRROR;
use crate::policy::outlier::Sign;
use crate::policy::score::{self, Outcome};
use crate::snapshot::{Id, Place, Route};
use crate::telemetry::record::Sample;

/// Bytes of an answer that are read so that its connection serves again; of a larger one it is closed.
const MOST_READ: usize = 1 << 20;

/// Copies a request that is about to be sent, where its route has a mirror, if it is drawn, its body is at hand and there
/// is room.
pub fn copy(
    service: &Service,
    view: &Rc<View>,
    route: &Route,
    hostless: bool,
    parts: &Parts,
    body: &RequestBody,
) {
    let Some(mirror) = &route.mirror else { return };
    if parts.headers.contains_key(header::UPGRADE) {
        // A second tunnel is nobody's to hold open.
        return;
    }
    let worker = &service.worker;
    if !is_hit(mirror.percent, &mut worker.rng.borrow_mut()) {
        return;
    }
    let Some(bytes) = body.kept(mirror.max_body) else {
        mirror.counts.body.fetch_add(1, Relaxed);
        return;
    };
    let Some(place) = mirror.place() else { return };
    let copy = Copy {
        worker: Rc::clone(worker),
        client: Rc::clone(&service.connection),
        view: Rc::clone(view),
        route: route.id.number(),
        hostless,
        place,
    };
    tokio::task::spawn_local(copy.run(request(parts, bytes)));
}

fn request(parts: &Parts, bytes: Bytes) -> Request<RequestBody> {
    let body = match bytes.is_empty() {
        true => RequestBody::Empty,
        false => RequestBody::Kept(Kept::new(bytes, Rc::new(Progress::default()))),
    };
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    request.headers_mut().insert(&X_TILLGATE_MIRROR, HeaderValue::from_static("1"));
    request
}

/// Why a copy came to nothing.
enum Unanswered {
    /// There was no room for it.
    Busy,
    /// It has no endpoint, or got no answer.
    Failed,
}

/// One copy under way.
struct Copy {
    worker: Rc<Worker>,
    /// On which its request came.
    client: Rc<Connection>,
    view: Rc<View>,
    route: u32,
    hostless: bool,
    place: Place,
}

impl Copy {
    async fn run(self, request: Request<RequestBody>) {
        let mirror = self.place.mirror();
        let sent = tokio::time::timeout(mirror.timeout, self.send(request)).await;
        let count = match sent.unwrap_or(Err(Unanswered::Failed)) {
            Ok(()) => &mirror.counts.answered,
            Err(Unanswered::Busy) => &mirror.counts.busy,
            Err(Unanswered::Failed) => &mirror.counts.failed,
        };
        count.fetch_add(1, Relaxed);
    }

    async fn send(&self, mut request: Request<RequestBody>) -> Result<(), Unanswered> {
        let upstream = self.view.upstream(self.place.mirror().upstream);
        let _permit = self.enter(upstream)?;
        let (endpoint, in_flight) = self.claim(upstream, &request)?;
        if self.hostless {
            request.headers_mut().insert(header::HOST, endpoint_host(upstream, endpoint));
        }
        let mut asked = Asked::new(self, upstream.upstream.endpoints[endpoint].id, in_flight);
        let answer = asked.ask(&upstream.pools[endpoint], request).await;
        let (response, lease) = answer.ok_or(Unanswered::Failed)?;
        asked.answered(response.status());
        read_out(response, lease).await;
        Ok(())
    }

    /// Among what the upstream may have in flight, if it bounds that.
    fn enter(&self, upstream: &UpstreamView) -> Result<Option<Permit>, Unanswered> {
        let enter = |queue| admission::enter_or_drop(queue, &mut self.worker.rng.borrow_mut());
        upstream.queue.as_ref().map(enter).transpose().map_err(|Busy| Unanswered::Busy)
    }

    /// Picks an endpoint and takes a place there. Where another worker has taken the last one meanwhile, the next look
    /// sees it.
    fn claim(
        &self,
        upstream: &UpstreamView,
        request: &Request<RequestBody>,
    ) -> Result<(usize, InFlight), Unanswered> {
        let pick = |least| self.pick(upstream, request, least);
        while let Some(picked) = pick(Access::Open).or_else(|| pick(Access::Spare)) {
            if let Some(in_flight) = upstream.upstream.state(picked).try_begin() {
                return Ok((picked, in_flight));
            }
        }
        let is_full = |index| self.may_go_to(upstream, index, Access::Spare);
        let any_full = (0..upstream.upstream.endpoints.len()).any(is_full);
        Err(if any_full { Unanswered::Busy } else { Unanswered::Failed })
    }

    fn pick(&self, upstream: &UpstreamView, request: &Request<RequestBody>, least: Access) -> Option<usize> {
        let balancing = upstream.balancing();
        let (mut cursor, mut rng) = (balancing.cursor.borrow_mut(), self.worker.rng.borrow_mut());
        let eligible =
            |index| self.may_go_to(upstream, index, least) && upstream.upstream.state(index).has_room();
        let hint = Hint::new(self.worker.timers.now(), None, request.method());
        balancing.balancer.pick(&mut cursor, hint, eligible, &mut rng)
    }

    /// Whether it could, if it has room.
    fn may_go_to(&self, upstream: &UpstreamView, index: usize, least: Access) -> bool {
        upstream.upstream.state(index).gives(least) && !self.place.mirror().bars(index)
    }
}

/// The endpoint of a copy. Unless it serves routes, it is told how it did, also where the copy is given up.
struct Asked<'a> {
    copy: &'a Copy,
    endpoint: Id,
    in_flight: InFlight,
    sent: Instant,
    is_over: bool,
}

impl<'a> Asked<'a> {
    fn new(copy: &'a Copy, endpoint: Id, in_flight: InFlight) -> Self {
        Self { copy, endpoint, in_flight, sent: Instant::now(), is_over: false }
    }

    /// Over another connection only where the last one was closed before anything was written to it.
    async fn ask(
        &mut self,
        pool: &Rc<Pool<RequestBody>>,
        request: Request<RequestBody>,
    ) -> Option<(Response<Incoming>, Lease<RequestBody>)> {
        let mut request = Box::new(request);
        loop {
            let mut lease = match pool.lease(&self.copy.client, self.copy.worker.timers.now()).await {
                Ok(lease) => lease,
                Err(ConnectError::OutOfSockets(_)) => {
                    self.end(Outcome::Neutral, Sign::None, None);
                    return None;
                }
                Err(
                    ConnectError::Failed(_)
                    | ConnectError::TimedOut(_)
                    | ConnectError::Tls(_)
                    | ConnectError::Handshake(_),
                ) => return None,
            };
            self.sent = Instant::now();
            if !self.is_silent() {
                self.in_flight.wait(self.sent);
            }
            match lease.send(request).await {
                Ok(response) => return Some((response, lease)),
                Err(failed) => request = failed.unsent.filter(|_| lease.reused)?,
            }
        }
    }

    /// Whether nobody is told how it does.
    fn is_silent(&self) -> bool {
        self.copy.place.mirror().serves_routes
    }

    fn answered(&mut self, status: StatusCode) {
        let outcome = outcome_of(status);
        self.end(outcome, Sign::of(outcome, status.as_u16(), false), Some(self.sent.elapsed()));
    }

    fn end(&mut self, outcome: Outcome, sign: Sign, latency: Option<Duration>) {
        self.is_over = true;
        if self.is_silent() {
            return;
        }
        self.in_flight.answered();
        self.in_flight.endpoint().observe(outcome);
        let learned = score::Sample { route: self.copy.route, latency, outcome };
        let sample = Sample { endpoint: self.endpoint, learned, sign, began: self.sent };
        self.copy.worker.recorder.sample(sample);
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(Outcome::Failure, Sign::Bad, None);
        }
    }
}

/// Drops an answer as it comes.
async fn read_out(response: Response<Incoming>, lease: Lease<RequestBody>) {
    let mut incoming = response.into_body();
    let mut left = MOST_READ;
    while !incoming.is_end_stream() {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await;
        let read = match &frame {
            None => break,
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) => return,
        };
        match left.checked_sub(read) {
            Some(less) => left = less,
            None => return,
        }
    }
    lease.put_back(Instant::now());
}
