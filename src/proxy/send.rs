//! Sending a request to its endpoint once, and what it means when that fails.
//!
//! Why a request that `take_message` gives back was not written (hyper 1.12, `client/dispatch.rs`, `proto/h1/dispatch.rs`):
//! it lies in a queue of one until its connection is ready for it. It is given back from three places: the queue is
//! closed when it is put in; the queue is dropped with it inside, because the connection ended; or the connection takes
//! it out of the queue (`try_recv` in `recv_msg`) just to give it back with the error it ended with. On the only way to
//! the socket, `poll_msg` takes it out and apart into head and body before the head is encoded, and every error after
//! that carries no message, even where the first write failed with nothing written. So what comes back is certain not to
//! have left, and what does not come back may have. The tests of `net/pool.rs` hold both, as a new version must.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;

use super::body::{Failure, Kept, Progress, RequestBody, Upload};
use super::exchange::{Exchange, Expired};
use super::handle::Service;
use super::received::Outgoing;
use crate::net::pool::{ConnectError, Lease, Pool, Unanswered};
use crate::policy::head::Framing;
use crate::policy::reason::{Reason, Sent};
use crate::snapshot::Route;

/// Whoever a try is made for: an exchange, or one of two copies of its request.
pub trait Try {
    /// Waits for `future`, but no longer than the deadlines allow.
    ///
    /// # Errors
    /// The deadline that passed.
    fn within<F: Future>(&mut self, future: F) -> impl Future<Output = Result<F::Output, Expired>>;

    /// A new connection had to be made first.
    fn connected(&mut self);

    /// The whole request is about to leave.
    fn waits(&mut self);

    /// The endpoint's response head has arrived.
    fn answered(&mut self, response: &Response<Incoming>);

    /// Whether it is the client itself that allows so little time.
    fn is_hurried(&self) -> bool;

    /// The progress of the request's body, if it has one.
    fn upload(&self) -> Option<&Progress>;

    /// Whether the endpoint is asked to switch to another protocol.
    fn switches(&self) -> bool {
        false
    }
}

impl Try for Exchange {
    fn within<F: Future>(&mut self, future: F) -> impl Future<Output = Result<F::Output, Expired>> {
        self.within(future)
    }

    fn connected(&mut self) {
        self.connected();
    }

    fn waits(&mut self) {
        self.waits();
    }

    fn answered(&mut self, response: &Response<Incoming>) {
        self.answered(response);
    }

    fn is_hurried(&self) -> bool {
        self.is_hurried()
    }

    fn upload(&self) -> Option<&Progress> {
        self.upload()
    }

    fn switches(&self) -> bool {
        self.upgrade().is_some()
    }
}

/// One try without an answer.
#[derive(Debug)]
pub struct Failed {
    /// The cause.
    pub reason: Reason,
    /// Whether the endpoint may have seen the request.
    pub sent: Sent,
    /// Whether it went out on a connection that had served before.
    pub reused: bool,
    /// The request, where it is certain that no byte of it was written.
    pub unsent: Option<Box<Request<RequestBody>>>,
}

impl Failed {
    fn unsent(reason: Reason, request: Box<Request<RequestBody>>) -> Self {
        Self { reason, sent: Sent::None, reused: false, unsent: Some(request) }
    }

    fn sent(reason: Reason, sent: Sent, reused: bool) -> Self {
        Self { reason, sent, reused, unsent: None }
    }
}

/// The client's body as the endpoint is to get it.
pub async fn request_body(
    service: &Service,
    exchange: &mut Exchange,
    outgoing: &Outgoing,
    route: &Route,
    incoming: Incoming,
) -> RequestBody {
    if matches!(outgoing.body, Framing::None | Framing::Length(0)) {
        return RequestBody::Empty;
    }
    let progress = Rc::new(Progress::default());
    exchange.uploads(Rc::clone(&progress));
    let bounds = (route.max_body, exchange.pace());
    let mut upload = Upload::new(incoming, bounds, progress, Rc::clone(&service.connection));
    if !outgoing.expects_continue {
        // Reading a body tells the client to go on: not before an endpoint takes it.
        upload.prefetch().await;
        if exchange.is_grpc() && route.retry.is_some_and(|retry| retry.max_body > 0) {
            upload.look_for_end().await;
        }
    }
    RequestBody::Upload(upload)
}

/// A body that was kept, as the next endpoint is to get it.
pub fn repeated_body(exchange: &mut Exchange, bytes: Bytes) -> RequestBody {
    if bytes.is_empty() {
        return RequestBody::Empty;
    }
    let progress = Rc::new(Progress::default());
    exchange.uploads(Rc::clone(&progress));
    RequestBody::Kept(Kept::new(bytes, progress))
}

