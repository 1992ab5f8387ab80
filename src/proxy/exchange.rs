//! One request and its response, from head to last byte: its deadlines, and the record that is made of it.
//!
//! The record is made when the exchange is dropped, so that a request that is cancelled at any point is counted too.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::admission::Permit;
use super::body::{DownloadError, Patience, Progress};
use super::compress::Asked;
use super::tunnel;
use super::view::Worker;
use crate::config::{BodyPace, Condition};
use crate::net::downstream::{Connection, Flaw};
use crate::policy::endpoint::InFlight;
use crate::policy::forward::{X_REQUEST_ID, client_behind};
use crate::policy::grpc::{self, Code};
use crate::policy::outlier::Sign;
use crate::policy::reason::Reason;
use crate::policy::score::{self, Outcome};
use crate::snapshot::{Id, Route, Snapshot, Upstream};
use crate::telemetry::access_log::Entry;
use crate::telemetry::record::{Record, Retry, Sample};

mod call;
mod deadlines;
mod switch;

use call::Call;
use deadlines::Deadlines;
pub use deadlines::Expired;

/// The status recorded for a request whose client went away, as nginx writes it.
const CLIENT_CLOSED: u16 = 499;

/// One request and its response.
#[derive(Debug)]
pub struct Exchange {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    started: Instant,
    sent: Instant,
    deadlines: Deadlines,
    in_flight: Option<InFlight>,
    permit: Option<Permit>,
    record: Record,
    log: Option<Box<Entry>>,
    call: Call,
    /// What the client wishes for, where its route compresses.
    pub asked: Option<Box<Asked>>,
    upgrade: Option<Box<tunnel::Asked>>,
    completed: bool,
}

impl Exchange {
    /// A request whose head has just arrived on `listener`, and what is wrong with its framing.
    pub fn begin(
        worker: &Rc<Worker>,
        connection: &Rc<Connection>,
        listener: Id,
    ) -> (Box<Self>, Option<Flaw>) {
        let started = Instant::now();
        worker.timers.observe(started);
        let flaw = connection.request_started();
        let exchange = Box::new(Self {
            worker: Rc::clone(worker),
            connection: Rc::clone(connection),
            started,
            sent: started,
            deadlines: Deadlines::new(&worker.timers, started),
            in_flight: None,
            permit: None,
            record: Record::new(listener),
            log: None,
            call: Call::No,
            asked: None,
            upgrade: None,
            completed: false,
        });
        (exchange, flaw)
    }

    /// Works out who the client is, and begins a line of the access log where one is written.
    pub fn open_log(&mut self, snapshot: &Snapshot, parts: &Parts) -> IpAddr {
        let peer = self.connection.peer().ip();
        let client = match self.connection.is_believed(&snapshot.trusted) {
            true => client_behind(peer, &snapshot.trusted, &parts.headers),
            false => peer,
        };
        if snapshot.access_log.is_some() {
            let mut entry = Entry::new(client, parts);
            if let Some(session) = self.connection.session() {
                entry.tls = Some(session.version);
                entry.server_name.clone_from(&session.server_name);
            }
            self.log = Some(Box::new(entry));
        }
        client
    }

    /// The request has the id that the endpoint is told.
    pub fn log_request_id(&mut self, headers: &HeaderMap) {
        if let Some(entry) = &mut self.log {
            entry.request_id = headers.get(&X_REQUEST_ID).cloned();
        }
    }

    /// Whether other requests run beside it on its connection.
    pub fn is_multiplexed(&self) -> bool {
        self.connection.is_multiplexed()
    }

    /// When its head arrived, or the request was let go on.
    pub fn ready(&self) -> Instant {
        self.sent
    }

    /// The route decides how long things may take.
    pub fn routed(&mut self, route: &Route) {
        self.record.route = Some(route.id);
        self.deadlines.allow(route.timeouts);
        let until = route.timeouts.request.map(|whole| self.started + whole);
        self.connection.allow_write(route.timeouts.idle, until);
        if let Some(entry) = &mut self.log {
            entry.route = Some(Arc::clone(&route.name));
        }
    }

    /// How fast its body must come.
    pub fn pace(&self) -> Option<BodyPace> {
        self.deadlines.pace()
    }

    /// It was held back here before an endpoint was picked: that is no endpoint's time.
    pub fn held_back(&mut self) {
        self.sent = Instant::now();
    }

