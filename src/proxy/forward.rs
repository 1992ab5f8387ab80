//! The path of one request, top to bottom.

use std::convert::Infallible;
use std::rc::Rc;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use hyper::body::Incoming;

use super::answer::{self, Refusal};
use super::body::{Download, Failure, Progress, RequestBody, ResponseBody, Upload};
use super::exchange::{Exchange, Expired};
use super::reason::{Reason, Sent};
use super::view::{UpstreamView, View, Worker};
use crate::net::downstream::Connection;
use crate::net::pool::{ConnectError, Lease};
use crate::policy::balance::hash_key;
use crate::policy::forward::{self, ForwardContext};
use crate::policy::head::{self, Framing, HeadError, Target};
use crate::policy::path::{self, PathError};
use crate::policy::route::Head;
use crate::snapshot::Id;
use crate::telemetry::access_log::Entry;

/// What the requests of one connection share.
#[derive(Debug)]
pub struct Service {
    /// The worker it was accepted on.
    pub worker: Rc<Worker>,
    /// The connection.
    pub connection: Rc<Connection>,
    /// The listener it came in by.
    pub listener: Id,
    /// `http` or `https`.
    pub scheme: &'static str,
}

/// Serves one request. Whatever goes wrong is an answer.
///
/// # Errors
/// None.
pub async fn handle(
    service: Rc<Service>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let mut exchange = Exchange::begin(&service.worker, &service.connection, service.listener);
    let json = answer::accepts_json(request.headers());
    match forward(&service, &mut exchange, request).await {
        Ok((response, lease)) => Ok(pass_back(&service, response, lease, exchange).await),
        Err(refusal) => Ok(answer::refuse(refusal, json, exchange)),
    }
}

async fn forward(
    service: &Service,
    exchange: &mut Exchange,
    request: Request<Incoming>,
) -> Result<(Response<Incoming>, Lease<RequestBody>), Refusal> {
    let (mut parts, incoming) = request.into_parts();
    let view = service.worker.view();
    let plan = plan(service, exchange, &view, &parts)?;
    let upstream = view.upstream(plan.upstream);
    let endpoint = pick(service, exchange, upstream, plan.key)?;
    rewrite(service, exchange, &plan, upstream, endpoint, &mut parts);
    let body = request_body(exchange, &plan, incoming).await;
    let (response, lease) =
        send(service, exchange, upstream, endpoint, Request::from_parts(parts, body)).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody asked to switch: `Upgrade` does not go through.
        return Err(Refusal::with_sent(Reason::BadResponse, Sent::Yes));
    }
    Ok((response, lease))
}

/// What was decided about a request from its head alone.
struct Plan {
    upstream: usize,
    peer_trusted: bool,
    target: Option<PathAndQuery>,
    host: Option<HeaderValue>,
    body: Framing,
    expects_continue: bool,
    max_body: u64,
    key: Option<u64>,
}

fn plan(service: &Service, exchange: &mut Exchange, view: &View, parts: &Parts) -> Result<Plan, Refusal> {
    let snapshot = &view.snapshot;
    let peer = service.connection.peer.ip();
    let client = forward::client_address(peer, &snapshot.trusted, &parts.headers);
    if snapshot.access_log.is_some() {
        exchange.log(Entry::new(client, &parts.method, parts.uri.to_string(), &parts.headers));
    }
    let head = head::check_request(parts)?;
    let path = match head.target {
        Target::Asterisk => path::NormalPath { matched: "*".into(), forwarded: "*".into() },
        Target::Origin | Target::Absolute => path::normalise(head.path)?,
    };
    let matched = Head {
        host: &head.host,
        path: &path.matched,
        query: head.query,
        method: &parts.method,
        headers: &parts.headers,
    };
    let route = &snapshot.routes[snapshot.table.find(&matched).ok_or(Reason::NoRoute)?];
    exchange.routed(route);
    if matches!(head.body, Framing::Length(length) if length > route.max_body) {
        return Err(Reason::BodyTooLarge.into());
    }
    let upstream = &view.upstream(route.upstream).upstream;
    if let Some(entry) = exchange.log_entry() {
        (entry.route, entry.upstream) = (Some(route.name.clone()), Some(upstream.name.clone()));
    }
    let sticky = |key| forward::sticky_value(key, &matched, client);
    Ok(Plan {
        upstream: route.upstream,
        peer_trusted: snapshot.trusted.contains(peer),
        target: changed_target(&head, &path),
        host: head::authority_value(parts),
        body: head.body,
        expects_continue: head.expects_continue,
        max_body: route.max_body,
        key: upstream.hash_key().and_then(sticky).map(|value| hash_key(&value)),
    })
}

