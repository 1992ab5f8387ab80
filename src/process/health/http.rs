//! A check by HTTP, in the version that requests are sent in.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;

use super::probe::{Beside, Trouble, beside};
use crate::config::HttpProbe;
use crate::net::connect::{Opened, Stream, Target};
use crate::policy::forward::to_http2;

/// Bytes of a response head.
const HEAD_BYTES: usize = 16 * 1024;
/// Bytes that an endpoint may send of a head over HTTP/2, and before it is asked for more.
const WINDOW: u32 = 64 * 1024;

/// What checks call themselves, unless the config says otherwise.
pub(super) const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tillgate/", env!("CARGO_PKG_VERSION"), " (health check)"));

/// Asks, and looks at status and body.
pub(super) async fn ask(opened: Opened, target: &Target, probe: &HttpProbe) -> Result<(), Trouble> {
    let Opened { is_http2, stream } = opened;
    let request = request(target, probe)?;
    if is_http2 {
        return ask_http2(stream, target, request, probe).await;
    }
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(stream)).await?;
    let asked = async { judge(sender.send_request(request).await?, probe).await };
    beside(connection, asked).await
}

async fn ask_http2(
    stream: Stream,
    target: &Target,
    request: Request<Empty<Bytes>>,
    probe: &HttpProbe,
) -> Result<(), Trouble> {
    let (mut parts, body) = request.into_parts();
    to_http2(&mut parts, target.scheme(), target.address);
    let (executor, _tasks) = Beside::new();
    let (mut sender, connection) = http2::Builder::new(executor)
        .max_header_list_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(TokioIo::new(stream))
        .await?;
    let asked = async { judge(sender.send_request(Request::from_parts(parts, body)).await?, probe).await };
    beside(connection, asked).await
}

fn request(target: &Target, probe: &HttpProbe) -> Result<Request<Empty<Bytes>>, Trouble> {
    let host = probe.host.as_ref().map_or_else(|| target.address.to_string(), ToString::to_string);
    let mut request = Request::builder()
        .method(probe.method.clone())
        .uri(probe.path.as_str())
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| Trouble::Ours(error.to_string()))?;
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, USER_AGENT);
    for (name, value) in &probe.headers {
        headers.insert(name, value.clone());
    }
    Ok(request)
}

async fn judge(response: Response<Incoming>, probe: &HttpProbe) -> Result<(), Trouble> {
    let status = response.status();
    if !probe.expect.contains(status) {
        return Err(Trouble::Bad(format!("status {}, expected {}", status.as_u16(), probe.expect)));
    }
    match &probe.body {
        Some(text) => find(text, response.into_body()).await,
        None => Ok(()),
    }
}

/// Whether the text is among the first bytes of the body. No more of it is read, or held.
async fn find(text: &str, mut body: Incoming) -> Result<(), Trouble> {
    let mut read = Vec::new();
    while read.len() < HttpProbe::BODY_BYTES {
        let Some(frame) = body.frame().await else { break };
        let Ok(data) = frame?.into_data() else { continue };
        let from = read.len().saturating_sub(text.len());
        read.extend_from_slice(&data[..data.len().min(HttpProbe::BODY_BYTES - read.len())]);
        if memchr::memmem::find(&read[from..], text.as_bytes()).is_some() {
            return Ok(());
        }
    }
    Err(Trouble::Bad(format!("body lacks {text:?}")))
}
