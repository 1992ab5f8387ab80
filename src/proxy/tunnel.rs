//! From an upgrade to a tunnel: what the client asks for, the endpoint's answer, and then bytes both ways.
//!
//! Nothing that the client sends after its request leaves before the endpoint has answered 101. Over HTTP/1 the HTTP
//! libraries hand their connections back then, and the tunnel runs in the task of the client's; over HTTP/2 it is a stream,
//! and a task of its own that ends with it. A tunnel knows no config after it has been opened, so that none ends by a
//! reload. It counts as in flight at its endpoint, but holds no permit of the upstream: that bounds work, and most tunnels
//! just wait.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::ext;
use hyper::upgrade::OnUpgrade;
use tokio::task::spawn_local;

use super::answer::{self, Form, Refusal};
use super::body::{RequestBody, ResponseBody};
use super::exchange::Exchange;
use super::handle::{Service, prepare_head};
use super::received::Received;
use super::told::Told;
use super::view::UpstreamView;
use crate::config::Protocol;
use crate::net::pool::Lease;
use crate::net::relay::Flow;
use crate::net::switched::Switched;
use crate::net::timers::Timer;
use crate::policy::reason::{Reason, Sent};
use crate::policy::tunnel::{Look, Patience, Still, Waits};
use crate::policy::upgrade::Upgrade;
use crate::snapshot::{OpenTunnel, Route, TunnelCounts};

/// An extended CONNECT (RFC 8441), taken off the head that it came in.
#[derive(Debug)]
pub struct Connect {
    protocol: ext::Protocol,
    stream: OnUpgrade,
}

impl Connect {
    /// Makes an extended CONNECT the GET that it stands for. `None` for any other request, plain CONNECT among them, which
    /// is refused.
    pub fn take(parts: &mut Parts) -> Option<Box<Self>> {
        if parts.method != Method::CONNECT || parts.version != Version::HTTP_2 {
            return None;
        }
        let protocol = parts.extensions.remove::<ext::Protocol>()?;
        let stream = parts.extensions.remove::<OnUpgrade>()?;
        parts.method = Method::GET;
        Some(Box::new(Self { protocol, stream }))
    }
}

/// An upgrade that the endpoint is asked for.
#[derive(Debug)]
pub struct Asked {
    upgrade: Upgrade,
    /// The client's side, where it is a stream of HTTP/2.
    stream: Option<OnUpgrade>,
    counts: Arc<TunnelCounts>,
    waits: Waits,
}

/// Has the endpoint asked for what the client wants, as far as the route allows it.
///
/// # Errors
/// An extended CONNECT for what it does not: there is no plain request that it could go on as.
pub fn ask(
    service: &Service,
    exchange: &mut Exchange,
    route: &Route,
    received: &Received<'_>,
    connect: Option<Box<Connect>>,
) -> Result<(), Reason> {
    let (upgrade, stream) = match connect {
        None => match received.upgrade(&route.upgrades) {
            None => return Ok(()),
            Some(upgrade) => (upgrade, None),
        },
        Some(connect) => {
            let Connect { protocol, stream } = *connect;
            let nonce = service.worker.rng.borrow_mut().u128(..);
            let upgrade = Upgrade::connect(protocol.as_str(), nonce, &route.upgrades).ok_or(REFUSED)?;
            (upgrade, Some(stream))
        }
    };
    let waits = Waits { idle: route.timeouts.tunnel_idle, stall: route.timeouts.idle };
    let counts = Arc::clone(&route.tunnels);
    service.connection.expect_switch();
    exchange.ask_upgrade(Box::new(Asked { upgrade, stream, counts, waits }));
    Ok(())
}

/// Endpoints that speak HTTP/2 only are not asked: over that, nothing is upgraded.
///
/// # Errors
/// As [`ask`].
pub fn withhold(exchange: &mut Exchange, upstream: &UpstreamView) -> Result<(), Reason> {
    if upstream.upstream.config.protocol != Protocol::H2 {
        return Ok(());
    }
    let asked = exchange.take_upgrade();
    if asked.is_some_and(|asked| asked.is_connect()) { Err(REFUSED) } else { Ok(()) }
}

/// RFC 9220 section 3, for HTTP/2 as well as for HTTP/3.
const REFUSED: Reason = Reason::BadRequest("protocol_refused", StatusCode::NOT_IMPLEMENTED);

impl Asked {
    /// Asks the endpoint.
    pub fn offer(&self, headers: &mut HeaderMap) {
        self.upgrade.offer(headers);
    }

    /// Whether the client asks by extended CONNECT, to which every success is an open tunnel (RFC 9110 section 9.3.6).
    pub fn is_connect(&self) -> bool {
        self.upgrade.is_connect()
    }

