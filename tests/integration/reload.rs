//! A new config takes effect whole, or not at all; and nothing that runs is disturbed.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    Client, Fifo, Gate, OK, Origin, Program, Proxy, Yaml, ask_admin, endpoints, eventually, free_address,
    ok_with, refuses,
};

mod figures;
mod files;
mod listeners;
mod refusals;

/// The strategy of `shop` as the admin server shows it.
fn strategy(proxy: &Proxy) -> Value {
    proxy.admin_json("/api/v1/upstreams")["upstreams"][0]["strategy"].clone()
}

fn wait_for_strategy(proxy: &Proxy, wanted: &str) {
    eventually(wanted, || (strategy(proxy) == wanted).then_some(()));
}

/// Reloads, and expects it to be accepted.
fn accept(proxy: &Proxy, yaml: &Yaml) -> Value {
    let answer = proxy.reload(&yaml.to_string());
    assert_eq!(answer.status(), 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[test]
fn post_reload_says_which_generation_is_in_force_now() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("round_robin", &[&origin]).start();
    let answer = accept(&proxy, &Yaml::of("random", &[&origin]));
    let report = json!({ "generation": 2, "changed": true, "warnings": [] });
    assert_eq!(answer, json!({ "reloaded": true, "report": report }));
    assert_eq!(strategy(&proxy), "random");
    assert_eq!(proxy.admin_json("/api/v1/upstreams")["generation"], 2);
    assert_eq!(proxy.admin_json("/api/v1/status")["reloads"], 1);
}

#[test]
fn sighup_reads_the_file_again() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    fs::write(&path, Yaml::of("random", &[&origin]).to_string()).expect("write");
    let program = Program::run(&path);
    let (web, _) = program.wait_until_listening();
    // The text is the same, so that it is the signal and not the file that does it.
    program.signal(rustix::process::Signal::HUP);
    let line = program.wait_for_log("config reloaded");
    assert_eq!((&line["cause"], &line["generation"]), (&json!("Signal"), &json!(2)));
    assert_eq!(Client::connect(web).get("/").text(), "ok");
}

#[test]
fn requests_on_an_open_connection_follow_the_routes_of_the_moment() {
    let (old, new) = (Origin::answering(ok_with("old")), Origin::answering(ok_with("new")));
    let yaml =
        Yaml::of("random", &[&old]).upstream(&format!("next: {{ endpoints: {} }}", endpoints(&[&new])));
    let proxy = yaml.start();
    let mut client = proxy.client();
    assert_eq!(client.get("/cart").text(), "old");
    let routes = "{ match: { path_prefix: / }, upstream: shop }, { match: { path: /cart }, upstream: next }";
    accept(&proxy, &yaml.routes(routes));
    assert_eq!(client.get("/cart").text(), "new");
    assert_eq!(client.get("/").text(), "old");
}

#[test]
fn a_request_that_runs_ends_by_the_config_it_began_with() {
    let gate = Gate::default();
    let (old, new) = (Origin::behind(&gate), Origin::answering(ok_with("new")));
    let proxy = Yaml::of("random", &[&old]).start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    old.wait_for(1);
    accept(&proxy, &Yaml::of("random", &[&new]));
    assert_eq!(proxy.get("/").text(), "new");
    gate.open();
    assert_eq!(client.response().text(), "ok");
    assert_eq!(client.get("/").text(), "new");
}

#[test]
fn a_change_of_workers_waits_for_the_next_start_and_says_so() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("random", &[&origin]);
    let proxy = yaml.start();
    let answer = accept(&proxy, &yaml.workers(3));
    assert_eq!(answer["report"]["warnings"], json!(["`workers` takes effect at the next start"]));
    assert_eq!(proxy.admin_json("/api/v1/status")["workers"], 2);
    assert_eq!(proxy.get("/").text(), "ok");
}

#[test]
fn the_admin_server_moves_to_its_new_address() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("random", &[&origin]);
    let proxy = yaml.start();
    let old = proxy.admin_address().expect("an admin address");
    let new = free_address();
    accept(&proxy, &yaml.admin(&format!("{{ address: \"{new}\" }}")));
    assert_eq!(ask_admin(new, "GET", "/healthz").text(), "ok\n");
    eventually("the old admin address to close", || refuses(old).then_some(()));
}

#[test]
fn the_admin_server_may_be_narrowed_to_loopback_on_its_port() {
    let origin = Origin::answering(OK);
    let port = free_address().port();
    let [any, loopback] = ["0.0.0.0", "127.0.0.1"].map(|ip| format!("{{ address: \"{ip}:{port}\" }}"));
    let yaml = Yaml::of("random", &[&origin]);
    let proxy = Proxy::watching(&yaml.clone().admin(&any).to_string());
    proxy.edit(&yaml.admin(&loopback).to_string());
    eventually("the narrower address", || proxy.admin_address().filter(|address| address.ip().is_loopback()));
    proxy.admin_when("/api/v1/status", |status| status["generation"] == 2);
}

#[test]
fn an_admin_address_in_use_refuses_the_whole_config() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("random", &[&origin]);
    let proxy = yaml.start();
    let taken = Origin::answering(OK);
    let edited =
        Yaml::of("round_robin", &[&origin]).admin(&format!("{{ address: \"{}\" }}", taken.address()));
    let answer = proxy.reload(&edited.to_string());
    assert_eq!(answer.status(), 422);
    assert!(
        answer.text().contains(&format!("admin: cannot listen on {}", taken.address())),
        "{}",
        answer.text()
    );
    assert_eq!(strategy(&proxy), "random");
}

#[test]
fn a_reload_is_finished_though_whoever_asked_for_it_went_away() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    let path = proxy.path();
    let fifo = Fifo::replace(&path);
    let mut client = Client::connect(proxy.admin_address().expect("an admin address"));
    client.send("POST /api/v1/reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    let held = fifo.wait_for_reader();
    drop(client);
    // Answered by the thread that has to notice first that the client is gone.
    assert_eq!(proxy.admin("GET", "/healthz").status(), 200);
    proxy.edit(&Yaml::of("round_robin", &[&origin]).to_string());
    drop(held);
    wait_for_strategy(&proxy, "round_robin");
    proxy.admin_when("/api/v1/status", |status| status["reloads"] == 1);
}