/// The target to send where it is not the client's own: a resolved path, or an absolute form made relative.
fn changed_target(head: &head::Checked<'_>, path: &path::NormalPath<'_>) -> Option<PathAndQuery> {
    if head.target == Target::Origin && path.forwarded == head.path {
        return None;
    }
    let target = match head.query {
        Some(query) => format!("{}?{query}", path.forwarded),
        None => path.forwarded.clone().into_owned(),
    };
    Some(PathAndQuery::try_from(target).expect("a normalised path is a valid one"))
}

fn pick(
    service: &Service,
    exchange: &mut Exchange,
    view: &UpstreamView,
    key: Option<u64>,
) -> Result<usize, Refusal> {
    let (mut cursor, mut rng) = (view.cursor.borrow_mut(), service.worker.rng.borrow_mut());
    let balancer = &view.upstream.balancer;
    let picked = balancer.pick(&mut cursor, key, |_| true, &mut rng).ok_or(Reason::NoEndpoint)?;
    let endpoint = &view.upstream.endpoints[picked];
    exchange.sent_to(endpoint.id, view.upstream.state(picked).begin());
    if let Some(entry) = exchange.log_entry() {
        entry.endpoint = Some(endpoint.name.clone());
    }
    Ok(picked)
}

/// Makes the client's head the one the endpoint gets.
fn rewrite(
    service: &Service,
    exchange: &mut Exchange,
    plan: &Plan,
    upstream: &UpstreamView,
    endpoint: usize,
    parts: &mut Parts,
) {
    let host = plan.host.clone().unwrap_or_else(|| endpoint_host(upstream, endpoint));
    let request_id = request_id(&service.worker);
    let context = ForwardContext {
        client: service.connection.peer.ip(),
        peer_trusted: plan.peer_trusted,
        scheme: service.scheme,
        host: Some(&host),
        request_id: &request_id,
    };
    forward::prepare_request(&mut parts.headers, &context);
    if plan.body == Framing::Chunked {
        parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(target) = &plan.target {
        parts.uri = Uri::from(target.clone());
    }
    parts.version = Version::HTTP_11;
    if let Some(entry) = exchange.log_entry() {
        entry.request_id = parts.headers.get(&forward::X_REQUEST_ID).cloned();
    }
}

/// What an HTTP/1.0 client without a Host is taken to mean: HTTP/1.1 to the endpoint needs one.
fn endpoint_host(upstream: &UpstreamView, endpoint: usize) -> HeaderValue {
    HeaderValue::from_str(&upstream.upstream.endpoints[endpoint].name).expect("an address is visible ASCII")
}

/// 128 random bits in hexadecimal.
fn request_id(worker: &Worker) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bits = worker.rng.borrow_mut().u128(..);
    let mut id = [0; 32];
    for digit in &mut id {
        *digit = DIGITS[(bits & 15) as usize];
        bits >>= 4;
    }
    HeaderValue::from_bytes(&id).expect("hexadecimal is visible ASCII")
}

async fn request_body(exchange: &mut Exchange, plan: &Plan, incoming: Incoming) -> RequestBody {
    if matches!(plan.body, Framing::None | Framing::Length(0)) {
        return RequestBody::Empty;
    }
    let progress = Rc::new(Progress::default());
    exchange.uploads(Rc::clone(&progress));
    let mut upload = Upload::new(incoming, plan.max_body, progress);
    if !plan.expects_continue {
        // Reading a body tells the client to go on: not before an endpoint takes it.
        upload.prefetch().await;
    }
    RequestBody::Upload(upload)
}

/// Sends the request on a connection of its own. One that was closed while it lay unused is replaced for as long as
/// nothing of the request has been written.
async fn send(
    service: &Service,
    exchange: &mut Exchange,
    upstream: &UpstreamView,
    endpoint: usize,
    mut request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Lease<RequestBody>), Refusal> {
    let pool = &upstream.pools[endpoint];
    loop {
        let leased = exchange.within(pool.lease(service.worker.timers.now())).await;
        let mut lease = leased.map_err(|expired| Refusal::with_sent(expired.reason(), Sent::None))??;
        if !lease.reused {
            exchange.connected();
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

/// Makes the endpoint's response the one the client gets.
async fn pass_back(
    service: &Service,
    response: Response<Incoming>,
    lease: Lease<RequestBody>,
    exchange: Exchange,
) -> Response<ResponseBody> {
    let (mut parts, incoming) = response.into_parts();
    forward::prepare_response(&mut parts.headers);
    parts.headers.entry(header::DATE).or_insert_with(|| service.worker.date());
    parts.version = Version::HTTP_11;
    Response::from_parts(parts, Download::new(incoming, lease, exchange).prefetch().await)
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        Reason::BadRequest(error.reason(), error.status()).into()
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        Reason::BadRequest(error.reason(), StatusCode::BAD_REQUEST).into()
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