    /// The request has a body on its way.
    pub fn uploads(&mut self, progress: Rc<Progress>) {
        self.deadlines.upload = Some(progress);
    }

    /// The upstream has room for it, from now to the end of the response; before that it waited so long.
    pub fn admitted(&mut self, permit: Permit, waited: Duration) {
        self.permit = Some(permit);
        self.waited(waited);
    }

    /// It has waited for the upstream.
    pub fn waited(&mut self, waited: Duration) {
        self.record.waited = waited;
        if !waited.is_zero() {
            self.sent += waited;
        }
    }

    /// An endpoint has been picked, for the first time or again, and has it from now on.
    pub fn sent_to(&mut self, upstream: &Upstream, index: usize, place: InFlight) {
        if self.record.tries > 0 {
            self.sent = Instant::now();
        }
        self.record.tries += 1;
        self.goes_on_at(upstream, index, self.sent);
        self.in_flight = Some(place);
    }

    /// From here on the exchange is about this endpoint, which it was sent to at `sent`.
    pub fn goes_on_at(&mut self, upstream: &Upstream, index: usize, sent: Instant) {
        let endpoint = &upstream.endpoints[index];
        self.sent = sent;
        self.deadlines.try_begins(sent);
        self.record.endpoint = Some(endpoint.id);
        if let Some(entry) = &mut self.log {
            entry.upstream = Some(Arc::clone(&upstream.name));
            entry.endpoint = Some(Arc::clone(&endpoint.name));
        }
    }

    /// Hands over what counts the current try, to be one of two copies, with when it was sent. None is counted here
    /// until [`Exchange::adopt`].
    pub fn lend(&mut self) -> Option<(InFlight, Instant)> {
        self.in_flight.take().map(|in_flight| (in_flight, self.sent))
    }

    /// The request was sent to a second endpoint beside the first.
    pub fn copied(&mut self) {
        self.record.tries += 1;
    }

    /// One of two copies is the only try from here on.
    pub fn adopt(&mut self, in_flight: InFlight) {
        self.in_flight = Some(in_flight);
    }

    /// A new connection had to be made first: that is not the endpoint's time to answer.
    pub fn connected(&mut self) {
        self.sent = Instant::now();
    }