    /// Whether this 101 of the endpoint grants what it was asked.
    pub fn is_granted<B>(&self, response: &Response<B>) -> bool {
        self.upgrade.is_granted(response.headers())
    }
}

/// Tells the client that the endpoint has switched, as it answers, and opens the tunnel once it knows. An endpoint that is
/// gone already is answered for.
pub async fn open(
    service: &Service,
    response: Response<Incoming>,
    lease: Lease<RequestBody>,
    form: Form,
    mut exchange: Box<Exchange>,
    told: &Told,
) -> Response<ResponseBody> {
    let mut parts = response.into_parts().0;
    let endpoint = match parts.extensions.remove::<OnUpgrade>() {
        Some(handover) => exchange.within(Switched::take(handover)).await.ok().flatten(),
        None => None,
    };
    drop(lease);
    let chosen = parts.headers.get(header::UPGRADE).cloned();
    let (Some(endpoint), Some(asked), Some(chosen)) = (endpoint, exchange.take_upgrade(), chosen) else {
        return answer::refuse(Refusal::with_sent(Reason::Reset, Sent::Yes), form, exchange);
    };
    let Asked { upgrade, stream, counts, waits } = *asked;
    prepare_head(&mut parts, told);
    parts.status = upgrade.grant(chosen, &mut parts.headers);
    exchange.tunnels(parts.status, waits.stall);
    let timers = &service.worker.timers;
    let (timer, patience) = (timers.timer(), Patience::new(waits, timers.now()));
    let tunnel = Box::new(Tunnel {
        endpoint,
        up: Flow::default(),
        down: Flow::default(),
        patience,
        timer,
        count: OpenTunnel::count(&counts),
        exchange,
    });
    match stream {
        None => drop(service.tunnel.replace(Some(tunnel))),
        Some(stream) => drop(spawn_local(over_http2(stream, tunnel))),
    }
    Response::from_parts(parts, ResponseBody::Own(None))
}

/// Ends when the stream does, and with its connection.
async fn over_http2(stream: OnUpgrade, tunnel: Box<Tunnel>) {
    if let Some(stream) = Switched::take(stream).await {
        tunnel.run(stream).await;
    }
}

/// An open tunnel, all but the client's side of it.
#[derive(Debug)]
pub struct Tunnel {
    endpoint: Switched,
    up: Flow,
    down: Flow,
    patience: Patience,
    timer: Timer,
    count: OpenTunnel,
    exchange: Box<Exchange>,
}

/// How a tunnel ends.
#[derive(Debug)]
enum End {
    /// Both sides have said all they had to say.
    Whole,
    /// One of them is gone; then the other is let go at once.
    Broken(io::Error),
    /// It was given up.
    Still(Still),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("both sides are done"),
            Self::Broken(error) => write!(f, "one side is gone: {error}"),
            Self::Still(Still::Idle) => f.write_str("nothing moved"),
            Self::Still(Still::Stalled) => f.write_str("one side took nothing"),
        }
    }
}

impl Tunnel {
    /// Passes bytes on until both sides have ended, one of them breaks off, or too little moves.
    pub async fn run(mut self: Box<Self>, mut client: Switched) {
        self.timer.set_at(self.patience.deadline());
        let end = poll_fn(|cx| self.poll(&mut client, cx)).await;
        tracing::debug!(%end, "tunnel ends");
        self.exchange.complete();
    }

    fn poll(&mut self, client: &mut Switched, cx: &mut Context<'_>) -> Poll<End> {
        let up = self.up.poll(client, &mut self.endpoint, cx);
        let down = self.down.poll(&mut self.endpoint, client, cx);
        self.take_note();
        match (up, down) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => Poll::Ready(End::Broken(error)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(End::Whole),
            (Poll::Pending, _) | (_, Poll::Pending) => self.poll_still(cx).map(End::Still),
        }
    }

    fn take_note(&mut self) {
        let looks = [look(&mut self.up), look(&mut self.down)];
        let (bytes_in, bytes_out) = (looks[0].moved, looks[1].moved);
        if bytes_in + bytes_out > 0 {
            self.count.moved(bytes_in, bytes_out);
            self.exchange.tunnel_moved(bytes_in, bytes_out);
        }
        if self.patience.look(looks, self.exchange.now()) {
            self.timer.set_at(self.patience.deadline());
        }
    }

    /// What has moved meanwhile is asked for when the deadline passes, so that moving costs no timer.
    fn poll_still(&mut self, cx: &Context<'_>) -> Poll<Still> {
        loop {
            ready!(self.timer.poll_fired(cx));
            if let Some(still) = self.patience.expired(self.exchange.now()) {
                return Poll::Ready(still);
            }
            self.timer.set_at(self.patience.deadline());
        }
    }
}

fn look(flow: &mut Flow) -> Look {
    Look { moved: flow.take_moved(), blocked: flow.is_blocked(), ending: flow.is_ending() }
}
