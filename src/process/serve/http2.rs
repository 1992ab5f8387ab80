//! HTTP/2: what one connection may hold, and the tasks of its streams.
//!
//! Bounds of one connection, beside its streams: the client may have sent [`CONNECTION_WINDOW`] bytes of bodies that no
//! endpoint has taken yet, [`STREAM_WINDOW`] of them in one; of each answer, [`SEND_BUFFER`] bytes and one piece wait for the
//! client. Heads are bounded by `max_header_bytes`, decoded; tables of header compression by 4 KiB in each direction.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::task::spawn_local;

use super::unread::{Unread, Watched};
use super::{Broken, to_the_end};
use crate::config::Limits;
use crate::net::downstream::Socket;
use crate::net::timers::Timers;
use crate::proxy;
use crate::proxy::handle::Service;

/// Bytes of one request body that may be here and not with its endpoint: 5 MB a second at a round trip of 50 ms.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same of all bodies of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one answer that wait to be written.
const SEND_BUFFER: usize = 64 * 1024;
/// What the client's encoder may have us keep, in bytes; so many by the specification.
const HEADER_TABLE: u32 = 4096;
/// Streams that the library itself resets, because the client breaks a rule, before it ends the connection.
const MOST_MISTAKES: usize = 1024;

/// Serves a connection that speaks HTTP/2 to its end.
pub(super) async fn speak(service: Rc<Service>, socket: Socket, limits: &Limits) -> Result<(), Broken> {
    let connection = Rc::clone(&service.connection);
    connection.multiplex();
    let streams = Streams { timers: Rc::clone(&service.worker.timers), begun: Rc::default() };
    let begun = Rc::clone(&streams.begun);
    let handler = service_fn(move |request| {
        let unread = Rc::new(Unread::default());
        begun.set(Some(Rc::clone(&unread)));
        answer(Rc::clone(&service), request, unread)
    });
    let serving = pin!(builder(streams, limits).serve_connection(TokioIo::new(socket), handler));
    to_the_end(&connection, serving, |serving| serving.graceful_shutdown()).await?;
    Ok(())
}

fn builder(streams: Streams, limits: &Limits) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(streams);
    http.auto_date_header(false)
        .enable_connect_protocol()
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .header_table_size(HEADER_TABLE)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(usize::try_from(limits.max_streams).unwrap_or(usize::MAX))
        .max_local_error_reset_streams(MOST_MISTAKES);
    http
}

async fn answer(
    service: Rc<Service>,
    request: Request<Incoming>,
    unread: Rc<Unread>,
) -> Result<Response<Watched>, Infallible> {
    let timers = Rc::clone(&service.worker.timers);
    let response = proxy::handle(service, request).await?;
    Ok(response.map(|body| Watched::new(body, unread, timers)))
}

/// Runs the streams of a connection on its own worker, each until it is over or its client has left its answer unread for too
/// long.
#[derive(Clone)]
struct Streams {
    timers: Rc<Timers>,
    /// That of the request whose task is started next: the library starts it as soon as it has called the handler.
    begun: Rc<Cell<Option<Rc<Unread>>>>,
}

impl<F: Future + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (timers, unread) = (Rc::clone(&self.timers), self.begun.take());
        spawn_local(async move {
            let (mut stream, mut timer) = (pin!(stream), None);
            poll_fn(|cx| match (stream.as_mut().poll(cx).map(drop), &unread) {
                (Poll::Pending, Some(unread)) => unread.poll_given_up(&timers, &mut timer, cx),
                (polled, _) => polled,
            })
            .await;
        });
    }
}
