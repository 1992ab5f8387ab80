//! The path of one request, top to bottom.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http::request::Parts;
use http::{Request, Response, StatusCode, Version, header, response};
use hyper::body::{Body, Incoming};

use super::admission;
use super::answer::{self, Form, Refusal};
use super::body::{Download, RequestBody, ResponseBody};
use super::choose::Chosen;
use super::compress;
use super::early_hints;
use super::exchange::Exchange;
use super::fault;
use super::mirror;
use super::rate_limit;
use super::received::Received;
use super::redirect::redirect;
use super::rewrite::rewrite;
use super::told::{Maker, Told};
use super::tries::Tries;
use super::tunnel::{self, Asked, Connect, Tunnel};
use super::view::{View, Worker};
use crate::config::Protocol;
use crate::config::Scheme;
use crate::net::downstream::{Connection, Flaw};
use crate::net::pool::Lease;
use crate::net::tls::Session;
use crate::policy::balance::Hint;
use crate::policy::cookies;
use crate::policy::cors::{self, Found};
use crate::policy::forward::{client_scheme, name_client, prepare_response};
use crate::policy::head::Framing;
use crate::policy::reason::{Reason, Sent};
use crate::policy::retry::Tried;
use crate::snapshot::{Id, Route};

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
    /// What it is from the end of its last response on, if it switches to another protocol.
    pub tunnel: RefCell<Option<Box<Tunnel>>>,
}

/// Serves one request. Whatever goes wrong is an answer.
///
/// # Errors
/// None.
pub async fn handle(
    service: Rc<Service>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let (mut exchange, flaw) = Exchange::begin(&service.worker, &service.connection, service.listener);
    let form = Form::of(&request);
    if form == Form::Grpc {
        exchange.begin_call();
    }
    if request.version() == Version::HTTP_10 {
        service.connection.reset_unless_written();
    }
    let mut told = Told::default();
    let mut response = match forward(&service, &mut exchange, flaw, request, &mut told).await {
        Ok((response, lease)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            Box::pin(tunnel::open(&service, response, lease, form, exchange, &told)).await
        }
        Ok((response, lease)) => pass_back(response, lease, exchange, &told).await,
        Err(refusal) => {
            admission::tell_when(refusal.reason, &mut service.worker.rng.borrow_mut(), &mut told);
            let mut response = answer::refuse(refusal, form, exchange);
            told.edit(Maker::Tillgate, response.headers_mut());
            response
        }
    };
    service.connection.close_interim();
    told.apply(response.headers_mut());
    response.headers_mut().entry(header::DATE).or_insert_with(|| service.worker.date());
    Ok(response)
}

async fn forward(
    service: &Service,
    exchange: &mut Exchange,
    flaw: Option<Flaw>,
    request: Request<Incoming>,
    told: &mut Told,
) -> Result<(Response<Incoming>, Lease<RequestBody>), Refusal> {
    let (mut parts, incoming) = request.into_parts();
    let connect = Connect::take(&mut parts);
    let view = service.worker.view();
    let client = exchange.open_log(&view.snapshot, &parts);
    refuse_plain(service)?;
    name_client(&mut parts.headers, service.connection.session().and_then(Session::forwarded));
    let scheme = scheme(service, &view, &parts);
    let received = Received::check(&parts, flaw, incoming.is_end_stream(), scheme)?;
    let Found { index, is_preflight } = find_route(&view, &received)?;
    let route = &view.snapshot.routes[index];
    exchange.routed(route);
    tunnel::ask(service, exchange, route, &received, connect)?;
    exchange.bound_call(
        &parts.headers,
        view.upstream(route.upstream).upstream.config.protocol != Protocol::Http1,
    );
    told.routed(route, &parts, is_preflight);
    exchange.asked = compress::asked(route, &parts);
    rate_limit::check(&route.rate_limits, received.head().headers, client, exchange.ready(), told)?;
    fault::inject(&service.worker, exchange, route.fault.as_deref(), &parts.headers).await?;
    answer_preflight(is_preflight)?;
    redirect(route.redirect.as_deref(), &received, told)?;
    admit(route, &received)?;
    let chosen = Chosen::of(service, &view, route, &parts.headers);
    tunnel::withhold(exchange, chosen.upstream)?;
    let balancing = view.balancing(index, chosen.index);
    let key = received.sticky_key(balancing.strategy, client);
    let outgoing = received.outgoing(route.rewrite.as_deref())?;
    let queue = chosen.upstream.queue.as_ref();
    let body = admission::pass(queue, service, exchange, &outgoing, route, incoming).await?;
    let mut tries = Tries {
        service,
        upstream: chosen.upstream,
        balancing,
        hint: Hint::new(exchange.ready(), key, &parts.method),
        kept_to: chosen.endpoint(),
        idempotent: parts.method.is_idempotent() || may_call_twice(exchange, route),
        route,
        policy: route.retry,
        explains: explains(service, &view, &parts),
        told,
        hostless: outgoing.host.is_none() && route.host().is_none(),
        tried: Tried::default(),
        place: None,
    };
    let endpoint = tries.begin(exchange)?;
    let body = body.read(service, exchange, &outgoing, route).await;
    cookies::forget(&mut parts.headers, &view.snapshot.own_cookies);
    let interim = early_hints::open(service, route, &parts);
    rewrite(service, &view.snapshot, route, tries.upstream, endpoint, outgoing, &mut parts);
    exchange.tell_time_left(&mut parts.headers);
    exchange.log_request_id(&parts.headers);
    exchange.offer_upgrade(&mut parts.headers);
    mirror::copy(service, &view, route, tries.hostless, &parts, &body);
    // Boxed, since each function on the way would have room for it.
    let mut request = Box::new(Request::from_parts(parts, body));
    early_hints::listen(interim, &mut request);
    let (response, lease) = tries.send(exchange, request).await?;
    refuse_switch(exchange, &response)?;
    chosen.tell(service, tries.tried, told);
    Ok((response, lease))
}

