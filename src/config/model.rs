//! The config as it is meant: typed, defaulted and cross-checked. Data only; no runtime type appears here.
//!
//! Every value of these types is valid by construction: `config::decode` is the only place that builds them
//! from a file, and it refuses what these types cannot hold.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;
use regex::Regex;

pub use super::compress::{Coding, Compress, Levels, MediaPattern};
pub use super::cookie::{Cookie, SameSite};
pub use super::cors::{Cors, Listed, OriginPattern};
pub use super::fault::{Abort, Delay, Fault};
pub use super::header_edits::HeaderEdits;
pub use super::health_check::{GrpcProbe, HealthCheck, HttpProbe, Probe, Statuses};
pub use super::hedge::{After, Hedge, Percentile};
pub use super::mirror::Mirror;
pub use super::outlier::OutlierDetection;
pub use super::overload::Priority;
pub use super::proxy_protocol::{AcceptProxy, SendProxy};
pub use super::queue::{AdaptiveConcurrency, Queue};
pub use super::rate_limit::{Per, Rate, RateKey, RateLimit};
pub use super::redirect::Redirect;
pub use super::retry::{Backoff, Condition, Conditions, Retry};
pub use super::rewrite::{PathChange, Rewrite};
pub use super::scheme::Scheme;
pub use super::share::Share;
pub use super::split::{Branch, Split};
pub use super::timeouts::{BodyPace, Timeouts};
pub use super::tls::{Alpn, Certificate, ClientAuth, ClientAuthMode, ListenerTls, TlsVersion};
pub use super::upgrades::Upgrades;
pub use super::upstream_tls::{ClientCertificate, Protocol, UpstreamTls};

/// One whole config file.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// How many worker threads serve traffic.
    pub workers: Workers,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Listeners in file order; names are unique.
    pub listeners: Vec<Listener>,
    /// Upstreams in file order; names are unique.
    pub upstreams: Vec<Upstream>,
    /// Routes in file order; names are unique, and every `upstream` names one of `upstreams`.
    pub routes: Vec<Route>,
    /// Whether responses are compressed, for routes that do not say. Default: no.
    pub compress: Option<Compress>,
    /// Where the admin server listens.
    pub admin: Admin,
    /// Where each finished request is written.
    pub access_log: AccessLog,
    /// Who is told which endpoint was picked. Default: nobody.
    pub explain_header: Option<ExplainHeader>,
    /// How the process stops.
    pub shutdown: Shutdown,
}

/// `workers`: `auto` (one per core that this process may run on) or a number from 1 to 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Workers {
    /// One per core.
    #[default]
    Auto,
    /// Exactly this many.
    Count(NonZeroUsize),
}

/// One entry of `listeners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The key in `listeners`.
    pub name: String,
    /// The address to bind; port 0 takes a free one.
    pub address: SocketAddr,
    /// How it encrypts. Default: it does not.
    pub tls: Option<ListenerTls>,
    /// Bounds on what a client may hold.
    pub limits: Limits,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: AcceptProxy,
}

/// `listeners.*.limits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open connections on this listener over all workers, 1 or more. Default 10,000.
    pub max_connections: usize,
    /// Of these, what one client address (of IPv6 its /64) may hold, 1 or more; peers in `trusted_proxies` are not bound
    /// by it. Default: no bound, since many customers may share one address.
    pub max_connections_per_client: Option<usize>,
    /// Bytes of a request head, 8 KiB to 1 MiB. Default 64 KiB.
    pub max_header_bytes: usize,
    /// Requests that a client may have under way on one HTTP/2 connection, 1 to 1000. Default 128.
    pub max_streams: u32,
    /// From the first byte of a head to its last, 1 ms to 24 h. Default 10 s.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request, 1 ms to 24 h. Default 75 s.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_client: None,
            max_header_bytes: 64 * 1024,
            max_streams: 128,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
        }
    }
}

