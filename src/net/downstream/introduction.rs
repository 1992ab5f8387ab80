//! The PROXY header before the first byte of TLS or HTTP.
//!
//! Whatever is read of what comes behind it is given back. The wait has the deadlines of the connection, and the header is
//! bounded (`policy/proxy_header.rs`), so that who says nothing, or too much, holds nothing for long.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use super::{Connection, canonical};
use crate::net::accepted::Accepted;
use crate::policy::proxy_header::{self, Ends, Expect, Reading, Refusal};

/// As much of a first read as most headers have, with the beginning of what follows them.
const FIRST_READ: usize = 2048;

impl Connection {
    /// Reads the header, and speaks for the client that it names from here on. `false` for a connection that ended before
    /// its first byte, as that of a check does which only asks whether somebody accepts.
    ///
    /// # Errors
    /// It may not be served.
    pub async fn be_introduced(&self, stream: &mut Accepted, expect: Expect) -> Result<bool, Refusal> {
        match expect {
            Expect::Header => self.wait(self.waits.header),
            // There is no library yet that it could rest from.
            Expect::Perhaps => self.wait(self.waits.idle),
            Expect::Nothing => {}
        }
        let mut read = BytesMut::new();
        match self.read_header(stream, &mut read, expect).await? {
            None => return Ok(false),
            Some(Reading::Whole { length, ends }) => {
                read.advance(length);
                self.speak_for(ends);
            }
            Some(Reading::Absent) if expect == Expect::Header => return Err(Refusal::Missing),
            Some(Reading::Absent | Reading::Partial) => {}
        }
        stream.give_back(read.freeze());
        self.wait_for_request();
        Ok(true)
    }

    /// Reads until it is known what it is; `None` if it is nothing.
    async fn read_header(
        &self,
        stream: &mut Accepted,
        read: &mut BytesMut,
        expect: Expect,
    ) -> Result<Option<Reading>, Refusal> {
        loop {
            let count = poll_fn(|cx| self.poll_more(cx, stream, read, expect)).await?;
            match proxy_header::read(read)? {
                Reading::Partial if count > 0 => {}
                Reading::Partial if read.is_empty() => return Ok(None),
                Reading::Partial => return Err(Refusal::Incomplete),
                reading => return Ok(Some(reading)),
            }
        }
    }

    /// Reads once more. How many bytes came; 0 at the end. On the stack, since a connection that waits must not hold a
    /// buffer.
    fn poll_more(
        &self,
        cx: &mut Context<'_>,
        stream: &mut Accepted,
        read: &mut BytesMut,
        expect: Expect,
    ) -> Poll<Result<usize, Refusal>> {
        let mut scratch = [0; FIRST_READ];
        let mut buf = ReadBuf::new(&mut scratch);
        // An error is an end too.
        if Pin::new(stream).poll_read(cx, &mut buf).is_pending() {
            ready!(self.read_timer.poll_fired(cx));
            // Who need not say anything may leave it at that.
            let is_idle = read.is_empty() && expect != Expect::Header;
            return Poll::Ready(if is_idle { Ok(0) } else { Err(Refusal::TimedOut) });
        }
        if read.is_empty() && expect != Expect::Header {
            self.wait(self.waits.header);
        }
        read.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn speak_for(&self, ends: Option<Ends>) {
        let Some(Ends { client, server }) = ends else { return self.unnamed.set(true) };
        self.peer.set(canonical(client));
        self.local.set(canonical(server));
    }
}
