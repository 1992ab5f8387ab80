//! Bytes from one connection to another, as they come.
//!
//! What is read is written at once. Only what the other side does not take is kept, and until that has gone no more is read:
//! so a tunnel that lies idle holds no buffer, and one whose reader is slow holds one piece and slows its writer down.

use std::io;
use std::mem::{MaybeUninit, take};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is read at once, and so the most that is kept, bytes: one record of TLS.
const PIECE: usize = 16 * 1024;

/// One direction.
#[derive(Debug, Default)]
pub struct Flow {
    kept: Vec<u8>,
    /// How much of `kept` has gone.
    gone: usize,
    unflushed: bool,
    state: State,
    moved: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// There is nothing more to read; the other side has not been told.
    Ending,
    Ended,
}

impl Flow {
    /// Passes on what there is. Ready when `from` has ended and `to` has been told.
    ///
    /// # Errors
    /// What reading or writing fails with: nothing more can be passed on.
    pub fn poll(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_drain(to, cx))?;
            match self.state {
                State::Open => match self.poll_piece(from, to, cx)? {
                    Poll::Ready(()) => {}
                    Poll::Pending => return self.flush(to, cx),
                },
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Bytes that were passed on since this was last asked.
    pub fn take_moved(&mut self) -> u64 {
        take(&mut self.moved)
    }

    /// Whether something waits for the other side to take it.
    pub fn is_blocked(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Whether there is nothing more to read.
    pub fn is_ending(&self) -> bool {
        self.state != State::Open
    }

    /// Writes what is kept, and gives its memory back.
    fn poll_drain(
        &mut self,
        to: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.gone < self.kept.len() {
            let count = ready!(write(to, &self.kept[self.gone..], cx))?;
            self.gone += count;
            self.wrote(count);
        }
        (self.kept, self.gone) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Reads once, on the stack, and writes what came.
    fn poll_piece(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> io::Result<Poll<()>> {
        let mut space = [MaybeUninit::<u8>::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut space);
        match Pin::new(from).poll_read(cx, &mut piece) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(read) => read?,
        }
        if piece.filled().is_empty() {
            self.state = State::Ending;
            return Ok(Poll::Ready(()));
        }
        let written = match write(to, piece.filled(), cx) {
            Poll::Pending => 0,
            Poll::Ready(written) => written?,
        };
        self.wrote(written);
        self.kept.extend_from_slice(&piece.filled()[written..]);
        Ok(Poll::Ready(()))
    }

    fn wrote(&mut self, count: usize) {
        self.moved += count as u64;
        self.unflushed |= count > 0;
    }

    /// There is nothing to read for now: what TLS still holds back goes out.
    fn flush(&mut self, to: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Pending
    }
}

/// Takes nothing written of something for an error, as it would go on for ever.
fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(to).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        count => Poll::Ready(Ok(count)),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// Polls once, as a tunnel does when something has happened.
    fn poll(flow: &mut Flow, from: &mut DuplexStream, to: &mut DuplexStream) -> Poll<io::Result<()>> {
        flow.poll(from, to, &mut Context::from_waker(Waker::noop()))
    }

    fn run<F: Future>(test: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(test)
    }

    #[test]
    fn what_comes_is_passed_on_and_nothing_is_kept() {
        run(async {
            let ((mut client, mut from), (mut to, mut endpoint)) = (duplex(1024), duplex(1024));
            let mut flow = Flow::default();
            client.write_all(b"hello").await.expect("write");
            assert!(poll(&mut flow, &mut from, &mut to).is_pending());
            let mut seen = [0; 5];
            endpoint.read_exact(&mut seen).await.expect("read");
            assert_eq!((&seen, flow.take_moved(), flow.take_moved()), (b"hello", 5, 0));
            assert!(!flow.is_blocked() && flow.kept.capacity() == 0);
        });
    }

    #[test]
    fn a_slow_reader_slows_its_writer_down_at_one_piece() {
        run(async {
            let ((mut client, mut from), (mut to, mut endpoint)) = (duplex(1 << 20), duplex(10));
            let mut flow = Flow::default();
            client.write_all(&vec![7; 100_000]).await.expect("write");
            assert!(poll(&mut flow, &mut from, &mut to).is_pending());
            assert!(flow.is_blocked());
            assert_eq!(flow.take_moved(), 10);
            assert_eq!(flow.kept.len() - flow.gone, PIECE - 10);
            drop(client);
            let reading = async {
                let mut all = Vec::new();
                endpoint.read_to_end(&mut all).await.expect("read");
                all.len()
            };
            let passing = poll_fn(|cx| flow.poll(&mut from, &mut to, cx));
            let (count, passed) = tokio::join!(reading, passing);
            passed.expect("passed on");
            assert_eq!((count, flow.take_moved(), flow.kept.capacity()), (100_000, 99_990, 0));
        });
    }

    #[test]
    fn the_end_is_passed_on_after_the_last_byte() {
        run(async {
            let ((mut client, mut from), (mut to, mut endpoint)) = (duplex(64), duplex(2));
            let mut flow = Flow::default();
            client.write_all(b"bye").await.expect("write");
            client.shutdown().await.expect("shutdown");
            assert!(poll(&mut flow, &mut from, &mut to).is_pending());
            assert!(!flow.is_ending());
            let mut seen = [0; 2];
            endpoint.read_exact(&mut seen).await.expect("read");
            assert!(poll(&mut flow, &mut from, &mut to).is_ready());
            assert!(flow.is_ending());
            let mut rest = Vec::new();
            endpoint.read_to_end(&mut rest).await.expect("read");
            assert_eq!((&seen[..], &rest[..]), (&b"by"[..], &b"e"[..]));
        });
    }

    #[test]
    fn a_side_that_is_gone_is_an_error() {
        run(async {
            let ((mut client, mut from), (mut to, endpoint)) = (duplex(64), duplex(64));
            drop(endpoint);
            client.write_all(b"x").await.expect("write");
            let Poll::Ready(ended) = poll(&mut Flow::default(), &mut from, &mut to) else {
                panic!("not ended")
            };
            assert_eq!(ended.expect_err("nobody is there").kind(), io::ErrorKind::BrokenPipe);
        });
    }
}
