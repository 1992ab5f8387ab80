//! An HTTP/2 client as customers have them, for tests that read what is in the frames.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::DEADLINE;

/// One connection. It moves only while something is waited for.
pub struct Http2 {
    runtime: Runtime,
    tasks: LocalSet,
    sender: SendRequest<Bytes>,
}

/// What came of a request.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    /// Why it is not whole.
    pub reset: Option<Reason>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// `x-tillgate-reason`, or nothing.
    pub fn reason(&self) -> &str {
        self.header("x-tillgate-reason").unwrap_or("")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A GET to `http://shop.example`, to be changed.
pub fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://shop.example{path}"))
}

impl Http2 {
    /// Connects without TLS.
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let tasks = LocalSet::new();
        let sender = tasks.block_on(&runtime, async {
            let stream = TcpStream::connect(address).await.expect("connect");
            let (sender, connection) = h2::client::handshake(stream).await.expect("a handshake");
            // What it ends with, its requests are told too.
            tokio::task::spawn_local(async move { drop(connection.await) });
            sender
        });
        Self { runtime, tasks, sender }
    }

    fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let waiting =
            async { timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}")) };
        self.tasks.block_on(&self.runtime, waiting)
    }

    /// Begins a request whose body may follow.
    pub fn begin(&mut self, request: Request<()>, end: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let sender = self.sender.clone();
        let mut sender = self.wait("a free stream", sender.ready()).expect("a connection that is open");
        sender.send_request(request, end).expect("a request")
    }

    /// Whatever the stream comes to.
    pub fn answer(&self, response: ResponseFuture) -> Answer {
        self.wait("an answer", async {
            match response.await {
                Ok(response) => read(response).await,
                Err(error) => Answer {
                    reset: Some(error.reason().unwrap_or(Reason::CONNECT_ERROR)),
                    ..Answer::default()
                },
            }
        })
    }

    /// A request without a body.
    pub fn ask(&mut self, request: http::request::Builder) -> Answer {
        let (response, _) = self.begin(request.body(()).expect("a request"), true);
        self.answer(response)
    }

    /// GET.
    pub fn get(&mut self, path: &str) -> Answer {
        self.ask(request("GET", path))
    }

    /// A request with a body in one piece, and trailers where there are any.
    pub fn send(
        &mut self,
        request: http::request::Builder,
        body: &str,
        trailers: Option<HeaderMap>,
    ) -> Answer {
        let (response, mut upload) = self.begin(request.body(()).expect("a request"), false);
        upload.send_data(Bytes::from(body.to_owned()), trailers.is_none()).expect("a body");
        if let Some(trailers) = trailers {
            upload.send_trailers(trailers).expect("trailers");
        }
        self.answer(response)
    }
}

async fn read(response: Response<RecvStream>) -> Answer {
    let (head, mut stream) = response.into_parts();
    let mut answer = Answer { status: head.status.as_u16(), headers: head.headers, ..Answer::default() };
    while let Some(data) = stream.data().await {
        match data {
            Ok(data) => {
                let _ = stream.flow_control().release_capacity(data.len());
                answer.body.extend_from_slice(&data);
            }
            Err(error) => {
                answer.reset = Some(error.reason().unwrap_or(Reason::CONNECT_ERROR));
                return answer;
            }
        }
    }
    match stream.trailers().await {
        Ok(trailers) => answer.trailers = trailers,
        Err(error) => answer.reset = error.reason(),
    }
    answer
}
