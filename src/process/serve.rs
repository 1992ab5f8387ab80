//! One accepted connection, from its first byte to its last: TLS, then HTTP/1 or HTTP/2, whichever the client speaks.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use crate::config::Limits;
use crate::net::accepted::Accepted;
use crate::net::downstream::{Connection, Socket};
use crate::net::switched::{Switched, keep_alive};
use crate::net::tls::{Termination, shake_hands};
use crate::net::transport::Transport;
use crate::proxy;
use crate::proxy::body::ResponseBody;
use crate::proxy::handle::Service;

mod http2;
mod unread;

/// Why a connection ended before its time.
type Broken = Box<dyn Error + Send + Sync>;

/// Serves one connection to its end.
pub(super) async fn serve(
    service: Service,
    stream: Accepted,
    tls: Option<Arc<Termination>>,
    limits: &Limits,
) {
    let connection = Rc::clone(&service.connection);
    if let Err(error) = speak(Rc::new(service), stream, tls, limits).await {
        tracing::debug!(peer = %connection.peer(), %error, "connection ended early");
    }
}

async fn speak(
    service: Rc<Service>,
    stream: Accepted,
    tls: Option<Arc<Termination>>,
    limits: &Limits,
) -> Result<(), Broken> {
    let transport = match tls {
        None => Transport::Plain(stream),
        // Boxed, as a handshake needs much room, and only once.
        Some(tls) => Box::pin(secure(stream, tls, limits, &service.connection)).await?,
    };
    let (agreed, is_plain) = (transport.agreed_on_http2(), transport.is_plain());
    let mut socket = Socket::new(transport, Rc::clone(&service.connection));
    let is_http2 = match agreed {
        Some(agreed) => agreed,
        // Within TLS it is agreed on or not spoken (RFC 9113 section 3.2), or a listener could not be without it.
        None => socket.begins_http2().await? && is_plain,
    };
    match is_http2 {
        true => Box::pin(http2::speak(service, socket, limits)).await,
        false => speak_http1(service, socket, limits).await,
    }
}

async fn secure(
    stream: Accepted,
    tls: Arc<Termination>,
    limits: &Limits,
    connection: &Connection,
) -> Result<Transport, Broken> {
    let shaken = tokio::select! {
        shaken = shake_hands(stream, &tls, limits.header_timeout) => shaken?,
        () = connection.given_up() => return Err("asked to close before the handshake was done".into()),
    };
    connection.secured(shaken.session);
    Ok(shaken.transport)
}

async fn speak_http1(service: Rc<Service>, mut socket: Socket, limits: &Limits) -> Result<(), Broken> {
    let handled = Rc::clone(&service);
    let handler = service_fn(move |request| answer(Rc::clone(&handled), request));
    let mut http = http1::Builder::new();
    http.auto_date_header(false).max_header_size(limits.max_header_bytes);
    let read_buf = loop {
        // Boxed, so that a connection that rests does not keep the room for it.
        let mut serving = Box::new(http.serve_connection(TokioIo::new(socket), handler.clone()));
        let ended =
            to_the_end(&service.connection, Pin::new(&mut *serving), |serving| serving.graceful_shutdown());
        let ended = ended.await?;
        let http1::Parts { io, read_buf, .. } = serving.into_parts();
        socket = io.into_inner();
        match ended {
            Ended::Over => break read_buf,
            Ended::Rests => socket.rest(read_buf).await?,
        }
    };
    let tunnel = service.tunnel.take();
    match tunnel {
        Some(tunnel) => {
            keep_alive(socket.tcp());
            tunnel.run(Switched::new(socket, read_buf)).await;
        }
        None => close(socket).await?,
    }
    Ok(())
}

/// The HTTP library leaves a connection open on which a client has ever asked for another protocol.
async fn close(mut socket: Socket) -> io::Result<()> {
    match socket.is_shut() {
        true => Ok(()),
        false => socket.shutdown().await,
    }
}

/// What becomes of a connection that the library had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Over,
    /// It waits for a request, and need not be the library's meanwhile.
    Rests,
}

/// Runs the library's side of a connection, and has it end where it is asked to.
async fn to_the_end<F>(
    connection: &Connection,
    mut serving: Pin<&mut F>,
    end: impl Fn(Pin<&mut F>),
) -> Result<Ended, Broken>
where
    F: Future<Output = hyper::Result<()>>,
{
    let mut closing = false;
    let ended = poll_fn(|cx| {
        if !closing && connection.poll_closing(cx) {
            closing = true;
            end(serving.as_mut());
        }
        match serving.as_mut().poll(cx) {
            Poll::Pending if connection.takes_rest() => Poll::Ready(Ok(Ended::Rests)),
            polled => polled.map_ok(|()| Ended::Over),
        }
    });
    Ok(ended.await?)
}

/// Answers one request, and tells the client where it is the connection's last.
async fn answer(
    service: Rc<Service>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let connection = Rc::clone(&service.connection);
    let mut response = proxy::handle(service, request).await?;
    if connection.is_closing() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
