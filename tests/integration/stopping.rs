//! `SIGTERM` lets what is under way finish, takes nothing new, and ends.

use std::fs;
use std::net::SocketAddr;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Client, Fifo, Gate, OK, Origin, Program, Yaml, ask_admin, eventually, refuses};

const GET: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n";

/// A running process, and where to reach it.
struct Running {
    program: Program,
    web: SocketAddr,
    admin: SocketAddr,
    directory: TempDir,
}

impl Running {
    /// Sends a signal, and waits until every worker has taken note of it.
    fn drain(&self, signal: Signal) {
        self.program.signal(signal);
        self.program.wait_for_log("draining");
        eventually("the listener to close", || refuses(self.web).then_some(()));
    }
}

fn run(yaml: &Yaml) -> Running {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    fs::write(&path, yaml.to_string()).expect("write");
    let program = Program::run(&path);
    let (web, admin) = program.wait_until_listening();
    Running { program, web, admin, directory }
}

/// A process with a request under way at `origin`, and the client that waits for its answer.
fn run_busy(yaml: &Yaml, origin: &Origin) -> (Running, Client) {
    let running = run(yaml);
    let mut client = Client::connect(running.web);
    client.send(GET);
    origin.wait_for(1);
    (running, client)
}

#[test]
fn sigterm_lets_a_running_request_finish_and_exits_with_0() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let (running, mut client) = run_busy(&Yaml::of("random", &[&origin]), &origin);
    running.drain(Signal::TERM);
    gate.open();
    let response = client.response();
    assert_eq!((response.text().as_str(), response.header("connection")), ("ok", Some("close")));
    client.expect_closed();
    assert_eq!(running.program.exit_code(), Some(0));
}

#[test]
fn sigint_drains_too() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let (running, mut client) = run_busy(&Yaml::of("random", &[&origin]), &origin);
    running.drain(Signal::INT);
    gate.open();
    assert_eq!(client.response().text(), "ok");
    assert_eq!(running.program.exit_code(), Some(0));
}

#[test]
fn while_it_drains_it_refuses_connections_and_is_not_ready() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let (running, mut client) = run_busy(&Yaml::of("random", &[&origin]), &origin);
    assert_eq!(ask_admin(running.admin, "GET", "/readyz").status(), 200);
    running.drain(Signal::TERM);
    let ready = ask_admin(running.admin, "GET", "/readyz");
    assert_eq!((ready.status(), ready.text().as_str()), (503, "draining\n"));
    assert_eq!(ask_admin(running.admin, "GET", "/healthz").status(), 200);
    gate.open();
    assert_eq!(client.response().text(), "ok");
    assert_eq!(running.program.exit_code(), Some(0));
}

#[test]
fn a_request_that_outlasts_the_drain_timeout_is_cut_off() {
    let origin = Origin::behind(&Gate::default());
    let yaml = Yaml::of("random", &[&origin]).drain_timeout("100ms");
    let (running, mut client) = run_busy(&yaml, &origin);
    running.program.signal(Signal::TERM);
    running.program.wait_for_log("cut off");
    client.expect_closed();
    assert_eq!(running.program.exit_code(), Some(0));
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let origin = Origin::behind(&Gate::default());
    let yaml = Yaml::of("random", &[&origin]).drain_timeout("1h");
    let (running, mut client) = run_busy(&yaml, &origin);
    running.drain(Signal::TERM);
    running.program.signal(Signal::TERM);
    running.program.wait_for_log("asked again");
    client.expect_closed();
    assert_eq!(running.program.exit_code(), Some(0));
}

#[test]
fn unused_connections_do_not_hold_it_up() {
    let origin = Origin::answering(OK);
    let running = run(&Yaml::of("random", &[&origin]).drain_timeout("1h"));
    let (mut used, mut fresh) = (Client::connect(running.web), Client::connect(running.web));
    used.get("/");
    running.program.signal(Signal::TERM);
    used.expect_closed();
    fresh.expect_closed();
    assert_eq!(running.program.exit_code(), Some(0));
}

#[test]
fn a_request_that_arrives_on_a_kept_connection_meanwhile_is_answered() {
    let gate = Gate::default();
    let (held, origin) = (Origin::behind(&gate), Origin::answering(OK));
    let routes = "{ match: { path: / }, upstream: shop }, { match: { path: /quick }, upstream: quick }";
    let quick = format!("quick: {{ endpoints: [\"{}\"] }}", origin.address());
    let yaml = Yaml::of("random", &[&held]).upstream(&quick).routes(routes);
    let (running, mut busy) = run_busy(&yaml, &held);
    let mut kept = Client::connect(running.web);
    kept.get("/quick");
    running.drain(Signal::TERM);
    let response = kept.get("/quick");
    assert_eq!((response.text().as_str(), response.header("connection")), ("ok", Some("close")));
    kept.expect_closed();
    gate.open();
    assert_eq!(busy.response().text(), "ok");
    assert_eq!(running.program.exit_code(), Some(0));
}

