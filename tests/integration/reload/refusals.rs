//! A config that is refused says why, and changes nothing.

use std::fs;

use super::{accept, strategy, wait_for_strategy};
use crate::support::{OK, Origin, Program, Proxy, Refuser, Yaml};

/// What `tillgate check` writes about the file a proxy runs on.
fn check(proxy: &Proxy) -> String {
    let path = proxy.path();
    let output = Program::output(&["check", "--config", path.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).expect("UTF-8").trim_end().to_owned()
}

const BAD: &str =
    "listeners: { web: { address: 127.0.0.1:http } }\nupstreams: { shop: { endpoint: [] } }\nroutes: []\n";

#[test]
fn a_bad_edit_is_refused_with_the_words_of_check() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::watching(&Yaml::of("round_robin", &[&origin]).to_string());
    proxy.edit(BAD);
    let status = proxy.admin_when("/api/v1/status", |status| status["reloads_refused"] == 1);
    let words = check(&proxy);
    assert!(words.lines().filter(|line| line.contains("tillgate.yaml:")).count() >= 3, "{words}");
    assert_eq!(status["last_refusal"], words.as_str());
    assert_eq!((&status["generation"], &status["reloads"]), (&1.into(), &0.into()));
    assert_eq!(proxy.metrics().sum("tillgate_reloads_refused_total", &[]), 1.0);
    assert_eq!(proxy.get("/").text(), "ok");
}

#[test]
fn post_reload_answers_a_bad_config_with_the_words_of_check() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("round_robin", &[&origin]).start();
    let answer = proxy.reload(BAD);
    assert_eq!(answer.status(), 422);
    let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(json, serde_json::json!({ "reloaded": false, "problems": check(&proxy) }));
    assert_eq!(proxy.get("/").text(), "ok");
}

#[test]
fn a_good_edit_clears_the_refusal_of_a_bad_one() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::watching(&Yaml::of("round_robin", &[&origin]).to_string());
    proxy.edit(BAD);
    proxy.admin_when("/api/v1/status", |status| !status["last_refusal"].is_null());
    proxy.edit(&Yaml::of("random", &[&origin]).to_string());
    wait_for_strategy(&proxy, "random");
    let status = proxy.admin_when("/api/v1/status", |status| status["last_refusal"].is_null());
    assert_eq!((&status["reloads"], &status["reloads_refused"]), (&1.into(), &1.into()));
}

#[test]
fn going_back_to_the_config_in_force_clears_the_refusal_too() {
    let origin = Origin::answering(OK);
    let good = Yaml::of("round_robin", &[&origin]).to_string();
    let proxy = Proxy::watching(&good);
    proxy.edit(BAD);
    proxy.admin_when("/api/v1/status", |status| !status["last_refusal"].is_null());
    proxy.edit(&good);
    proxy.admin_when("/api/v1/status", |status| status["last_refusal"].is_null());
}

#[test]
fn files_that_are_no_configs_are_refused() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("round_robin", &[&origin]);
    let proxy = yaml.start();
    let whole = yaml.to_string();
    let halves = [&whole[..whole.len() / 2], &whole[..whole.find("routes").expect("routes")]];
    let files = halves.map(str::as_bytes).into_iter().chain([
        &b""[..],
        b"\n# nothing but a comment\n",
        b"\x7fELF\x02\x01\x01\0\0\0",
        b"\0\0\0\0",
        b"listeners: \xff\xfe",
    ]);
    for (index, bytes) in files.enumerate() {
        fs::write(proxy.path(), bytes).expect("write");
        let answer = proxy.admin("POST", "/api/v1/reload");
        assert_eq!(answer.status(), 422, "{}", String::from_utf8_lossy(bytes));
        let status = proxy.admin_json("/api/v1/status");
        assert_eq!(status["reloads_refused"], index + 1);
        assert_eq!(status["last_refusal"], check(&proxy).as_str());
    }
    assert_eq!(proxy.get("/").text(), "ok");
    accept(&proxy, &yaml);
}

#[test]
fn an_address_in_use_refuses_the_whole_config() {
    let (origin, taken) = (Origin::answering(OK), Origin::answering(OK));
    let proxy = Yaml::of("round_robin", &[&origin]).start();
    let web = proxy.web();
    let listeners =
        format!("web: {{ address: \"127.0.0.1:0\" }}, extra: {{ address: \"{}\" }}", taken.address());
    let answer = proxy.reload(&Yaml::of("random", &[&origin]).listeners(&listeners).to_string());
    assert_eq!(answer.status(), 422);
    let words = format!("listener extra: cannot listen on {}", taken.address());
    assert!(answer.text().contains(&words), "{}", answer.text());
    assert_eq!((proxy.web(), proxy.listener("extra")), (web, None));
    assert_eq!((strategy(&proxy), proxy.generation()), ("round_robin".into(), 1));
    assert_eq!(proxy.get("/").text(), "ok");
}

#[test]
fn an_access_log_that_cannot_be_opened_refuses_the_whole_config() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("round_robin", &[&origin]).start();
    let log = proxy.path().join("below-a-file");
    let line = format!("access_log: {{ path: \"{}\" }}", log.display());
    let answer = proxy.reload(&Yaml::of("random", &[&origin]).line(&line).to_string());
    assert_eq!(answer.status(), 422);
    assert!(
        answer.text().contains(&format!("access_log: cannot open {}", log.display())),
        "{}",
        answer.text()
    );
    assert_eq!(strategy(&proxy), "round_robin");
}

#[test]
fn a_refused_config_closes_no_endpoint_of_the_one_in_force() {
    let (origin, dead) = (Origin::answering(OK), Refuser::bind());
    let queue = "queue: { max_waiting: 0, timeout: 1s }";
    let endpoints = |weight: u32, most: u32| {
        format!("{{ address: \"{}\", weight: {weight}, max_connections: {most} }}", origin.address())
    };
    let yaml = Yaml::new(&format!("strategy: round_robin, {queue}, endpoints: [{}]", endpoints(1, 10)));
    let proxy = yaml.start();
    let limit = || proxy.admin_json("/api/v1/upstreams")["upstreams"][0]["admission"]["limit"].clone();
    assert_eq!(limit(), 10);
    let (drained, other) =
        (endpoints(0, 10), format!("{{ address: \"{}\", max_connections: 3 }}", dead.address()));
    let edited = Yaml::new(&format!("strategy: round_robin, {queue}, endpoints: [{drained}, {other}]"))
        .upstream("next: { endpoints: [\"nowhere.invalid:80\"] }");
    let answer = proxy.reload(&edited.to_string());
    assert_eq!(answer.status(), 422);
    assert!(answer.text().contains("upstream next: cannot resolve nowhere.invalid:80"), "{}", answer.text());
    assert_eq!((proxy.get("/").text().as_str(), limit()), ("ok", 10.into()));
}
