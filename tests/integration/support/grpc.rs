//! gRPC at both ends, by tonic: a service whose calls say themselves what they want to come to, and its client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http::uri::PathAndQuery;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc as Server, NamedService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::util::service_fn;

/// Larger than any message of a test.
const LARGEST: usize = 32 << 20;

/// Messages as they are on the wire, without a schema.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// What one server was called for.
#[derive(Debug, Default)]
pub struct Seen {
    metadata: Mutex<Vec<MetadataMap>>,
    given_up: AtomicUsize,
    /// What every call comes to, whatever it wants.
    ends: Option<Code>,
}

/// A server of `shop.Echo`, which gives back what it is sent, save:
///
/// - `fail N`: ends with that code;
/// - `hang`: never answers.
///
/// Streams answer each message as it comes; after `fail N` they end with that code.
pub struct Echo {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
    _runtime: Runtime,
}

impl Echo {
    /// Starts one.
    pub fn start() -> Self {
        Self::serve(Seen::default())
    }

    /// Starts one whose calls all end with `code`.
    pub fn ending(code: Code) -> Self {
        Self::serve(Seen { ends: Some(code), ..Seen::default() })
    }

    fn serve(seen: Seen) -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("bind");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let seen = Arc::new(seen);
        let served = tonic::transport::Server::builder()
            .add_service(Methods { seen: Arc::clone(&seen) })
            .serve_with_incoming_shutdown(
                TcpListenerStream::new(listener),
                async move { drop(stopped.await) },
            );
        runtime.spawn(served);
        Self { address, seen, stop: Some(stop), _runtime: runtime }
    }

    /// How many calls it has had.
    pub fn calls(&self) -> usize {
        self.metadata().len()
    }

    /// What came with each of them.
    pub fn metadata(&self) -> Vec<MetadataMap> {
        self.seen.metadata.lock().expect("a lock").clone()
    }

    /// Calls that hung until their client gave up, and conversations that are over.
    pub fn given_up(&self) -> usize {
        self.seen.given_up.load(Ordering::SeqCst)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Fails only where it has ended already.
            let _ = stop.send(());
        }
    }
}

#[derive(Clone)]
struct Methods {
    seen: Arc<Seen>,
}

impl NamedService for Methods {
    const NAME: &'static str = "shop.Echo";
}

impl Service<http::Request<Body>> for Methods {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let seen = Arc::clone(&self.seen);
        let came_with = MetadataMap::from_headers(request.headers().clone());
        seen.metadata.lock().expect("a lock").push(came_with);
        let mut server = Server::new(Raw).apply_max_message_size_config(Some(LARGEST), Some(LARGEST));
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/shop.Echo/Unary" => {
                    let method = service_fn(move |request: Request<Bytes>| unary(Arc::clone(&seen), request));
                    server.unary(method, request).await
                }
                "/shop.Echo/ServerStream" => server.server_streaming(service_fn(count), request).await,
                "/shop.Echo/ClientStream" => server.client_streaming(service_fn(gather), request).await,
                _ => {
                    let method = service_fn(move |request| converse(Arc::clone(&seen), request));
                    server.streaming(method, request).await
                }
            })
        })
    }
}

async fn unary(seen: Arc<Seen>, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    let (message, ends) = (request.into_inner(), seen.ends);
    if message == "hang" {
        let _counted = GivenUp(seen);
        std::future::pending::<()>().await;
    }
    match ends.or_else(|| failure(&message)) {
        Some(code) => Err(Status::new(code, "as asked")),
        None => Ok(Response::new(message)),
    }
}

struct GivenUp(Arc<Seen>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.given_up.fetch_add(1, Ordering::SeqCst);
    }
}

fn failure(message: &[u8]) -> Option<Code> {
    let number = std::str::from_utf8(message).ok()?.strip_prefix("fail ")?;
    number.parse::<i32>().ok().map(Code::from)
}

