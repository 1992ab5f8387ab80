//! The same with programs that others wrote: HAProxy and nginx on either side, curl in front.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{forwarded_for, optional, requiring};
use crate::support::{Client, OK, Origin, Proxy, Yaml, eventually, free_address};

/// A program that listens, killed on drop.
pub(super) struct Listening {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Listening {
    pub(super) fn start(
        program: &str,
        arguments: &[&str],
        file: &str,
        config: impl Fn(SocketAddr, &Path) -> String,
    ) -> Self {
        let (directory, address) = (tempfile::tempdir().expect("a directory"), free_address());
        let path = directory.path().join(file);
        fs::write(&path, config(address, directory.path())).expect("write");
        let mut command = Command::new(program);
        // Where Debian puts both.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        command.args(arguments).arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect(program);
        Self { child, address, _directory: directory }.wait(program)
    }

    fn wait(self, program: &str) -> Self {
        eventually(program, || std::net::TcpStream::connect(self.address).ok());
        self
    }

    /// Bytes go to `server` with what `send` says.
    fn haproxy_before(server: SocketAddr, send: &str) -> Self {
        Self::haproxy(|address| {
            format!("listen in\n bind {address}\n mode tcp\n server one {server} {send}\n")
        })
    }

    fn haproxy(part: impl Fn(SocketAddr) -> String) -> Self {
        let defaults = "defaults\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n";
        // In the foreground.
        Self::start("haproxy", &["-db", "-f"], "haproxy.cfg", |address, _| {
            defaults.to_owned() + &part(address)
        })
    }

    /// Answers with the client's address, and the address it connected to.
    fn haproxy_that_accepts() -> Self {
        Self::haproxy(|address| {
            format!(
                "frontend in\n mode http\n bind {address} accept-proxy\n http-request return status 200 \
                 content-type text/plain lf-string \"%[src]:%[src_port] %[dst]:%[dst_port]\"\n"
            )
        })
    }

    fn nginx_that_accepts() -> Self {
        Self::start("nginx", &["-c"], "nginx.conf", |address, directory| {
            nginx_server(directory, &format!("listen {address} proxy_protocol;"), "")
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A server that answers with the addresses in the header, and with `more`.
pub(super) fn nginx_server(directory: &Path, listen: &str, more: &str) -> String {
    let at = directory.display();
    let ends =
        "$proxy_protocol_addr:$proxy_protocol_port $proxy_protocol_server_addr:$proxy_protocol_server_port";
    format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {at}; proxy_temp_path {at}; fastcgi_temp_path {at};\n\
         uwsgi_temp_path {at}; scgi_temp_path {at};\n\
         server {{ {listen} location / {{ return 200 \"{ends}{more}\"; }} }} }}\n"
    )
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn origin() -> Origin {
    Origin::answering(OK)
}

#[test]
fn haproxy_in_front_names_its_clients() {
    for send in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c,unique-id",
        "send-proxy-v2-ssl-cn proxy-v2-options crc32c,ssl,cert-cn",
    ] {
        let origin = origin();
        let proxy = requiring(&origin);
        let haproxy = Listening::haproxy_before(proxy.web(), send);
        let mut client = super::from([127, 0, 0, 77], haproxy.address);
        assert_eq!(client.get("/").status(), 200, "{send}");
        assert_eq!(forwarded_for(&origin), "127.0.0.77", "{send}");
    }
}

#[test]
fn haproxys_own_checks_are_served_where_a_header_is_required() {
    let origin = origin();
    let proxy = requiring(&origin);
    let check = "send-proxy-v2 check check-send-proxy inter 100ms";
    let haproxy = Listening::haproxy(|address| {
        let web = proxy.web();
        format!(
            "listen in\n bind {address}\n mode http\n option httpchk GET /check\n server one {web} {check}\n"
        )
    });
    let asked = |path: &str| origin.requests().iter().filter(|one| one.start_line().contains(path)).count();
    eventually("checks", || (asked("/check") >= 2).then_some(()));
    assert_eq!(Client::connect(haproxy.address).get("/own").status(), 200);
    let own = origin.requests().into_iter().filter(|one| one.start_line().contains("/check"));
    assert!(own.clone().all(|one| one.header("x-forwarded-for") == Some("127.0.0.1")));
}

#[test]
fn haproxy_and_nginx_behind_are_told_of_the_client() {
    for endpoint in [Listening::haproxy_that_accepts(), Listening::nginx_that_accepts()] {
        for version in ["v1", "v2"] {
            let proxy = naming(&endpoint, version);
            let mut client = super::from([127, 0, 0, 77], proxy.web());
            let expected = format!("{} {}", client.stream().local_addr().expect("an address"), proxy.web());
            for _ in 0..3 {
                assert_eq!(client.get("/").text(), expected, "{version}");
            }
        }
    }
}

fn naming(endpoint: &Listening, version: &str) -> Proxy {
    let checks = "health_check: { path: /, interval: 100ms, timeout: 100ms, fall: 1 }";
    Yaml::new(&format!("endpoints: [\"{}\"], proxy_protocol: {version}, {checks}", endpoint.address)).start()
}

#[test]
fn haproxy_and_nginx_behind_take_checks_that_are_nobodys() {
    for endpoint in [Listening::haproxy_that_accepts(), Listening::nginx_that_accepts()] {
        for version in ["v1", "v2"] {
            let proxy = naming(&endpoint, version);
            let endpoints = proxy
                .endpoints_when("shop", |endpoints| endpoints[0]["health"]["checks"].as_u64() >= Some(2));
            assert_eq!(endpoints[0]["health"]["failures"], 0, "{version}");
        }
    }
}

#[test]
fn curl_in_front_names_itself() {
    for arguments in [&["--haproxy-protocol"][..], &["--haproxy-protocol", "--http2-prior-knowledge"]] {
        let origin = origin();
        for proxy in [requiring(&origin), optional(&origin)] {
            let url = format!("http://{}/", proxy.web());
            let mut command = Command::new("curl");
            command
                .args(["-s", "-m", "20", "--noproxy", "*", "--interface", "127.0.0.5"])
                .args(arguments)
                .arg(&url);
            let output = command.output().expect("curl");
            assert_eq!(String::from_utf8_lossy(&output.stdout), "ok", "{arguments:?}");
        }
        assert!(origin.requests().iter().all(|one| one.header("x-forwarded-for") == Some("127.0.0.5")));
    }
}
