//! Sockets that run out here are nobody else's fault, and there are as many as there may be.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::http2::{self, Http2};
use crate::support::{Client, Gate, OK, Origin, Program, Yaml, ask_admin, endpoints, eventually};

const GET: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n";

fn file(yaml: &Yaml) -> (PathBuf, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    fs::write(&path, yaml.to_string()).expect("write");
    (path, directory)
}

/// Answers one request on each connection.
fn one_each() -> Origin {
    Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    })
}

#[test]
fn no_endpoint_is_blamed_for_sockets_that_run_out_here() {
    let (first, second, mirror) = (one_each(), one_each(), one_each());
    let all = endpoints(&[&first, &second]);
    let shop =
        format!("strategy: round_robin, outlier_detection: {{ consecutive_failures: 1 }}, endpoints: {all}");
    let yaml = Yaml::new(&shop)
        .upstream(&format!("next: {{ endpoints: {} }}", endpoints(&[&mirror])))
        .route("mirror: { upstream: next }")
        .workers(1);
    let (path, _directory) = file(&yaml);
    let program = Program::run(&path);
    let (web, admin) = program.wait_until_listening();
    let mut client = Client::connect(web);
    (0..2).for_each(|_| assert_eq!(client.send(GET).response().status(), 200));
    mirror.wait_for_ends(2);
    let before = program.limit_descriptors(Some(3));
    for _ in 0..20 {
        let got = client.send(GET).response();
        assert_eq!((got.status(), got.reason()), (503, "out_of_sockets"), "{}", got.head);
        assert_eq!(got.header("x-tillgate-upstream-sent"), Some("none"));
        assert_eq!(got.header("connection"), None);
    }
    program.wait_for_log("out of sockets");
    program.limit_descriptors(before);
    let all = eventually("22 requests in the figures", || {
        let page: Value = serde_json::from_slice(&ask_admin(admin, "GET", "/api/v1/upstreams").body).ok()?;
        let of = |upstream: &Value| upstream["endpoints"].as_array().cloned().unwrap_or_default();
        let all: Vec<Value> = page["upstreams"].as_array()?.iter().flat_map(of).collect();
        let asked: u64 = all.iter().filter_map(|one| one["requests"].as_u64()).sum();
        (asked == 22).then_some(all)
    });
    assert_eq!(all.len(), 3);
    for one in all {
        let said = (&one["failures"], &one["ejection"], &one["state"], &one["in_flight"]);
        assert_eq!(said, (&0.into(), &Value::Null, &"up".into(), &0.into()), "{one}");
    }
    (0..2).for_each(|_| assert_eq!(client.send(GET).response().status(), 200));
    assert_eq!((first.requests().len(), second.requests().len()), (2, 2));
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one_at_the_start() {
    let origin = Origin::answering(OK);
    let (path, _directory) = file(&Yaml::before(&[&origin]).limits("max_connections: 100"));
    let program = Program::run_within("ulimit -Sn 100 && ulimit -Hn 500", &path);
    program.wait_until_listening();
    assert_eq!(program.descriptor_limits(), [500, 500]);
}

#[test]
fn an_operator_is_told_of_a_limit_that_max_connections_cannot_keep_to() {
    let origin = Origin::answering(OK);
    let (path, _directory) = file(&Yaml::before(&[&origin]).limits("max_connections: 300"));
    let program = Program::run_within("ulimit -n 500", &path);
    let line = program.wait_for_log("the limit of open files");
    assert_eq!((&line["level"], &line["limit"], &line["needed"]), (&"WARN".into(), &500.into(), &600.into()));
}

#[test]
fn requests_that_share_a_connection_leave_room_for_who_comes_next() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |visit| {
        visit.request();
        held.pass();
        visit.send(OK);
    });
    let held = "{ match: { path: /held }, upstream: shop }";
    let (path, _directory) = file(&Yaml::before(&[&origin]).routes(held).workers(1));
    let program = Program::run_within("ulimit -n 200", &path);
    let (web, admin) = program.wait_until_listening();
    let mut clients = [Http2::connect(web), Http2::connect(web)];
    let get = || http2::request("GET", "/held").body(()).expect("a request");
    let begun: [Vec<_>; 2] =
        clients.each_mut().map(|client| (0..100).map(|_| client.begin(get(), true).0).collect());
    // What was begun before has been sent.
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 404));
    // Of 200 files, three quarters.
    program.wait_for_log("out of sockets");
    eventually("150 connections", || (origin.connections() == 150).then_some(()));
    let got = Client::connect(web).get("/held");
    assert_eq!((got.status(), got.reason()), (503, "out_of_sockets"));
    assert_eq!(ask_admin(admin, "GET", "/api/v1/upstreams").status(), 200);
    gate.open();
    let answers = clients.iter().zip(begun).flat_map(|(client, begun)| {
        begun.into_iter().map(|response| client.answer(response).status).collect::<Vec<_>>()
    });
    let served = answers.filter(|status| *status == 200).count();
    assert_eq!(served, 150);
    assert_eq!(Client::connect(web).get("/held").status(), 200);
}
