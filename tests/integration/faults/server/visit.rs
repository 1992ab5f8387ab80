//! One connection to the endpoint process.

use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::brittle::{self, Stage, Way};
use super::{Endpoint, Mode};

/// More than the proxy takes of a head.
const ENDLESS: usize = 1 << 20;

/// More than the beginning of a request up to its target has.
const LINE: usize = 64;

/// A connection, and what has been read of it but not used.
pub(super) struct Visit {
    pub(super) stream: TcpStream,
    endpoint: Rc<Endpoint>,
    unread: Vec<u8>,
    /// Up to where the requests in `unread` are in the journal.
    noted: usize,
}

/// The head of a request.
struct Head {
    target: String,
    length: Option<usize>,
    chunked: bool,
    expects: bool,
}

/// Serves a connection until either side has had enough of it.
pub(super) async fn serve(endpoint: Rc<Endpoint>, stream: TcpStream) {
    // Fails on connections that are gone already, as everything after it does.
    let _ = stream.set_nodelay(true);
    let number = endpoint.connections.replace(endpoint.connections.get() + 1);
    let mut visit = Visit { stream, endpoint, unread: Vec::new(), noted: 0 };
    if visit.endpoint.mode() == Mode::Brittle && brittle::refuses(visit.endpoint.seed, number) {
        visit.refuse(number).await;
    } else {
        while visit.request().await.is_some() {}
    }
}

impl Visit {
    /// Serves one request. `None` to end the connection.
    async fn request(&mut self) -> Option<()> {
        let head = self.head().await?;
        if self.endpoint.mode() == Mode::Brittle {
            return self.break_off(&head).await;
        }
        self.body(&head, 1).await?;
        let target = &head.target;
        let length = target.len();
        match self.endpoint.mode() {
            Mode::Normal | Mode::Brittle => self.send(ok(target)).await,
            Mode::Refuse => None,
            Mode::Silent => self.wait_for_another_mode().await,
            Mode::HalfHead => self.send("HTTP/1.1 200 OK\r\ncontent-le".into()).await.and(None),
            Mode::HalfBody => {
                let longer = length + 20;
                self.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {longer}\r\n\r\n{target}"))
                    .await
                    .and(None)
            }
            Mode::Garbage => self.send("SSH-2.0-OpenSSH_9.7\r\n\r\n".into()).await.and(None),
            Mode::TooMuch => self.send(format!("{}{}", ok(target), ok("/stray"))).await,
            Mode::EndlessHead if brittle::one_in_16(target) => {
                self.send("x-filler: and so on\r\n".repeat(ENDLESS / 21)).await.and(None)
            }
            Mode::EndlessHead => self.send(ok(target)).await,
            Mode::Error => self.send("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".into()).await,
        }
    }

    /// Goes through the stages of a request, up to the one at which it ends.
    async fn break_off(&mut self, head: &Head) -> Option<()> {
        let (stage, way) = brittle::fate(self.endpoint.seed, &head.target);
        match stage {
            Stage::Head => return self.leave(way).await,
            Stage::Body => {
                self.body(head, 2).await?;
                return self.leave(way).await;
            }
            Stage::Request | Stage::HalfHead | Stage::Answer(_) | Stage::Never => {}
        }
        self.body(head, 1).await?;
        match stage {
            Stage::Head | Stage::Body | Stage::Request => self.leave(way).await,
            Stage::HalfHead => {
                self.send("HTTP/1.1 200 OK\r\ncontent-le".into()).await?;
                self.leave(way).await
            }
            Stage::Answer(after) => {
                self.send(ok(&head.target)).await?;
                tokio::time::sleep(after).await;
                self.leave(way).await
            }
            Stage::Never => self.send(ok(&head.target)).await,
        }
    }

    /// Without a look at what comes, or after a look that leaves it where it is.
    async fn refuse(&mut self, number: u64) {
        if number.is_multiple_of(2) {
            let _ = self.stream.peek(&mut [0]).await;
        }
        self.reset();
    }

    /// Ends the connection. What has arrived by then is received, so it is noted first.
    async fn leave(&mut self, way: Way) -> Option<()> {
        self.take_what_is_there();
        match way {
            Way::Reset => self.reset(),
            Way::Close => {}
            Way::HalfClose => {
                let _ = self.stream.shutdown().await;
                while self.read().await.is_some() {
                    self.note();
                    // The beginning of another request may be in the last bytes.
                    self.take(self.unread.len().saturating_sub(LINE));
                }
            }
        }
        None
    }

    fn reset(&self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    async fn wait_for_another_mode(&self) -> Option<()> {
        let mut mode = self.endpoint.mode.clone();
        let _ = mode.wait_for(|mode| *mode != Mode::Silent).await;
        None
    }

    async fn head(&mut self) -> Option<Head> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                let head = self.take(end + 4);
                return Head::parse(&String::from_utf8_lossy(&head).to_ascii_lowercase());
            }
            self.note();
            self.read().await?;
            self.note();
        }
    }

    /// Reads a body, or the first part of it: one in `parts`.
    async fn body(&mut self, head: &Head, parts: usize) -> Option<()> {
        if head.expects {
            self.send("HTTP/1.1 100 Continue\r\n\r\n".into()).await?;
        }
        // Bodies are made of `x`, so that the end of a chunked one cannot be in it.
        let wanted = |unread: &[u8]| match (head.length, head.chunked) {
            (Some(length), _) => (unread.len() >= length / parts).then_some(length / parts),
            (None, true) if parts > 1 => Some(unread.len()),
            (None, true) => unread.ends_with(b"0\r\n\r\n").then_some(unread.len()),
            (None, false) => Some(0),
        };
        loop {
            if let Some(end) = wanted(&self.unread) {
                self.take(end);
                return Some(());
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Option<()> {
        let count = self.stream.read_buf(&mut self.unread).await.ok()?;
        (count > 0).then_some(())
    }

    fn take_what_is_there(&mut self) {
        while self.stream.try_read_buf(&mut self.unread).is_ok_and(|count| count > 0) {}
        self.note();
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        self.noted = self.noted.saturating_sub(bytes);
        self.unread.drain(..bytes).collect()
    }

    /// Notes each request of which the target is there. No body has what looks like one.
    fn note(&mut self) {
        let rest = |visit: &Self| visit.unread.get(visit.noted..).and_then(first_request);
        while let Some((request, end)) = rest(self) {
            self.noted += end;
            self.endpoint.note(&request);
        }
    }

    async fn send(&mut self, bytes: String) -> Option<()> {
        self.stream.write_all(bytes.as_bytes()).await.ok()
    }
}

impl Head {
    fn parse(head: &str) -> Option<Self> {
        let target = head.split(' ').nth(1)?.to_owned();
        let value = |name: &str| {
            let found =
                head.lines().filter_map(|line| line.split_once(':')).find(|(found, _)| *found == name);
            found.map(|(_, value)| value.trim())
        };
        Some(Self {
            target,
            length: value("content-length").and_then(|length| length.parse().ok()),
            chunked: value("transfer-encoding") == Some("chunked"),
            expects: value("expect") == Some("100-continue"),
        })
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The first request that begins in `bytes`, as in `POST /7`, and where its target ends. It may be the rest of a body that
/// comes before.
fn first_request(bytes: &[u8]) -> Option<(String, usize)> {
    let begin = find(bytes, b"POST /").or_else(|| find(bytes, b"GET /"))?;
    let target = begin + find(&bytes[begin..], b" /")? + 1;
    let end = target + find(&bytes[target..], b" ")?;
    Some((String::from_utf8_lossy(&bytes[begin..end]).into_owned(), end))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}
