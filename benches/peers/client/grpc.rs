//! Unary calls: a message goes out, and comes back with `grpc-status: 0`.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, client};
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use super::Outcome;
use super::tally::Caller;

/// One stream at a time, on a connection that it shares.
pub(crate) struct Call {
    requests: SendRequest<Bytes>,
    to: SocketAddr,
    message: Bytes,
}

/// `streams` callers on each of as many connections, all open when this returns.
pub(crate) async fn callers(
    to: SocketAddr,
    connections: usize,
    streams: usize,
    bytes: usize,
) -> Outcome<Vec<Call>> {
    let message = framed(&vec![b'x'; bytes])?;
    let mut callers = Vec::with_capacity(connections * streams);
    for _ in 0..connections {
        let requests = connect(to).await?;
        let call = || Call { requests: requests.clone(), to, message: message.clone() };
        callers.extend((0..streams).map(|_| call()));
    }
    Ok(callers)
}

async fn connect(to: SocketAddr) -> Outcome<SendRequest<Bytes>> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (requests, connection) = client::handshake(stream).await?;
    // Ends with the last caller. An error of the connection is one of the call that is on it.
    spawn_local(connection);
    Ok(requests)
}

/// Not compressed, and its length.
fn framed(message: &[u8]) -> Outcome<Bytes> {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(message.len().try_into()?);
    frame.put_slice(message);
    Ok(frame.freeze())
}

impl Caller for Call {
    async fn call(&mut self) -> Outcome<()> {
        let mut requests = self.requests.clone().ready().await?;
        let (answer, mut body) = requests.send_request(self.head()?, false)?;
        body.send_data(self.message.clone(), true)?;
        let (head, mut body) = answer.await?.into_parts();
        let message = read(&mut body).await?;
        // Without a message the status stands in the head.
        let trailers = body.trailers().await?.unwrap_or(head.headers);
        if (head.status, status(&trailers)) != (StatusCode::OK, Some("0")) || message != self.message {
            return Err(
                format!("answered {} with {} bytes and {trailers:?}", head.status, message.len()).into()
            );
        }
        Ok(())
    }
}

impl Call {
    fn head(&self) -> Result<Request<()>, http::Error> {
        Request::post(format!("http://{}/bench.Echo/Say", self.to))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
    }
}

async fn read(body: &mut RecvStream) -> Result<BytesMut, h2::Error> {
    let mut whole = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

fn status(trailers: &HeaderMap) -> Option<&str> {
    trailers.get("grpc-status")?.to_str().ok()
}