/// One entry of `upstreams`: a named group of equivalent endpoints with one strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// The key in `upstreams`.
    pub name: String,
    /// The rule that picks an endpoint.
    pub strategy: Strategy,
    /// Tuning of the latency window; kept for every strategy, since p50/p90/p99 are shown for all.
    pub least_response: LeastResponse,
    /// Over how long an endpoint that is new or returns comes to its full share, 1 s to 15 min. Default: at once.
    pub slow_start: Option<Duration>,
    /// Below this share of endpoints that are fit, health is ignored; 0 to 100, 0 for never. Default 1.
    pub panic_threshold_percent: u8,
    /// When live traffic takes an endpoint out for a time. `None`: never.
    pub outlier_detection: Option<OutlierDetection>,
    /// How its endpoints are asked whether they are well. `None`: they are not.
    pub health_check: Option<HealthCheck>,
    /// The endpoints in file order; addresses are unique, and there is at least one.
    pub endpoints: Vec<Endpoint>,
    /// What is spoken with them. Default HTTP/1.1.
    pub protocol: Protocol,
    /// How connections to them are encrypted. Default: not at all.
    pub tls: Option<UpstreamTls>,
    /// How connections to the endpoints are made and kept.
    pub connection: Connection,
    /// The cookie that keeps a client with its endpoint. Default: none.
    pub sticky: Option<Cookie>,
    /// How many requests are in flight at most, and how others wait. Default: any number.
    pub queue: Option<Queue>,
    /// Whether the limit of requests in flight follows the latency. Default: it does not.
    pub adaptive_concurrency: Option<AdaptiveConcurrency>,
}

impl Upstream {
    /// The default of `panic_threshold_percent`: only where none is fit. In a pool of three, of which one is left, half
    /// would already send two thirds of the requests to endpoints that are known to fail.
    pub const PANIC_THRESHOLD: u8 = 1;

    /// Whether connections to its endpoints begin with a PROXY header.
    pub fn names_clients(&self) -> bool {
        self.connection.proxy_protocol != SendProxy::Off
    }
}

/// `strategy`, with what the strategy needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Endpoints in turn; weights are ignored, save that 0 drains.
    RoundRobin,
    /// Smooth weighted round robin, as nginx does it.
    Weighted,
    /// At random in proportion to weight.
    Random,
    /// Fewest requests in flight per weight.
    LeastConnections,
    /// Fewer requests in flight per weight of two chosen at random.
    P2c,
    /// Lowest cost by windowed latency quantile.
    #[default]
    LeastResponse,
    /// The same key goes to the same endpoint while the set of endpoints is the same.
    ConsistentHash(HashKey),
}

impl Strategy {
    /// The word used for it in the config, the admin API and the metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
            Self::Random => "random",
            Self::LeastConnections => "least_connections",
            Self::P2c => "p2c",
            Self::LeastResponse => "least_response",
            Self::ConsistentHash(_) => "consistent_hash",
        }
    }

    /// What requests are hashed by, for `consistent_hash`.
    pub fn hash_key(&self) -> Option<&HashKey> {
        match self {
            Self::ConsistentHash(key) => Some(key),
            _ => None,
        }
    }
}

/// `hash`: what a request is hashed by. A request without the part is balanced by `random`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The value of the cookie of this name.
    Cookie(String),
    /// The value of this header.
    Header(HeaderName),
    /// The value of this query parameter.
    Query(String),
    /// The client's address (after `trusted_proxies`).
    ClientIp,
    /// The request path without the query.
    Path,
}

/// `least_response`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeastResponse {
    /// Which quantile endpoints are compared by, 0.5 to 0.999. Default 0.99.
    pub quantile: f64,
    /// How long a sample counts, 1 s to 10 min. Default 30 s.
    pub window: Duration,
    /// Samples at which the quantile has two thirds of its say, 1 to 1,000,000. Default 300.
    pub min_samples: u64,
    /// What a latency is set against before endpoints are compared. Default: its route.
    pub normalize: Normalize,
}

