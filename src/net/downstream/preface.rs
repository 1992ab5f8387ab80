//! Which HTTP a client begins to speak.
//!
//! HTTP/2 without TLS begins with bytes that are no HTTP/1 request (RFC 9113 section 3.4). What is read to tell is kept for
//! whichever library speaks it, so that it costs no system call more.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use super::Socket;
use crate::net::ahead::Ahead;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// As much of a first read as most requests have.
const FIRST_READ: usize = 4096;

impl Socket {
    /// Waits for the first bytes. Whether they are the beginning of HTTP/2.
    ///
    /// # Errors
    /// What reading fails with.
    pub async fn begins_http2(&mut self) -> io::Result<bool> {
        let mut first = BytesMut::new();
        loop {
            let count = poll_fn(|cx| self.poll_ahead(cx, &mut first)).await?;
            let compared = first.len().min(PREFACE.len());
            let agrees = first[..compared] == PREFACE[..compared];
            if count == 0 || !agrees || compared == PREFACE.len() {
                self.ahead = Ahead::new(first.freeze());
                return Ok(agrees && compared == PREFACE.len());
            }
        }
    }

    /// Waits for bytes, unless the library had read some. An empty buffer of its own is not kept for that long.
    ///
    /// # Errors
    /// What reading fails with.
    pub async fn rest(&mut self, read: Bytes) -> io::Result<()> {
        if !read.is_empty() {
            // The beginning of the next head, which came with the request before it.
            self.connection.bytes_arrived(&read);
            self.ahead = Ahead::new(read);
            return Ok(());
        }
        drop(read);
        let mut first = BytesMut::new();
        poll_fn(|cx| self.poll_ahead(cx, &mut first)).await?;
        self.ahead = Ahead::new(first.freeze());
        Ok(())
    }

    /// Reads once more. On the stack, since a connection that waits must not hold a buffer.
    fn poll_ahead(&mut self, cx: &mut Context<'_>, first: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut scratch = [0; FIRST_READ];
        let mut buf = ReadBuf::new(&mut scratch);
        ready!(Pin::new(self).poll_read(cx, &mut buf))?;
        first.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }
}
