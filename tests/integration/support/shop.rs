//! An endpoint that speaks HTTP/2, with TLS or without, and does by path what tests need; and one that does the same over
//! HTTP/1.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

use super::{Origin, eventually};

/// Bytes of `/large`.
pub const LARGE: usize = 3 << 20;

/// What an HTTP/2 endpoint has seen.
#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    cancelled: AtomicUsize,
}

/// A listening endpoint, closed on drop. `/echo` gives back body and trailers, `/large` many bytes, `/status/N` that status,
/// `/trailers` a body and trailers, `/early` an answer before the body is read, `/broken` half a response, `/hang` none.
pub struct Shop {
    address: SocketAddr,
    seen: Arc<Seen>,
    _stop: oneshot::Sender<()>,
}

impl Shop {
    /// In the clear.
    pub fn start() -> Self {
        Self::with(None)
    }

    /// Within TLS.
    pub fn with_tls(tls: Arc<ServerConfig>) -> Self {
        Self::with(Some(tls))
    }

    fn with(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        listener.set_nonblocking(true).expect("nonblocking");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                spawn_local(accept(listener, tls, shared));
                drop(stopped.await);
            });
        });
        Self { address, seen, _stop: stop }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads it was sent: `METHOD scheme://authority/path; te; content-length`, `-` for what was not there.
    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().expect("requests").clone()
    }

    /// Connections made to it so far.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many requests were taken back.
    pub fn wait_for_cancels(&self, count: usize) {
        let cancelled = || self.seen.cancelled.load(Ordering::SeqCst);
        eventually("a request that is taken back", || (cancelled() >= count).then_some(()));
    }
}

async fn accept(listener: TcpListener, tls: Option<Arc<ServerConfig>>, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, seen) = (tls.clone(), Arc::clone(&seen));
        spawn_local(async move {
            match tls {
                None => serve(stream, seen).await,
                Some(tls) => {
                    if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                        serve(stream, seen).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, seen: Arc<Seen>) {
    seen.connections.fetch_add(1, Ordering::SeqCst);
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        seen.requests.lock().expect("requests").push(line(&request));
        let seen = Arc::clone(&seen);
        spawn_local(async move { drop(answer(request, respond, &seen).await) });
    }
}

fn line(request: &Request<RecvStream>) -> String {
    let header =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
    let hidden = ["host", "connection", "transfer-encoding", "upgrade", "keep-alive"];
    let wrong: Vec<&str> = hidden.into_iter().filter(|name| request.headers().contains_key(*name)).collect();
    assert!(wrong.is_empty(), "{wrong:?} in a request of HTTP/2");
    format!("{} {}; {}; {}", request.method(), request.uri(), header("te"), header("content-length"))
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    seen: &Seen,
) -> Result<(), h2::Error> {
    let path = request.uri().path().to_owned();
    let head = |status: u16| {
        let mut head = Response::new(());
        *head.status_mut() = status.try_into().expect("a status");
        head
    };
    match path.as_str() {
        "/echo" => {
            let mut out = respond.send_response(head(200), false)?;
            echo(request.into_body(), &mut out).await
        }
        "/large" => {
            let mut out = respond.send_response(head(200), false)?;
            send(&mut out, Bytes::from(vec![b'x'; LARGE])).await?;
            out.send_data(Bytes::new(), true)
        }
        "/trailers" => {
            let mut head = head(200);
            head.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
            let mut out = respond.send_response(head, false)?;
            out.send_data("hi".into(), false)?;
            out.send_trailers(HeaderMap::from_iter([(
                "x-sum".parse().expect("a name"),
                "5".parse().expect("a value"),
            )]))
        }
        "/early" => {
            let mut out = respond.send_response(head(200), false)?;
            out.send_data("early".into(), true)?;
            out.send_reset(Reason::NO_ERROR);
            Ok(())
        }
        "/broken" => {
            let mut out = respond.send_response(head(200), false)?;
            send(&mut out, "half".into()).await?;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            out.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
        "/hang" => {
            std::future::poll_fn(|cx| respond.poll_reset(cx)).await?;
            seen.cancelled.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        _ => {
            let status = path.strip_prefix("/status/").and_then(|status| status.parse().ok()).unwrap_or(404);
            respond.send_response(head(status), true).map(drop)
        }
    }
}

async fn echo(mut body: RecvStream, out: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        send(out, data).await?;
    }
    match body.trailers().await? {
        Some(trailers) => out.send_trailers(trailers),
        None => out.send_data(Bytes::new(), true),
    }
}

/// As fast as the other side takes it.
async fn send(out: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        out.reserve_capacity(data.len());
        let most = match std::future::poll_fn(|cx| out.poll_capacity(cx)).await {
            Some(most) => most?,
            None => return Err(Reason::CANCEL.into()),
        };
        out.send_data(data.split_to(most.min(data.len())), false)?;
    }
    Ok(())
}

/// The same over HTTP/1.
pub fn http1_shop() -> Origin {
    Origin::start(|visit| {
        while let Some(request) = visit.request() {
            let asked = request.asks().to_owned();
            let path = asked.split(' ').nth(1).unwrap_or("").to_owned();
            let whole = match path.as_str() {
                "/echo" => {
                    let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n".to_vec();
                    for piece in request.body.chunks(1 << 20) {
                        answer.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                        answer.extend_from_slice(piece);
                        answer.extend_from_slice(b"\r\n");
                    }
                    let trailers: String = request.trailers.iter().map(|line| format!("{line}\r\n")).collect();
                    answer.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
                    visit.send(answer)
                }
                "/large" => {
                    visit.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n"));
                    visit.send(vec![b'x'; LARGE])
                }
                "/trailers" => visit.send(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 5\r\n\r\n",
                ),
                "/early" => visit.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly"),
                "/broken" => {
                    visit.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
                    false
                }
                _ if path.starts_with("/status/") => {
                    visit.send(format!("HTTP/1.1 {} Text\r\n{}\r\n", &path[8..], bodiless(&path[8..])))
                }
                _ => visit.send("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
            };
            if !whole {
                return;
            }
        }
    })
}

/// 204 and 304 have no length.
fn bodiless(status: &str) -> &'static str {
    if matches!(status, "204" | "304") { "" } else { "content-length: 0\r\n" }
}
