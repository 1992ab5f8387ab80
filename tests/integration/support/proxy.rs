//! The proxy under test: the real one, in process, on a config file in a directory of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use tillgate::process::{Options, Server, Source, StartError};

use super::{Client, Message, Origin, eventually};

/// A running proxy, stopped on drop.
pub struct Proxy {
    server: Option<Server>,
    directory: TempDir,
}

/// `[127.0.0.1:1, 127.0.0.1:2]`.
pub fn endpoints(origins: &[&Origin]) -> String {
    let addresses: Vec<String> = origins.iter().map(|origin| format!("\"{}\"", origin.address())).collect();
    format!("[{}]", addresses.join(", "))
}

/// A listener `web`, one upstream `shop` with `upstream` as the rest of its YAML, and one route to it.
pub fn config(upstream: &str) -> String {
    config_with(upstream, "")
}

fn config_with(upstream: &str, rest: &str) -> String {
    format!(
        "workers: 2\n\
         listeners: {{ web: {{ address: \"127.0.0.1:0\" }} }}\n\
         upstreams: {{ shop: {{ {upstream} }} }}\n\
         routes: [ {{ name: all, match: {{ path_prefix: / }}, upstream: shop }} ]\n\
         admin: {{ address: \"127.0.0.1:0\" }}\n\
         shutdown: {{ drain_timeout: 5s }}\n{rest}"
    )
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
        Self::start(&config(&format!("strategy: round_robin, endpoints: {}", endpoints(origins))))
    }

    /// Starts, or says why not.
    pub fn try_start(yaml: &str, watch: bool) -> Result<Self, StartError> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tillgate.yaml");
        fs::write(&path, yaml).expect("write the config");
        let server = Server::start(Options { source: Source::File(path), watch, signals: false })?;
        Ok(Self { server: Some(server), directory })
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs until the proxy is dropped")
    }

    /// The config file.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("tillgate.yaml")
    }

    /// Where `web` listens.
    pub fn web(&self) -> SocketAddr {
        self.listener("web").expect("a listener called web")
    }

    /// Where a listener listens, if it is open.
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.server().address(name)
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
        let beside = self.directory.path().join("tillgate.yaml.new");
        fs::write(&beside, yaml).expect("write");
        fs::rename(beside, self.path()).expect("rename");
    }

    /// Edits the file and reloads it by the admin API.
    pub fn reload(&self, yaml: &str) -> Message {
        self.edit(yaml);
        self.admin("POST", "/api/v1/reload")
    }

    /// A request to the admin server.
    pub fn admin(&self, method: &str, path: &str) -> Message {
        let address = self.server().admin_address().expect("an admin address");
        let request = format!("{method} {path} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\n\r\n");
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

    /// The generation in force.
    pub fn generation(&self) -> u64 {
        self.server().snapshot().generation
    }

    /// Lets running requests finish, as SIGTERM does.
    pub fn drain(mut self) {
        self.server.take().expect("the server runs until the proxy is dropped").drain();
    }
}