/// `N` messages.
async fn count(request: Request<Bytes>) -> Result<Response<Messages>, Status> {
    let most: usize = String::from_utf8_lossy(request.get_ref()).parse().expect("a number");
    let messages = (0..most).map(|number| Ok(Bytes::from(number.to_string())));
    Ok(Response::new(Box::pin(tokio_stream::iter(messages))))
}

/// How many bytes came in all.
async fn gather(request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
    let mut messages = request.into_inner();
    let mut bytes = 0;
    while let Some(message) = messages.message().await? {
        bytes += message.len();
    }
    Ok(Response::new(Bytes::from(bytes.to_string())))
}

async fn converse(seen: Arc<Seen>, request: Request<Streaming<Bytes>>) -> Result<Response<Messages>, Status> {
    let counted = GivenUp(seen);
    let answered = request.into_inner().map(move |message| {
        let _counted = &counted;
        let message = message?;
        failure(&message).map_or(Ok(message), |code| Err(Status::new(code, "as asked")))
    });
    Ok(Response::new(Box::pin(answered)))
}

/// A client of `shop.Echo`.
#[derive(Clone)]
pub struct Calls {
    channel: Client<Channel>,
}

impl Calls {
    /// One connection to `address`.
    pub async fn connect(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = Client::new(endpoint.connect().await.expect("a connection"));
        let channel = channel.max_decoding_message_size(LARGEST).max_encoding_message_size(LARGEST);
        Self { channel }
    }

    /// One message to one message.
    pub async fn unary(&mut self, message: impl Into<Bytes>) -> Result<Response<Bytes>, Status> {
        self.unary_with(Request::new(message.into())).await
    }

    /// The same with metadata.
    pub async fn unary_with(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        self.ready().await;
        self.channel.unary(request, path("Unary"), Raw).await
    }

    /// `most` messages from the server.
    pub async fn count(&mut self, most: usize) -> Result<Streaming<Bytes>, Status> {
        self.ready().await;
        let request = Request::new(Bytes::from(most.to_string()));
        Ok(self.channel.server_streaming(request, path("ServerStream"), Raw).await?.into_inner())
    }

    /// Many messages to one.
    pub async fn gather(&mut self, messages: Vec<Bytes>) -> Result<Bytes, Status> {
        self.ready().await;
        let request = Request::new(tokio_stream::iter(messages));
        Ok(self.channel.client_streaming(request, path("ClientStream"), Raw).await?.into_inner())
    }

    /// A stream each way.
    pub async fn converse(&mut self) -> (mpsc::Sender<Bytes>, Streaming<Bytes>) {
        self.ready().await;
        let (sender, receiver) = mpsc::channel(1);
        let request = Request::new(tokio_stream::wrappers::ReceiverStream::new(receiver));
        let answered = self.channel.streaming(request, path("Converse"), Raw).await;
        (sender, answered.expect("a head before the first message").into_inner())
    }

    async fn ready(&mut self) {
        self.channel.ready().await.expect("a connection");
    }
}

fn path(method: &str) -> PathAndQuery {
    format!("/shop.Echo/{method}").parse().expect("a path")
}

/// Runs the client's side of a test.
pub fn calling<T>(test: impl Future<Output = T>) -> T {
    runtime().block_on(async { tokio::time::timeout(super::DEADLINE, test).await.expect("an end in time") })
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// One call by a client that says how long it waits, and waits longer, which tonic does not. What the head of the answer says.
pub async fn ask_patiently(address: SocketAddr, message: &'static str, wait: &str) -> (u16, HeaderMap) {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{address}/shop.Echo/Unary"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", wait);
    let (answer, mut body) = client.send_request(request.body(()).expect("a request"), false).expect("sent");
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("short"));
    framed.put_slice(message.as_bytes());
    body.send_data(framed.freeze(), true).expect("sent");
    let answer = answer.await.expect("an answer");
    (answer.status().as_u16(), answer.headers().clone())
}
