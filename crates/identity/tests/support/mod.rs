//! A small gRPC service that answers who asks, once or for ever, and a capture of the log.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::convert::Infallible;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut};
use futures::{Stream, StreamExt};
use parcours_identity::{Accepts, Listener, Peer, ServerTls, TlsFiles, peer};
use tokio::time::{interval, sleep};
use tokio_stream::wrappers::IntervalStream;
use tonic::body::Body;
use tonic::client::Grpc as GrpcClient;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tower::Service;

pub const DOMAIN: &str = "hospital.example";

// ---- the service

type Texts = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;
type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

#[derive(Clone)]
struct WhoAmI;

struct Once;
impl UnaryService<String> for Once {
    type Response = String;
    type Future = Answer<String>;
    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(peer(&request)?.principal.to_string())) })
    }
}

struct ForEver;
impl ServerStreamingService<String> for ForEver {
    type Response = String;
    type ResponseStream = Texts;
    type Future = Answer<Texts>;
    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let Peer { principal, .. } = peer(&request)?;
            let beats = IntervalStream::new(interval(Duration::from_millis(100)));
            Ok(Response::new(
                Box::pin(beats.map(move |_| Ok(principal.to_string()))) as Texts
            ))
        })
    }
}

impl NamedService for WhoAmI {
    const NAME: &'static str = "test.WhoAmI";
}

impl Service<http::Request<Body>> for WhoAmI {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(Text);
            Ok(match request.uri().path() {
                "/test.WhoAmI/Once" => grpc.unary(Once, request).await,
                _ => grpc.server_streaming(ForEver, request).await,
            })
        })
    }
}

#[derive(Default)]
struct Text;
impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Text;
    type Decoder = Text;
    fn encoder(&mut self) -> Text {
        Text
    }
    fn decoder(&mut self) -> Text {
        Text
    }
}
impl Encoder for Text {
    type Item = String;
    type Error = Status;
    fn encode(&mut self, item: String, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(item.as_bytes());
        Ok(())
    }
}
impl Decoder for Text {
    type Item = String;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        Ok(Some(String::from_utf8(bytes.to_vec()).unwrap()))
    }
}

/// Serves on a free local port until the runtime ends.
pub async fn serve(files: TlsFiles, accepts: Accepts, name: &'static str) -> SocketAddr {
    let tls = ServerTls::open(files, DOMAIN, accepts, name).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), tls).await.unwrap();
    let address = listener.local_addr();
    tokio::spawn(
        Server::builder()
            .add_service(WhoAmI)
            .serve_with_incoming(listener.incoming()),
    );
    address
}

/// Asks once who we are.
pub async fn ask(channel: Channel) -> Result<String, Status> {
    let mut client = GrpcClient::new(channel);
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let path = http::uri::PathAndQuery::from_static("/test.WhoAmI/Once");
    Ok(client
        .unary(Request::new(String::new()), path, Text)
        .await?
        .into_inner())
}

/// Asks for ever.
pub async fn watch(channel: Channel) -> tonic::Streaming<String> {
    let mut client = GrpcClient::new(channel);
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/test.WhoAmI/ForEver");
    client
        .server_streaming(Request::new(String::new()), path, Text)
        .await
        .unwrap()
        .into_inner()
}

/// How long the stream goes on before it breaks.
pub async fn until_cut(stream: &mut tonic::Streaming<String>) -> Duration {
    let began = std::time::Instant::now();
    while stream.message().await.is_ok_and(|message| message.is_some()) {}
    began.elapsed()
}

// ---- the log

/// What was logged by this thread since it was made.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<u8>>>,
    _default: Arc<tracing::subscriber::DefaultGuard>,
}

#[derive(Clone)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Captures this thread's log; tests run on one thread each.
    pub fn capture() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink(lines.clone());
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || sink.clone())
            .finish();
        Self {
            lines,
            _default: Arc::new(tracing::subscriber::set_default(subscriber)),
        }
    }

    /// The lines that hold `text`.
    pub fn with(&self, text: &str) -> Vec<String> {
        let lines = String::from_utf8(self.lines.lock().unwrap().clone()).unwrap();
        lines
            .lines()
            .filter(|line| line.contains(text))
            .map(str::to_owned)
            .collect()
    }

    /// The same, once there are `count` of them or 3 s have passed.
    pub async fn wait(&self, text: &str, count: usize) -> Vec<String> {
        for _ in 0..60 {
            if self.with(text).len() >= count {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        self.with(text)
    }
}