    /// The whole request is about to leave: from here on its age tells of the endpoint.
    pub fn waits(&mut self) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.wait(self.sent);
        }
    }

    /// What was sent came to nothing: the endpoint's place is free from now on. The balancer is told, unless it has been
    /// of an answer.
    pub fn let_go(&mut self) {
        if self.record.status == 0 {
            self.record.outcome = Outcome::Failure;
            self.sample(None, Told::Now);
        }
        self.deadlines.try_ends(Instant::now());
        self.in_flight = None;
    }

    /// What was sent came to nothing, and the request goes out again.
    pub fn try_failed(&mut self, condition: Condition) {
        self.let_go();
        if let Some(endpoint) = self.record.endpoint {
            self.worker.recorder.retry(Retry { endpoint, condition: Some(condition) });
        }
        self.record =
            Record { status: 0, outcome: Outcome::Neutral, latency: None, grpc_status: None, ..self.record };
    }

    /// What was sent came to nothing, and the budget leaves it at that.
    pub fn retry_refused(&self) {
        if let Some(endpoint) = self.record.endpoint {
            self.worker.recorder.retry(Retry { endpoint, condition: None });
        }
    }

    /// What is left of the time that the route allows.
    pub fn left(&self) -> Option<Duration> {
        self.deadlines.left(Instant::now())
    }

    /// The endpoint's response head has arrived.
    pub fn answered(&mut self, response: &Response<Incoming>) {
        let (now, status) = (Instant::now(), response.status());
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.answered();
        }
        let sent = self.upload().map_or(Some(self.sent), |upload| upload.finished.get());
        self.deadlines.try_ends(now);
        self.record.status = status.as_u16();
        self.record.outcome = outcome_of(status);
        if self.call != Call::No
            && let Some(code) = Code::of(response.headers())
        {
            self.call_ended(code);
        }
        // An answer to half a request says nothing of how long a whole one takes, and a handshake nothing of requests.
        let sent = sent.filter(|_| status != StatusCode::SWITCHING_PROTOCOLS);
        self.record.latency = sent.map(|sent| now.saturating_duration_since(sent));
        self.sample(self.record.latency, Told::Now);
    }

    /// The time, at most a tick old.
    pub fn now(&self) -> Instant {
        self.worker.timers.now()
    }

    /// Tillgate answers by itself.
    pub fn refused(&mut self, reason: Reason, body_bytes: u64) {
        // An endpoint's switch to another protocol may come to nothing after its head.
        let told = if self.record.status == 0 { Told::Now } else { Told::Before };
        self.record.status = reason.status().as_u16();
        self.record.reason = Some(reason);
        self.record.bytes_out = body_bytes;
        self.record.outcome = self.blame(reason);
        if self.is_grpc() {
            self.record.status = StatusCode::OK.as_u16();
            self.record.grpc_status = Some(grpc::code_of(reason));
        }
        self.sample(None, told);
        // The client may still be sending; a reset would overtake the answer.
        self.connection.linger_on_close();
        self.complete();
    }

    /// Some of the response has been passed on.
    pub fn response_moved(&mut self, bytes: u64) {
        self.record.bytes_out += bytes;
        self.deadlines.moved(self.worker.timers.now());
    }

    /// The response stopped early.
    pub fn response_failed(&mut self, error: &DownloadError) {
        self.record.truncated = true;
        match error {
            // It was cut off because of what the client sent, or did not.
            DownloadError::Endpoint(_) | DownloadError::CutShort
                if self.upload_failed() || self.upload_hangs() => {}
            DownloadError::Endpoint(_)
            | DownloadError::CutShort
            | DownloadError::TimedOut(Expired::EndpointIdle | Expired::Try) => {
                self.record.outcome = Outcome::Failure;
                self.sample(None, Told::Before);
            }
            // A client that reads slowly uses up the time as well.
            DownloadError::TimedOut(Expired::Request | Expired::Client | Expired::ClientPace)
            | DownloadError::Compression(_) => {}
        }
    }

    /// The response has been passed on whole. Returns when.
    pub fn complete(&mut self) -> Instant {
        self.completed = true;
        if !self.upload_finished() {
            // The client is still sending what nobody will read.
            self.connection.linger_on_close();
        }
        self.in_flight = None;
        self.permit = None;
        self.deadlines.forget();
        self.connection.request_answered();
        let now = Instant::now();
        self.record.total = now.saturating_duration_since(self.started);
        now
    }

    /// Whether the whole request has been passed on.
    pub fn upload_finished(&self) -> bool {
        self.deadlines.upload_finished()
    }

    /// Whether the request broke off, or was more than is allowed.
    fn upload_failed(&self) -> bool {
        self.upload().is_some_and(|upload| upload.failure.get().is_some())
    }

    /// Whether the request was under way to the endpoint, and the rest of it is still to come from the client.
    fn upload_hangs(&self) -> bool {
        self.upload().is_some_and(|upload| !upload.whole.get() && !upload.is_untouched())
    }

    /// Whether the whole request has been read from the client.
    pub fn upload_read(&self) -> bool {
        self.upload().is_none_or(|upload| upload.whole.get())
    }

    /// Nobody has any use for the rest of the request.
    pub fn stop_upload(&self) {
        if let Some(upload) = self.upload() {
            upload.stop();
        }
    }

    /// The progress of the request's body, if it has one.
    pub fn upload(&self) -> Option<&Progress> {
        self.deadlines.upload.as_deref()
    }

    /// Waits for `future`, but no longer than the deadlines allow.
    ///
    /// # Errors
    /// The deadline that passed.
    pub fn within<F: Future>(&mut self, future: F) -> impl Future<Output = Result<F::Output, Expired>> {
        Within { exchange: self, future }
    }

    /// How long the client may leave the response untaken.
    pub fn patience(&self) -> Patience {
        self.deadlines.reader_patience()
    }

    /// Ready when a deadline has passed.
    pub fn poll_expired(&mut self, cx: &Context<'_>) -> Poll<Expired> {
        self.deadlines.poll_expired(cx)
    }

    /// Tells the balancer what the endpoint did. At once: the rest of a response may take hours. What was let go has been
    /// told.
    fn sample(&self, latency: Option<Duration>, told: Told) {
        let Some(in_flight) = &self.in_flight else { return };
        in_flight.endpoint().observe(self.record.outcome);
        if let (Some(endpoint), Some(route)) = (self.record.endpoint, self.record.route) {
            let learned = score::Sample { route: route.number(), latency, outcome: self.record.outcome };
            let sign = Sign::of(self.record.outcome, self.shown_status(), told == Told::Before);
            self.worker.recorder.sample(Sample { endpoint, learned, sign, began: self.sent });
            if sign == Sign::Bad {
                self.worker.recorder.raise_alarm(in_flight.endpoint());
            }
        }
    }

    /// The status, or the one that a call's code stands for.
    fn shown_status(&self) -> u16 {
        let of_call = self.record.grpc_status.and_then(Code::http_status);
        of_call.map_or(self.record.status, |status| status.as_u16())
    }

    /// What an answer of Tillgate's own says of the endpoint. One may lose patience with a client, and a client can make it: only where all of the request was there does
    /// a reset tell of the endpoint. One that has died fails whole requests just as well.
    pub fn blame(&self, reason: Reason) -> Outcome {
        let impatient = reason == Reason::Reset && self.upload_hangs();
        // How long a call may take is its client's to say, and one that says too little blames nobody.
        let was_its_own =
            || !self.is_hurried() && self.deadlines.were_the_endpoint_s(self.worker.timers.now());
        let too_late = reason == Reason::RequestTimeout && !was_its_own();
        // Any client may ask for a tunnel where there is none.
        let declined = reason == Reason::BadResponse && self.upgrade().is_some_and(tunnel::Asked::is_connect);
        if impatient || too_late || declined { Outcome::Neutral } else { blame(reason) }
    }

    /// Whether Tillgate ends while the response is on its way. A tunnel has none.
    fn is_cut_off(&self) -> bool {
        self.worker.is_stopping() && self.record.status != 0 && !self.record.tunnel
    }

    fn close_record(&mut self) {
        if let Some(upload) = self.upload() {
            self.record.bytes_in = upload.bytes.get();
        }
        if !self.completed {
            self.record.total = Instant::now().saturating_duration_since(self.started);
            self.record.truncated |= self.is_cut_off();
        }
        if !self.completed && !self.record.truncated {
            self.record.outcome = Outcome::Neutral;
            self.record.status = if self.record.status == 0 { CLIENT_CLOSED } else { self.record.status };
        }
        if self.is_grpc() && self.record.grpc_status.is_none() {
            let code = if self.completed || self.record.truncated { Code::UNKNOWN } else { Code::CANCELLED };
            self.record.grpc_status = Some(code);
        }
    }
}