/// `least_response.normalize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Normalize {
    /// What is usual on the request's route, so that an endpoint does not look slow for having got the slow route.
    #[default]
    Route,
    /// Nothing: latencies count as they are.
    Off,
}

impl Normalize {
    /// The word used for it in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Off => "off",
        }
    }
}

impl Default for LeastResponse {
    fn default() -> Self {
        Self {
            quantile: 0.99,
            window: Duration::from_secs(30),
            min_samples: 300,
            normalize: Normalize::default(),
        }
    }
}

/// One entry of `endpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: HostPort,
    /// Share of the traffic relative to its siblings, 0 to 1000; 0 gets no new requests. Default 1.
    pub weight: u32,
    /// Gets requests only while none of the others is fit. Default false.
    pub backup: bool,
    /// Requests in flight there over all workers, 1 to 1,000,000; over HTTP/1 each has a connection. Default: no bound.
    pub max_connections: Option<u32>,
}

/// `host:port`, `[v6]:port` or `name:port`. A name is looked up when the config is loaded, as nginx does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// An address or a DNS name in lower case.
    pub host: Host,
    /// 1 to 65535.
    pub port: u16,
}

/// The host part of an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A literal address.
    Ip(IpAddr),
    /// A DNS name in lower case.
    Name(String),
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// `upstreams.*.connection`, and what else makes a connection what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// To establish a connection, TLS with it, 1 ms to 24 h. Default 1 s.
    pub connect_timeout: Duration,
    /// An unused connection is closed after this. Default 4 s, below the 5 s after which many servers close theirs.
    pub idle_timeout: Duration,
    /// Unused connections kept per endpoint and worker, 0 to 65536. Default 256.
    pub max_idle: usize,
    /// Requests at a time on one HTTP/2 connection, 1 to 1000; the endpoint may ask for fewer. Default 100.
    pub max_streams: u32,
    /// After so long without a word from the endpoint, while requests wait on an HTTP/2 connection, it is asked for a sign of
    /// life, 1 s to 1 h. `None`: never. Default 20 s.
    pub ping_interval: Option<Duration>,
    /// How long it has for that, 100 ms to 1 h. Default 10 s.
    pub ping_timeout: Duration,
    /// `upstreams.*.proxy_protocol`: whether they say in a PROXY header for which client they are made.
    pub proxy_protocol: SendProxy,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(4),
            max_idle: 256,
            max_streams: 100,
            ping_interval: Some(Duration::from_secs(20)),
            ping_timeout: Duration::from_secs(10),
            proxy_protocol: SendProxy::Off,
        }
    }
}

/// One entry of `routes`.
#[derive(Debug, Clone)]
pub struct Route {
    /// `name`, or `route-N` with N counted from 1.
    pub name: String,
    /// Which request heads it takes.
    pub matches: RouteMatch,
    /// The name of the upstream that answers; of a split the first, of a redirect empty.
    pub upstream: String,
    /// The upstreams that share the requests, in place of one for all.
    pub split: Option<Split>,
    /// Where clients are sent instead, in place of an upstream.
    pub redirect: Option<Redirect>,
    /// What endpoints are asked for in place of what the client asked for.
    pub rewrite: Option<Rewrite>,
    /// What is done to the headers of its requests.
    pub request_headers: HeaderEdits,
    /// What is done to the headers of its answers.
    pub response_headers: HeaderEdits,
    /// Which pages of other origins may read its answers. `None`: that is left to the endpoints.
    pub cors: Option<Cors>,
    /// Where copies of some requests go.
    pub mirror: Option<Mirror>,
    /// What is done to some requests on purpose.
    pub fault: Option<Fault>,
    /// The rule that picks an endpoint for this route, in place of the upstream's.
    pub strategy: Option<Strategy>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// How often each client may ask, 0 to 4 limits; a request must be within all of them. Default: none.
    pub rate_limit: Vec<RateLimit>,
    /// When a request that failed is sent again. `None`: never.
    pub retry: Option<Retry>,
    /// When a slow read is asked of a second endpoint as well. `None`: never.
    pub hedge: Option<Hedge>,
    /// Bytes of a request body, 0 to 1 TiB; more is answered 413. `None`: no bound.
    pub max_body: Option<u64>,
    /// How its responses are compressed. `None`: not at all.
    pub compress: Option<Compress>,
    /// Whether clients of HTTP/1.1 get what endpoints say in a 103 before their response. Default false.
    pub early_hints: bool,
    /// What goes first under overload. Default normal.
    pub priority: Priority,
    /// The target of its p99, from request head to response head, 1 ms to 60 s. Default: none.
    pub slo: Option<Duration>,
    /// What its clients may switch to, up to 8 protocols.
    pub upgrades: Upgrades,
}