/// Sends the request on a connection of its own. One that was closed while it lay unused is replaced for as long as
/// nothing of the request has been written.
///
/// # Errors
/// Why there is no answer, and whether the endpoint may have seen the request.
pub async fn send(
    service: &Service,
    exchange: &mut impl Try,
    pool: &Rc<Pool<RequestBody>>,
    mut request: Box<Request<RequestBody>>,
) -> Result<(Response<Incoming>, Lease<RequestBody>), Failed> {
    loop {
        let mut lease = match lease(service, exchange, pool).await {
            Ok(lease) => lease,
            Err(reason) => return Err(Failed::unsent(reason, request)),
        };
        if lease.waited {
            exchange.connected();
        }
        if request.body().is_whole() {
            exchange.waits();
        }
        let answered = exchange.within(pin!(lease.send(request))).await;
        let failed = match answered {
            Ok(Ok(response)) => {
                exchange.answered(&response);
                return Ok((response, lease));
            }
            Ok(Err(failed)) => failed,
            Err(expired) => return Err(too_late(expired, &lease, exchange.is_hurried())),
        };
        match failed {
            Unanswered { unsent: Some(unsent), .. } if lease.reused => request = unsent,
            Unanswered { unsent: Some(unsent), .. } => return Err(Failed::unsent(Reason::Reset, unsent)),
            Unanswered { unsent: None, .. } => return Err(broken_off(exchange, &failed, lease.reused)),
        }
    }
}

/// A connection, which is one of HTTP/1 where the endpoint is asked to switch.
async fn lease(
    service: &Service,
    exchange: &mut impl Try,
    pool: &Rc<Pool<RequestBody>>,
) -> Result<Lease<RequestBody>, Reason> {
    let now = service.worker.timers.now();
    if exchange.switches() {
        let leased = exchange.within(Box::pin(pool.lease_alone(&service.connection, now))).await;
        return leased_in_time(service, leased);
    }
    // Pinned here, since what is handed over would be kept twice.
    leased_in_time(service, exchange.within(pin!(pool.lease(&service.connection, now))).await)
}

fn leased_in_time(
    service: &Service,
    leased: Result<Result<Lease<RequestBody>, ConnectError>, Expired>,
) -> Result<Lease<RequestBody>, Reason> {
    match leased {
        Ok(Ok(lease)) => Ok(lease),
        Ok(Err(error)) => Err(no_connection(service, &error)),
        Err(expired) => Err(no_connection_in_time(expired)),
    }
}

fn no_connection(service: &Service, error: &ConnectError) -> Reason {
    match error {
        ConnectError::OutOfSockets(error) => {
            warn_of_shortage(service.worker.unix_time(), error);
            Reason::OutOfSockets
        }
        ConnectError::TimedOut(_) => Reason::ConnectTimeout,
        ConnectError::Tls(_) => Reason::TlsFailed,
        ConnectError::Failed(_) | ConnectError::Handshake(_) => Reason::ConnectFailed,
    }
}

/// Once a second, whichever worker is first: requests fail by the thousand then.
#[cold]
fn warn_of_shortage(second: u64, error: &io::Error) {
    static WARNED: AtomicU64 = AtomicU64::new(0);
    if WARNED.swap(second, Ordering::Relaxed) != second {
        tracing::warn!(%error, "out of sockets for connections to endpoints");
    }
}

fn no_connection_in_time(expired: Expired) -> Reason {
    match expired {
        Expired::Try | Expired::EndpointIdle => Reason::ConnectTimeout,
        Expired::Client | Expired::ClientPace | Expired::Request => expired.reason(),
    }
}

fn too_late(expired: Expired, lease: &Lease<RequestBody>, hurried: bool) -> Failed {
    match expired {
        // A connection that others use too is not given up for what one of them has set.
        Expired::Request if hurried => {}
        Expired::Try | Expired::EndpointIdle | Expired::Request => lease.is_overdue(),
        Expired::Client | Expired::ClientPace => {}
    }
    Failed::sent(expired.reason(), Sent::Maybe, lease.reused)
}

/// The connection ended before a response head, and some of the request may have been written. What the endpoint has
/// refused it has not looked at, whatever was written.
fn broken_off(exchange: &impl Try, failed: &Unanswered<RequestBody>, reused: bool) -> Failed {
    let sent = if failed.refused { Sent::None } else { Sent::Maybe };
    let failure = exchange.upload().and_then(|upload| upload.failure.get());
    match failure {
        Some(Failure::Incomplete) => Failed::sent(Reason::BodyIncomplete, sent, reused),
        Some(Failure::TooSlow) => Failed::sent(Reason::BodyTooSlow, sent, reused),
        Some(Failure::TooLarge) => Failed::sent(Reason::BodyTooLarge, sent, reused),
        Some(Failure::Unwanted) | None if failed.is_no_http => {
            Failed::sent(Reason::BadResponse, Sent::Yes, reused)
        }
        Some(Failure::Unwanted) | None => Failed::sent(Reason::Reset, sent, reused),
    }
}
