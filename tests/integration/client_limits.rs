//! Connections of one client: how many there may be, and for whom that does not count.

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::support::{Client, OK, Origin, Proxy, Yaml, eventually};

const REJECTED: &str = "tillgate_connections_rejected_total";

fn limited(origin: &Origin, most: u32) -> Yaml {
    Yaml::before(&[origin]).limits(&format!("max_connections_per_client: {most}"))
}

/// A connection from another address of this machine.
fn from(source: [u8; 4], to: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("bind");
    socket.connect(&to.into()).expect("connect");
    Client::over(TcpStream::from(socket))
}

fn serves(client: &mut Client) {
    assert_eq!(client.get("/").status(), 200);
}

fn rejected(proxy: &Proxy, cause: &str) -> u64 {
    proxy.metrics().count(REJECTED, &[("listener", "web"), ("cause", cause)])
}

#[test]
fn a_client_has_no_more_connections_than_allowed_over_all_workers() {
    let origin = Origin::answering(OK);
    let proxy = limited(&origin, 3).workers(3).start();
    let mut held = [(); 3].map(|()| proxy.client());
    held.iter_mut().for_each(serves);
    for _ in 0..10 {
        proxy.client().expect_closed();
    }
    serves(&mut from([127, 0, 0, 2], proxy.web()));
    assert_eq!((rejected(&proxy, "client"), rejected(&proxy, "listener")), (10, 0));
    let [first, ..] = held;
    drop(first);
    eventually("a place for another", || {
        let mut client = proxy.client();
        client.try_send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        client.try_response().map(|response| assert_eq!(response.status(), 200))
    });
}

#[test]
fn a_trusted_proxy_speaks_for_many_clients_and_is_not_bound() {
    let origin = Origin::answering(OK);
    let proxy = limited(&origin, 1).line("trusted_proxies: [127.0.0.2/32]").start();
    let mut through = [(); 5].map(|()| from([127, 0, 0, 2], proxy.web()));
    through.iter_mut().for_each(serves);
    let mut own = proxy.client();
    serves(&mut own);
    proxy.client().expect_closed();
}

#[test]
fn without_the_key_one_client_may_have_all_connections() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).limits("max_connections: 20").start();
    let mut held = [(); 20].map(|()| proxy.client());
    held.iter_mut().for_each(serves);
    proxy.client().expect_closed();
    assert_eq!((rejected(&proxy, "client"), rejected(&proxy, "listener")), (0, 1));
}

#[test]
fn the_bound_may_come_change_and_go_by_a_reload() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).limits("max_connections: 100").start();
    let reload = |yaml: Yaml| assert_eq!(proxy.reload(&yaml.to_string()).status(), 200);
    let mut before = proxy.client();
    serves(&mut before);
    reload(limited(&origin, 1));
    // What was there before is not counted.
    let mut first = proxy.client();
    serves(&mut first);
    proxy.client().expect_closed();
    reload(limited(&origin, 2));
    let mut second = proxy.client();
    serves(&mut second);
    proxy.client().expect_closed();
    reload(Yaml::before(&[&origin]).limits("max_connections_per_client: off"));
    serves(&mut proxy.client());
    serves(&mut before);
}