impl Route {
    /// The names of the upstreams that answer: one, those of the split, or none.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        let branches = self.split.iter().flat_map(|split| &split.branches);
        let one = (self.split.is_none() && self.redirect.is_none()).then_some(&self.upstream);
        branches.map(|branch| &branch.upstream).chain(one).map(String::as_str)
    }
}

/// `routes[].match`. An absent part matches everything.
#[derive(Debug, Clone, Default)]
pub struct RouteMatch {
    /// How the client speaks to the shop.
    pub scheme: Option<Scheme>,
    /// Not those who speak so: the route would send them where they are. Not a key; it follows from `redirect`.
    pub except: Option<Scheme>,
    /// Host without port.
    pub host: Option<HostPattern>,
    /// Path without query.
    pub path: PathPattern,
    /// Any of these; empty means every method.
    pub methods: Vec<Method>,
    /// All of these, compared byte for byte.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// All of these, compared after percent-decoding.
    pub query: Vec<(String, String)>,
}

/// `match.host`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `shop.example`.
    Exact(String),
    /// `*.shop.example` as `shop.example`: one or more labels before it.
    Wildcard(String),
}

/// `match.path`, `match.path_prefix` or `match.path_regex`.
#[derive(Debug, Clone, Default)]
pub enum PathPattern {
    /// None of them given.
    #[default]
    Any,
    /// The whole path.
    Exact(String),
    /// Whole leading segments: `/api` takes `/api` and `/api/x`, not `/apix`. Without a trailing slash, save for `/`.
    Prefix(String),
    /// Anywhere in the path unless anchored.
    Regex(Regex),
}

/// `admin`. Default `127.0.0.1:9900`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admin {
    /// `admin: off`.
    Off,
    /// A TCP address.
    Tcp(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

impl Default for Admin {
    fn default() -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], 9900)))
    }
}

/// `access_log`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccessLog {
    /// Nothing is written.
    #[default]
    Off,
    /// One line a request.
    On {
        /// Where to.
        target: LogTarget,
        /// In which shape.
        format: LogFormat,
    },
}

/// `access_log.path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// `stdout`.
    Stdout,
    /// `stderr`.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

/// `access_log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Apache's and nginx's combined format.
    Combined,
}

/// `explain_header`: whose answers carry `x-tillgate-endpoint`. At least one of the two is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainHeader {
    /// Who sends this in `x-tillgate-token`.
    pub token: Option<Secret>,
    /// Peers with an address in one of these networks.
    pub addresses: Vec<IpNet>,
}

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What stands for it wherever it would be shown. No config may have it for a secret: it is too short.
    pub const SHOWN: &'static str = "***";

    /// Hides a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::SHOWN)
    }
}

/// `shutdown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// Requests still running after this are cut off, 0 s to 24 h. Default 30 s.
    pub drain_timeout: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_timeout: Duration::from_secs(30) }
    }
}
