//! Closing without losing the last answer.
//!
//! A socket that is closed with unread bytes makes the kernel send a reset, and a reset makes the client's kernel
//! throw away the answer it has not read yet. So the writing side is shut first, and what the client still sends is
//! read and dropped, for a bounded time and amount, until it has seen the end (nginx calls it `lingering_close`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};

use crate::net::timers::Timer;
use crate::net::transport::Transport;

/// No client is read out for longer.
const LONGEST: Duration = Duration::from_secs(2);
/// Nor for more bytes.
const MOST: usize = 1 << 20;

/// How far the reading out has come.
#[derive(Debug, Default)]
pub(super) struct Linger {
    started: bool,
    dropped: usize,
}

impl Linger {
    /// Ready when the client has closed its side, or time or patience ran out.
    pub(super) fn poll_read_out(
        &mut self,
        stream: &mut Transport,
        timer: &Timer,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.started {
            self.started = true;
            timer.set(LONGEST);
        }
        while let Poll::Ready(count) = poll_drop_bytes(stream, cx) {
            self.dropped += count;
            if count == 0 || self.dropped > MOST {
                return Poll::Ready(Ok(()));
            }
        }
        timer.poll_fired(cx).map(Ok)
    }
}

/// Bytes read and thrown away; 0 at the end or on an error, which is an end too.
fn poll_drop_bytes(stream: &mut Transport, cx: &mut Context<'_>) -> Poll<usize> {
    let mut scratch = [0; 4096];
    let mut buf = ReadBuf::new(&mut scratch);
    Pin::new(stream).poll_read(cx, &mut buf).map(|_| buf.filled().len())
}