#[test]
fn a_response_that_streams_while_it_drains_arrives_whole() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        held.pass();
        visit.send("4\r\nlast\r\n0\r\n\r\n");
    });
    let running = run(&Yaml::of("random", &[&origin]));
    let mut client = Client::connect(running.web);
    client.send(GET);
    let mut seen = Vec::new();
    while !seen.ends_with(b"first\r\n") {
        seen.extend(client.read_some(1024));
    }
    running.drain(Signal::TERM);
    gate.open();
    assert_eq!(client.rest(), b"4\r\nlast\r\n0\r\n\r\n");
    assert_eq!(running.program.exit_code(), Some(0));
}

#[test]
fn every_request_of_the_last_moment_is_in_the_access_log() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    let line = format!("access_log: {{ path: \"{}\" }}", log.display());
    let (running, mut client) = run_busy(&Yaml::of("random", &[&origin]).line(&line), &origin);
    running.drain(Signal::TERM);
    gate.open();
    client.response();
    assert_eq!(running.program.exit_code(), Some(0));
    assert_eq!(fs::read_to_string(&log).expect("the log").lines().count(), 1);
}

#[test]
fn a_request_that_was_cut_off_is_in_the_access_log_too() {
    let origin = Origin::behind(&Gate::default());
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    let line = format!("access_log: {{ path: \"{}\" }}", log.display());
    let yaml = Yaml::of("random", &[&origin]).line(&line).drain_timeout("0s");
    let (running, mut client) = run_busy(&yaml, &origin);
    running.program.signal(Signal::TERM);
    client.expect_closed();
    assert_eq!(running.program.exit_code(), Some(0));
    assert_eq!(fs::read_to_string(&log).expect("the log").lines().count(), 1);
}

#[test]
fn a_response_that_was_cut_off_is_logged_as_truncated() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
        visit.closes();
    });
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    let line = format!("access_log: {{ path: \"{}\", format: json }}", log.display());
    let running = run(&Yaml::of("random", &[&origin]).line(&line).drain_timeout("0s"));
    let mut client = Client::connect(running.web);
    client.send(GET);
    let mut seen = Vec::new();
    while !seen.ends_with(b"half") {
        seen.extend(client.read_some(1024));
    }
    running.program.signal(Signal::TERM);
    client.expect_closed();
    assert_eq!(running.program.exit_code(), Some(0));
    let line = fs::read_to_string(&log).expect("the log");
    let line: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_eq!((&line["status"], &line["truncated"]), (&200.into(), &true.into()));
}

#[test]
fn sigterm_is_obeyed_while_a_reload_waits_for_its_file() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let (running, mut client) = run_busy(&Yaml::of("random", &[&origin]), &origin);
    let path = running.directory.path().join("tillgate.yaml");
    let fifo = Fifo::replace(&path);
    running.program.signal(Signal::HUP);
    let _never_written = fifo.wait_for_reader();
    running.drain(Signal::TERM);
    gate.open();
    assert_eq!(client.response().text(), "ok");
    assert_eq!(running.program.exit_code(), Some(0));
}

#[test]
fn a_second_sigterm_is_obeyed_while_a_reload_waits_for_its_file() {
    let origin = Origin::behind(&Gate::default());
    let (running, mut client) = run_busy(&Yaml::of("random", &[&origin]).drain_timeout("1h"), &origin);
    let path = running.directory.path().join("tillgate.yaml");
    let fifo = Fifo::replace(&path);
    running.program.signal(Signal::HUP);
    let _never_written = fifo.wait_for_reader();
    running.drain(Signal::TERM);
    running.program.signal(Signal::TERM);
    client.expect_closed();
    assert_eq!(running.program.exit_code(), Some(0));
}

#[test]
fn while_it_drains_it_refuses_to_reload() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let (running, mut client) = run_busy(&Yaml::of("random", &[&origin]), &origin);
    running.drain(Signal::TERM);
    let post = "POST /api/v1/reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    let refused = Client::connect(running.admin).send(post).response();
    assert_eq!(refused.status(), 503);
    assert!(refused.text().contains("the process is draining"), "{}", refused.text());
    gate.open();
    assert_eq!(client.response().text(), "ok");
    assert_eq!(running.program.exit_code(), Some(0));
}
