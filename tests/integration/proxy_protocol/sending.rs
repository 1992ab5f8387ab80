//! The PROXY protocol behind: endpoints that are told who the client is, and whose connections serve only that one.

use std::io::{BufRead, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use super::{GET, line};
use crate::support::{Client, DEADLINE, OK, Origin, Proxy, Visit, Yaml, endpoints, eventually};

/// An endpoint that takes nothing without a header, with the headers it was sent.
struct Told {
    origin: Origin,
    headers: Arc<Mutex<Vec<String>>>,
}

impl Told {
    fn start() -> Self {
        let headers = Arc::new(Mutex::default());
        let heard: Arc<Mutex<Vec<String>>> = Arc::clone(&headers);
        let origin = Origin::start(move |visit| {
            let Some(header) = read_header(visit) else { return };
            heard.lock().expect("headers").push(header);
            while visit.request().is_some() && visit.send(OK) {}
        });
        Self { origin, headers }
    }

    /// A proxy before it that sends headers of this version.
    fn before(&self, version: &str) -> Yaml {
        yaml(&[&self.origin], version, "")
    }

    fn headers(&self) -> Vec<String> {
        self.headers.lock().expect("headers").clone()
    }

    fn wait_for(&self, headers: usize) -> Vec<String> {
        eventually("headers at the endpoint", || Some(self.headers()).filter(|all| all.len() >= headers))
    }
}

/// With one worker, so that a connection could be met again by anybody.
fn yaml(origins: &[&Origin], version: &str, connection: &str) -> Yaml {
    let shop = format!(
        "endpoints: {}, proxy_protocol: {version}, connection: {{ idle_timeout: 60s, {connection} }}",
        endpoints(origins)
    );
    Yaml::new(&shop).workers(1)
}

/// A header as `v1 CLIENT SERVER`, or `v1 nobody`.
fn read_header(visit: &mut Visit) -> Option<String> {
    visit.stream.set_read_timeout(Some(DEADLINE)).ok()?;
    let first = *visit.reader.fill_buf().ok()?.first()?;
    match first {
        b'P' => read_line(visit),
        _ => read_binary(visit),
    }
}

fn read_line(visit: &mut Visit) -> Option<String> {
    let mut line = String::new();
    visit.reader.read_line(&mut line).ok()?;
    let words: Vec<&str> = line.strip_suffix("\r\n")?.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN"] => Some("v1 nobody".into()),
        ["PROXY", "TCP4" | "TCP6", client, server, from, to] => {
            let address =
                |ip: &str, port: &str| Some(SocketAddr::new(ip.parse::<IpAddr>().ok()?, port.parse().ok()?));
            Some(format!("v1 {} {}", address(client, from)?, address(server, to)?))
        }
        _ => None,
    }
}

fn read_binary(visit: &mut Visit) -> Option<String> {
    let mut head = [0; 16];
    visit.reader.read_exact(&mut head).ok()?;
    let (signature, rest) = head.split_at(12);
    assert_eq!(signature, b"\r\n\r\n\0\r\nQUIT\n");
    let mut block = vec![0; usize::from(u16::from_be_bytes([rest[2], rest[3]]))];
    visit.reader.read_exact(&mut block).ok()?;
    match (rest[0], rest[1]) {
        (0x20, 0x00) if block.is_empty() => Some("v2 nobody".into()),
        (0x21, 0x11) => {
            let address = |ip: usize, port: usize| {
                let ip: [u8; 4] = block[ip..ip + 4].try_into().expect("four bytes");
                SocketAddr::from((ip, u16::from_be_bytes([block[port], block[port + 1]])))
            };
            Some(format!("v2 {} {}", address(0, 8), address(4, 10)))
        }
        _ => None,
    }
}

/// What the endpoint is to be told of a client.
fn told(version: &str, client: &Client, proxy: &Proxy) -> String {
    format!("{version} {} {}", client.stream().local_addr().expect("an address"), proxy.web())
}

#[test]
fn the_endpoint_is_told_both_ends_of_the_clients_connection() {
    for version in ["v1", "v2"] {
        let endpoint = Told::start();
        let proxy = endpoint.before(version).start();
        let mut client = proxy.client();
        assert_eq!(client.get("/").status(), 200);
        assert_eq!(endpoint.headers(), [told(version, &client, &proxy)]);
    }
}

#[test]
fn a_connection_to_an_endpoint_serves_one_client_only() {
    let endpoint = Told::start();
    let proxy = endpoint.before("v2").start();
    let mut clients = [proxy.client(), proxy.client(), proxy.client()];
    for _ in 0..3 {
        for client in &mut clients {
            assert_eq!(client.get("/").status(), 200);
        }
    }
    let all = clients.each_ref().map(|client| told("v2", client, &proxy));
    assert_eq!(endpoint.headers(), all, "and each client keeps its own");
}

#[test]
fn the_connection_of_a_client_that_left_is_closed() {
    let endpoint = Told::start();
    let proxy = endpoint.before("v1").start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status(), 200);
    drop(client);
    endpoint.origin.wait_for_ends(1);
}

