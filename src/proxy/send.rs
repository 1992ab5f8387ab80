//! Sending a request to its endpoint, and what it means when that fails.

use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;

use super::answer::Refusal;
use super::body::{Failure, Progress, RequestBody, Upload};
use super::exchange::{Exchange, Expired};
use super::handle::Service;
use super::received::Outgoing;
use crate::net::pool::{ConnectError, Lease, Pool};
use crate::policy::head::Framing;
use crate::policy::reason::{Reason, Sent};

/// The client's body as the endpoint is to get it.
pub async fn request_body(
    service: &Service,
    exchange: &mut Exchange,
    outgoing: &Outgoing,
    max: u64,
    incoming: Incoming,
) -> RequestBody {
    if matches!(outgoing.body, Framing::None | Framing::Length(0)) {
        return RequestBody::Empty;
    }
    let progress = Rc::new(Progress::default());
    exchange.uploads(Rc::clone(&progress));
    let mut upload = Upload::new(incoming, max, progress, Rc::clone(&service.connection));
    if !outgoing.expects_continue {
        // Reading a body tells the client to go on: not before an endpoint takes it.
        upload.prefetch().await;
    }
    RequestBody::Upload(upload)
}

/// Sends the request on a connection of its own. One that was closed while it lay unused is replaced for as long as
/// nothing of the request has been written.
///
/// # Errors
/// What to answer instead, and whether the endpoint may have seen the request.
pub async fn send(
    service: &Service,
    exchange: &mut Exchange,
    pool: &Rc<Pool<RequestBody>>,
    mut request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Lease<RequestBody>), Refusal> {
    loop {
        let leased = exchange.within(pool.lease(service.worker.timers.now())).await;
        let mut lease = leased.map_err(|expired| Refusal::with_sent(expired.reason(), Sent::None))??;
        if !lease.reused {
            exchange.connected();
        }
        if request.body().is_whole() {
            exchange.waits();
        }
        let answered = exchange.within(lease.sender.try_send_request(request)).await;
        let mut failed = match answered.map_err(waited_too_long)? {
            Ok(response) => {
                exchange.answered(response.status());
                return Ok((response, lease));
            }
            Err(failed) => failed,
        };
        match failed.take_message() {
            Some(unsent) if lease.reused => request = unsent,
            Some(_) => return Err(Refusal::with_sent(Reason::Reset, Sent::None)),
            None => return Err(broken_off(exchange, failed.error())),
        }
    }
}

fn waited_too_long(expired: Expired) -> Refusal {
    Refusal::with_sent(expired.reason(), Sent::Maybe)
}

/// The connection ended before a response head, and some of the request may have been written.
fn broken_off(exchange: &Exchange, error: &hyper::Error) -> Refusal {
    let failure = exchange.upload().and_then(|upload| upload.failure.get());
    match failure {
        Some(Failure::Incomplete) => Refusal::with_sent(Reason::BodyIncomplete, Sent::Maybe),
        Some(Failure::TooLarge) => Refusal::with_sent(Reason::BodyTooLarge, Sent::Maybe),
        None if error.is_parse() => Refusal::with_sent(Reason::BadResponse, Sent::Yes),
        None => Refusal::with_sent(Reason::Reset, Sent::Maybe),
    }
}

impl From<ConnectError> for Refusal {
    fn from(error: ConnectError) -> Self {
        let reason = match error {
            ConnectError::TimedOut(_) => Reason::ConnectTimeout,
            ConnectError::Failed(_) | ConnectError::Handshake(_) => Reason::ConnectFailed,
        };
        Self::with_sent(reason, Sent::None)
    }
}
