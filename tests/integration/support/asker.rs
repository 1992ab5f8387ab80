//! One request over HTTP/2, and what came of it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

use super::calling;

/// A response, or as much of it as came.
#[derive(Debug, Default)]
pub struct Asked {
    /// 0 where there was no head.
    pub status: u16,
    /// Of the head.
    pub headers: HeaderMap,
    /// What came.
    pub body: Vec<u8>,
    /// After the body.
    pub trailers: HeaderMap,
    /// Whether the stream was reset before its end.
    pub broken: bool,
}

/// Asks on a connection of its own.
pub fn ask2(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<Vec<u8>>,
    trailers: Option<HeaderMap>,
) -> Asked {
    calling(async {
        let stream = TcpStream::connect(address).await.expect("connect");
        let (mut sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::builder().method(method).uri(format!("http://shop.example{path}"));
        if trailers.is_some() {
            request = request.header("te", "trailers").header("trailer", "x-sum");
        }
        let request = request.body(()).expect("a request");
        let ends = body.is_none() && trailers.is_none();
        std::future::poll_fn(|cx| sender.poll_ready(cx)).await.expect("ready");
        let (response, mut out) = sender.send_request(request, ends).expect("sent");
        let upload = tokio::spawn(async move {
            if let Some(body) = body {
                out.send_data(Bytes::from(body), trailers.is_none())?;
            }
            trailers.map_or(Ok(()), |trailers| out.send_trailers(trailers))
        });
        let mut asked = Asked::default();
        asked.broken = read(response, &mut asked).await.is_err();
        upload.abort();
        asked
    })
}

async fn read(response: h2::client::ResponseFuture, asked: &mut Asked) -> Result<(), h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    (asked.status, asked.headers) = (head.status.as_u16(), head.headers);
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        asked.body.extend_from_slice(&data);
    }
    asked.trailers = body.trailers().await?.unwrap_or_default();
    Ok(())
}
