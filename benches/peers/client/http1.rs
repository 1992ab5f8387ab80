//! The one request of HTTP/1.1 that is asked here: `GET /small`.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Outcome;

/// What becomes of the connection afterwards.
#[derive(Clone, Copy)]
pub(crate) enum Afterwards {
    /// It stays open.
    Keep,
    /// The proxy is asked to close it.
    Close,
}

/// Asks, and waits for the whole answer, which must be a 200.
pub(crate) async fn get<S>(stream: &mut S, host: SocketAddr, afterwards: Afterwards) -> Outcome<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connection = match afterwards {
        Afterwards::Keep => "",
        Afterwards::Close => "Connection: close\r\n",
    };
    let request = format!("GET /small HTTP/1.1\r\nHost: {host}\r\n{connection}\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::with_capacity(1024);
    while !is_whole(&answer)? {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err("closed within an answer".into());
        }
    }
    Ok(())
}

fn is_whole(answer: &[u8]) -> Outcome<bool> {
    let text = str::from_utf8(answer)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(false) };
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("answered {}", head.lines().next().unwrap_or_default()).into());
    }
    let length = head.lines().find_map(content_length).ok_or("an answer without Content-Length")?;
    Ok(body.len() >= length)
}

fn content_length(line: &str) -> Option<usize> {
    let (name, value) = line.split_once(':')?;
    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
}
