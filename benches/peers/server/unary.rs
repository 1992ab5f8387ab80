//! A unary gRPC method under any name, over HTTP/2 without TLS, which answers with the message that it gets.

use std::io;

use bytes::{Bytes, BytesMut};
use h2::server::{self, SendResponse};
use h2::{Error, RecvStream};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// Serves for ever; `count` is called for each call.
pub(crate) async fn serve(listener: &TcpListener, count: impl Fn() + Clone + 'static) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        spawn_local(connection(stream, count.clone()));
    }
}

/// Ends when the client closes, in what way ever.
async fn connection(stream: TcpStream, count: impl Fn() + Clone + 'static) -> Result<(), Error> {
    let mut connection = server::handshake(stream).await?;
    while let Some(call) = connection.accept().await {
        let (request, answer) = call?;
        spawn_local(say(request, answer, count.clone()));
    }
    Ok(())
}

async fn say(
    request: Request<RecvStream>,
    mut answer: SendResponse<Bytes>,
    count: impl Fn(),
) -> Result<(), Error> {
    let message = read(request.into_body()).await?;
    count();
    let mut body = answer.send_response(head(), false)?;
    body.send_data(message, false)?;
    let status = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    body.send_trailers(HeaderMap::from_iter([status]))
}

async fn read(mut body: RecvStream) -> Result<Bytes, Error> {
    let mut whole = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

fn head() -> Response<()> {
    let mut head = Response::new(());
    head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head
}