pin_project! {
    /// A future within the deadlines of an exchange. By hand, since an `async fn` would have room for it twice.
    struct Within<'a, F> {
        exchange: &'a mut Exchange,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Within<'_, F> {
    type Output = Result<F::Output, Expired>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => this.exchange.poll_expired(cx).map(Err),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.close_record();
        let answered = (self.completed || self.record.truncated) && !self.was_hurried();
        self.connection.request_over(answered, self.record.total);
        if let Some(entry) = self.log.take() {
            self.worker.recorder.log(&entry, &self.record);
        }
        self.worker.recorder.record(self.record);
    }
}

/// Whether outlier detection knows of the answer that is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Now,
    Before,
}

/// What a status says of the endpoint that sent it (design, section 8).
pub(super) fn outcome_of(status: StatusCode) -> Outcome {
    match status.as_u16() {
        429 | 502..=504 => Outcome::Failure,
        500 => Outcome::SoftFailure,
        _ => Outcome::Success,
    }
}

/// Whose fault an answer of Tillgate's own is: the endpoint's, or not the endpoint's.
fn blame(reason: Reason) -> Outcome {
    match reason {
        Reason::ConnectFailed
        | Reason::ConnectTimeout
        | Reason::TlsFailed
        | Reason::Reset
        | Reason::BadResponse
        | Reason::ResponseTimeout
        | Reason::PerTryTimeout
        | Reason::RequestTimeout => Outcome::Failure,
        Reason::BadRequest(..)
        | Reason::FaultInjected(_)
        | Reason::PlainHttp
        | Reason::Redirected(_)
        | Reason::Preflight
        | Reason::NoRoute
        | Reason::BodyTooLarge
        | Reason::BodyIncomplete
        | Reason::BodyTimeout
        | Reason::BodyTooSlow
        | Reason::RateLimited
        | Reason::NoEndpoint
        | Reason::UpstreamFull
        | Reason::QueueFull
        | Reason::QueueTimeout
        | Reason::Overloaded
        | Reason::OutOfSockets => Outcome::Neutral,
    }
}
