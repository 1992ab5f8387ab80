//! A check by gRPC: `grpc.health.v1.Health/Check` over HTTP/2.
//!
//! See <https://github.com/grpc/grpc/blob/master/doc/health-checking.md> and `PROTOCOL-HTTP2.md` beside it.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use prost::Message;

use super::http::USER_AGENT;
use super::probe::{Beside, Trouble, beside};
use crate::config::GrpcProbe;
use crate::net::connect::{Stream, Target};

/// The flag and the length before each message.
const PREFIX: usize = 5;
/// Bytes of an answer. The right one has two beside its prefix.
const ANSWER: usize = 1024;
/// Bytes that the endpoint may send of a head, and before it is asked for more.
const HEAD_BYTES: u32 = 16 * 1024;
const WINDOW: u32 = 64 * 1024;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// Asks, and looks at the status in the message.
pub(super) async fn ask(stream: Stream, target: &Target, probe: &GrpcProbe) -> Result<(), Trouble> {
    let (executor, _tasks) = Beside::new();
    let (mut sender, connection) = http2::Builder::new(executor)
        .max_header_list_size(HEAD_BYTES)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(TokioIo::new(stream))
        .await?;
    let asked = async {
        let response = sender.send_request(request(target, probe)?).await?;
        judge(response).await
    };
    beside(connection, asked).await
}

fn request(target: &Target, probe: &GrpcProbe) -> Result<Request<Full<Bytes>>, Trouble> {
    let host = probe.host.as_ref().map_or_else(|| target.address.to_string(), ToString::to_string);
    let question = HealthCheckRequest { service: probe.service.clone().unwrap_or_default() };
    Request::post(format!("{}://{host}/grpc.health.v1.Health/Check", target.scheme()))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::new(framed(&question)))
        .map_err(|error| Trouble::Ours(error.to_string()))
}

fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message.encode_to_vec());
    frame.freeze()
}

async fn judge(response: Response<Incoming>) -> Result<(), Trouble> {
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(Trouble::Bad(format!("status {}, not gRPC", head.status.as_u16())));
    }
    let kind = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    if !kind.starts_with(b"application/grpc") {
        return Err(Trouble::bad("the answer is not gRPC"));
    }
    // An answer without a message has its status in the head.
    grpc_status(&head.headers)?;
    let (message, trailers) = read(body).await?;
    grpc_status(&trailers)?;
    serving(&message)
}

/// What comes before the trailers, up to a bound, and the trailers.
async fn read(mut body: Incoming) -> Result<(Vec<u8>, HeaderMap), Trouble> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) if read.len() + data.len() > ANSWER => {
                return Err(Trouble::bad("the answer is too long"));
            }
            Ok(data) => read.extend_from_slice(&data),
            Err(other) => return Ok((read, other.into_trailers().unwrap_or_default())),
        }
    }
    Ok((read, HeaderMap::new()))
}

/// Absent or 0 is well. The words beside it are the endpoint's own, and may say anything.
fn grpc_status(headers: &HeaderMap) -> Result<(), Trouble> {
    let Some(status) = headers.get("grpc-status") else { return Ok(()) };
    let code = status.to_str().ok().and_then(|status| status.parse::<u8>().ok());
    match code {
        Some(0) => Ok(()),
        Some(5) => Err(Trouble::bad("grpc-status 5: it does not know the service")),
        Some(12) => Err(Trouble::bad("grpc-status 12: it has no health service")),
        Some(code) => Err(Trouble::Bad(format!("grpc-status {code}"))),
        None => Err(Trouble::bad("the answer is not gRPC")),
    }
}

fn serving(answer: &[u8]) -> Result<(), Trouble> {
    let message = match answer.split_first_chunk::<PREFIX>() {
        Some(([0, a, b, c, d], rest)) => {
            let length = u32::from_be_bytes([*a, *b, *c, *d]);
            usize::try_from(length).ok().and_then(|length| rest.get(..length))
        }
        _ => None,
    };
    let message = message.and_then(|message| HealthCheckResponse::decode(message).ok());
    match message.map(|message| message.status()) {
        Some(ServingStatus::Serving) => Ok(()),
        Some(ServingStatus::NotServing) => Err(Trouble::bad("it says NOT_SERVING")),
        Some(ServingStatus::ServiceUnknown) => Err(Trouble::bad("it says SERVICE_UNKNOWN")),
        Some(ServingStatus::Unknown) => Err(Trouble::bad("it says UNKNOWN")),
        None => Err(Trouble::bad("the answer is not of grpc.health.v1.Health")),
    }
}
