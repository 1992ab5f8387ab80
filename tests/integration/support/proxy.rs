//! The proxy under test: the real one, in process, on a config file in a directory of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tillgate::process::{Options, Server, Source, StartError};

use super::{Client, Message, Metrics, Origin, Yaml, eventually};

/// A running proxy, stopped on drop.
pub struct Proxy {
    server: Server,
    path: PathBuf,
    _directory: Option<TempDir>,
}

/// Writes a file as an editor does: beside it, then over it.
pub fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).expect("write");
    fs::rename(beside, path).expect("rename");
}

/// A request to the admin server at this address.
pub fn ask_admin(address: SocketAddr, method: &str, path: &str) -> Message {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n\r\n");
    Client::connect(address).send(request).response()
}

impl Proxy {
    /// Starts on `yaml`, without watching the file.
    pub fn start(yaml: &str) -> Self {
        Self::try_start(yaml, false).expect("the proxy starts")
    }

    /// Starts on `yaml`, and follows edits of the file.
    pub fn watching(yaml: &str) -> Self {
        Self::try_start(yaml, true).expect("the proxy starts")
    }

    /// One upstream of these origins, by round robin.
    pub fn before(origins: &[&Origin]) -> Self {
        Yaml::before(origins).start()
    }

    /// Starts, or says why not.
    pub fn try_start(yaml: &str, watch: bool) -> Result<Self, StartError> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tillgate.yaml");
        fs::write(&path, yaml).expect("write the config");
        let proxy = Self::serve(&path, watch)?;
        Ok(Self { _directory: Some(directory), ..proxy })
    }

    /// Starts on a file of the test's own, and follows its edits.
    pub fn watching_file(path: &Path) -> Self {
        Self::serve(path, true).expect("the proxy starts")
    }

    fn serve(path: &Path, watch: bool) -> Result<Self, StartError> {
        let source = Source::File(path.to_path_buf());
        let server = Server::start(Options { source, watch, signals: false })?;
        Ok(Self { server, path: path.to_path_buf(), _directory: None })
    }

    /// The config file.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Where `web` listens.
    pub fn web(&self) -> SocketAddr {
        self.listener("web").expect("a listener called web")
    }

    /// Where a listener listens, if it is open.
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.server.address(name)
    }

    /// A new connection to `web`.
    pub fn client(&self) -> Client {
        Client::connect(self.web())
    }

    /// GET on a new connection.
    pub fn get(&self, path: &str) -> Message {
        self.client().get(path)
    }

    /// Bytes on a new connection, and the response.
    pub fn exchange(&self, request: impl AsRef<[u8]>) -> Message {
        self.client().send(request).response()
    }

    /// Writes the config file as an editor does: beside it, then over it.
    pub fn edit(&self, yaml: &str) {
        replace(&self.path, yaml);
    }

    /// Edits the file and reloads it by the admin API.
    pub fn reload(&self, yaml: &str) -> Message {
        self.edit(yaml);
        self.admin("POST", "/api/v1/reload")
    }

    /// Where the admin server listens, if it does on TCP.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.server.admin_address()
    }

    /// A request to the admin server.
    pub fn admin(&self, method: &str, path: &str) -> Message {
        let address = self.admin_address().expect("an admin address");
        ask_admin(address, method, path)
    }

    /// Bytes to the admin server, and its response.
    pub fn admin_exchange(&self, request: &str) -> Message {
        let address = self.admin_address().expect("an admin address");
        Client::connect(address).send(request).response()
    }

    /// The JSON of an admin page.
    pub fn admin_json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.admin("GET", path).body).expect("JSON")
    }

    /// The endpoint entries of an upstream, once `ready` likes them. Figures come with a delay.
    pub fn endpoints_when(&self, upstream: &str, ready: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually("figures in /api/v1/upstreams", || {
            let all = self.admin_json("/api/v1/upstreams");
            let found = all["upstreams"].as_array()?.iter().find(|one| one["name"] == upstream)?;
            let endpoints = found["endpoints"].as_array()?.clone();
            ready(&endpoints).then_some(endpoints)
        })
    }

    /// An admin page, once `ready` likes it.
    pub fn admin_when(&self, path: &str, ready: impl Fn(&Value) -> bool) -> Value {
        eventually(path, || Some(self.admin_json(path)).filter(|page| ready(page)))
    }

    /// The metrics of this moment.
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("GET", "/metrics").text())
    }

    /// The metrics, once `ready` likes them.
    pub fn metrics_when(&self, ready: impl Fn(&Metrics) -> bool) -> Metrics {
        eventually("figures in /metrics", || Some(self.metrics()).filter(|metrics| ready(metrics)))
    }

    /// The generation in force.
    pub fn generation(&self) -> u64 {
        self.server.snapshot().generation
    }
}