#[test]
fn where_there_is_no_room_the_connection_unused_for_longest_goes() {
    let endpoint = Told::start();
    let proxy = yaml(&[&endpoint.origin], "v1", "max_idle: 2").start();
    let mut clients = [proxy.client(), proxy.client(), proxy.client()];
    for client in &mut clients {
        assert_eq!(client.get("/").status(), 200);
    }
    endpoint.origin.wait_for_ends(1);
    assert_eq!(clients[1].get("/").status(), 200);
    assert_eq!(clients[2].get("/").status(), 200);
    assert_eq!(endpoint.origin.connections(), 3, "these are kept");
    assert_eq!(clients[0].get("/").status(), 200);
    assert_eq!(endpoint.origin.connections(), 4);
}

#[test]
fn without_room_for_unused_connections_each_request_has_its_own() {
    let endpoint = Told::start();
    let proxy = yaml(&[&endpoint.origin], "v2", "max_idle: 0").start();
    let mut client = proxy.client();
    assert_eq!([client.get("/").status(), client.get("/").status()], [200, 200]);
    assert_eq!(endpoint.headers(), [told("v2", &client, &proxy), told("v2", &client, &proxy)]);
}

#[test]
fn what_a_header_in_front_names_is_passed_on() {
    let endpoint = Told::start();
    let listener = "web: { address: \"127.0.0.1:0\", proxy_protocol: require }";
    let yaml = endpoint.before("v2").listeners(listener).line("trusted_proxies: [127.0.0.0/8]");
    let proxy = yaml.start();
    assert_eq!(proxy.exchange(line("192.0.2.7") + GET).status(), 200);
    assert_eq!(endpoint.headers(), ["v2 192.0.2.7:56324 198.51.100.1:443"]);
}

#[test]
fn a_listener_on_every_address_tells_the_one_that_the_client_connected_to() {
    let endpoint = Told::start();
    let proxy = endpoint.before("v1").listeners("web: { address: \"0.0.0.0:0\" }").start();
    let web = SocketAddr::from(([127, 0, 0, 9], proxy.web().port()));
    let mut client = Client::connect(web);
    assert_eq!(client.get("/").status(), 200);
    let peer = client.stream().local_addr().expect("an address");
    assert_eq!(endpoint.headers(), [format!("v1 {peer} {web}")]);
}

#[test]
fn a_check_says_that_it_is_nobodys() {
    for (version, probe) in [("v1", "type: tcp"), ("v1", "path: /"), ("v2", "path: /"), ("v2", "type: tcp")] {
        let endpoint = Told::start();
        let shop = format!(
            "endpoints: {}, proxy_protocol: {version}, health_check: {{ {probe}, interval: 100ms, timeout: 100ms }}",
            endpoints(&[&endpoint.origin])
        );
        let proxy = Yaml::new(&shop).start();
        assert!(endpoint.wait_for(2).iter().all(|header| *header == format!("{version} nobody")));
        assert_eq!(proxy.get("/").status(), 200);
    }
}

#[test]
fn a_check_at_a_port_of_its_own_says_nothing() {
    let (endpoint, health) = (Told::start(), Origin::answering(OK));
    let shop = format!(
        "endpoints: {}, proxy_protocol: v2, health_check: {{ path: /, port: {}, interval: 100ms, timeout: 100ms }}",
        endpoints(&[&endpoint.origin]),
        health.address().port()
    );
    let _proxy = Yaml::new(&shop).start();
    health.wait_for(2);
    assert!(health.requests().iter().all(|one| one.start_line() == "GET / HTTP/1.1"));
    assert_eq!(endpoint.origin.connections(), 0);
}

#[test]
fn what_endpoints_are_told_may_change_by_a_reload() {
    let endpoint = Told::start();
    let with = |version: &str| {
        let checks = "health_check: { path: /, interval: 100ms, timeout: 100ms }";
        let shop =
            format!("endpoints: {}, proxy_protocol: {version}, {checks}", endpoints(&[&endpoint.origin]));
        Yaml::new(&shop).workers(1)
    };
    let proxy = with("v1").start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(proxy.reload(&with("v2").to_string()).status(), 200);
    assert_eq!(client.get("/").status(), 200);
    assert!(endpoint.headers().contains(&told("v2", &client, &proxy)));
    eventually("a check of the new kind", || {
        endpoint.headers().contains(&"v2 nobody".to_owned()).then_some(())
    });
}

#[test]
fn a_copy_names_the_client_too() {
    let (origin, copies) = (Origin::answering(OK), Told::start());
    let proxy = Yaml::before(&[&origin])
        .upstream(&format!("copies: {{ endpoints: {}, proxy_protocol: v1 }}", endpoints(&[&copies.origin])))
        .route("mirror: { upstream: copies, percent: 100 }")
        .start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(copies.wait_for(1), [told("v1", &client, &proxy)]);
}

#[test]
fn a_post_on_a_connection_that_was_closed_meanwhile_comes_again_with_a_header() {
    let headers: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&headers);
    let origin = Origin::start(move |visit| {
        let Some(header) = read_header(visit) else { return };
        heard.lock().expect("headers").push(header);
        // One request for each connection, without saying so.
        if visit.request().is_some() {
            visit.send(OK);
        }
    });
    let proxy = yaml(&[&origin], "v2", "").start();
    let mut client = proxy.client();
    assert_eq!(client.post("/", "one").status(), 200);
    origin.wait_for_ends(1);
    assert_eq!(client.post("/", "two").status(), 200);
    assert_eq!(*headers.lock().expect("headers"), [told("v2", &client, &proxy), told("v2", &client, &proxy)]);
}