/// A client that meant to be private is told so, and not served in the open.
fn refuse_plain(service: &Service) -> Result<(), Reason> {
    if service.connection.lacks_tls() { Err(Reason::PlainHttp) } else { Ok(()) }
}

/// How the client speaks to the shop, maybe by way of a proxy that it knows.
fn scheme(service: &Service, view: &View, parts: &Parts) -> Scheme {
    let here = Scheme::of(service.scheme.as_bytes()).unwrap_or(Scheme::Http);
    let peer_trusted = service.connection.is_believed(&view.snapshot.trusted);
    client_scheme(here, peer_trusted, &parts.headers)
}

fn find_route(view: &View, received: &Received<'_>) -> Result<Found, Reason> {
    let has_policy = |index: usize| view.snapshot.routes[index].cors.is_some();
    cors::find(&view.snapshot.table, &received.head(), has_policy).ok_or(Reason::NoRoute)
}

/// Endpoints are not asked what the route's policy says.
fn answer_preflight(is_preflight: bool) -> Result<(), Reason> {
    if is_preflight { Err(Reason::Preflight) } else { Ok(()) }
}

/// A body that says it is too large is refused before any of it is read.
fn admit(route: &Route, received: &Received<'_>) -> Result<(), Reason> {
    match received.framing() {
        Framing::Length(length) if length > route.max_body => Err(Reason::BodyTooLarge),
        Framing::None | Framing::Length(_) | Framing::Chunked => Ok(()),
    }
}

/// A gRPC call is a POST, and only the route can say that it does no harm when it is made twice.
fn may_call_twice(exchange: &Exchange, route: &Route) -> bool {
    exchange.is_grpc() && route.retry.is_some_and(|retry| retry.idempotent_calls)
}

/// Whether the client may know which endpoint is picked.
fn explains(service: &Service, view: &View, parts: &Parts) -> bool {
    let connection = &service.connection;
    let address = connection.is_of_its_peer().then(|| connection.peer().ip());
    view.snapshot.audience.as_ref().is_some_and(|audience| audience.includes(address, &parts.headers))
}

/// A switch of protocols that nobody asked for would make a tunnel of what the client takes for HTTP, and a success that is
/// no switch would be HTTP to whom the client takes for its tunnel.
fn refuse_switch(exchange: &Exchange, response: &Response<Incoming>) -> Result<(), Refusal> {
    let asked = exchange.upgrade();
    let status = response.status();
    let is_wrong = match status == StatusCode::SWITCHING_PROTOCOLS {
        true => !asked.is_some_and(|asked| asked.is_granted(response)),
        false => status.is_success() && asked.is_some_and(Asked::is_connect),
    };
    match is_wrong {
        true => Err(Refusal::with_sent(Reason::BadResponse, Sent::Yes)),
        false => Ok(()),
    }
}

/// Makes the endpoint's response the one the client gets.
async fn pass_back(
    response: Response<Incoming>,
    lease: Lease<RequestBody>,
    mut exchange: Box<Exchange>,
    told: &Told,
) -> Response<ResponseBody> {
    let (mut parts, incoming) = response.into_parts();
    prepare_head(&mut parts, told);
    let asked = exchange.asked.take();
    let download = Download::new(incoming, lease, exchange).prefetch().await;
    let response = Response::from_parts(parts, download);
    match asked {
        None => response.map(ResponseBody::Download),
        Some(asked) => compress::compress(*asked, response),
    }
}

/// Makes the endpoint's head the client's.
pub(super) fn prepare_head(parts: &mut response::Parts, told: &Told) {
    prepare_response(&mut parts.headers);
    told.edit(Maker::Endpoint, &mut parts.headers);
    parts.version = Version::HTTP_11;
}
