//! How long an endpoint is out, and what a reload does to that.

use serde_json::Value;

use super::{Fickle, GOOD, UNAVAILABLE, ask, eject, entry_when, in_turn, is_out};
use crate::support::{OK, Origin, Program, Yaml, endpoints, eventually};

fn in_service(entry: &Value) -> bool {
    entry["ejection"] == Value::Null && entry["takes_requests"] == true
}

#[test]
fn it_returns_on_time_though_nobody_asks_for_anything() {
    let (bad, good) = (Origin::answering(UNAVAILABLE), Origin::answering(OK));
    let proxy = in_turn(&[&bad, &good], "base_ejection: 1s").start();
    let out = eject(&proxy, &bad);
    let left = out["ejection"]["for_seconds_more"].as_f64().expect("a number");
    assert!((0.0..=1.0).contains(&left), "{out}");
    let asked = bad.requests().len();
    entry_when(&proxy, &bad, in_service);
    assert_eq!(bad.requests().len(), asked);
}

#[test]
fn one_that_has_not_recovered_costs_one_request_and_is_out_for_twice_as_long() {
    let (bad, good) = (Origin::answering(UNAVAILABLE), Origin::answering(OK));
    let proxy = in_turn(&[&bad, &good], "base_ejection: 2s").start();
    eject(&proxy, &bad);
    entry_when(&proxy, &bad, in_service);
    let asked = bad.requests().len();
    let mut client = proxy.client();
    eventually("the request that finds out", || {
        client.get("/");
        (bad.requests().len() > asked).then_some(())
    });
    let out = entry_when(&proxy, &bad, is_out);
    assert_eq!((&out["ejection"]["cause"], &out["ejection"]["times"]), (&"failed_return".into(), &2.into()));
    let left = out["ejection"]["for_seconds_more"].as_f64().expect("a number");
    assert!((2.0..=4.0).contains(&left), "{out}");
}

#[test]
fn one_that_has_recovered_comes_to_its_share_again() {
    let (bad, good) = (Fickle::of(&[GOOD, UNAVAILABLE]), Origin::answering(OK));
    bad.turn(UNAVAILABLE);
    let proxy = in_turn(&[&bad.origin, &good], "base_ejection: 200ms, interval: 1m").start();
    eject(&proxy, &bad.origin);
    bad.turn(GOOD);
    entry_when(&proxy, &bad.origin, |entry| {
        in_service(entry) && {
            ask(&proxy, 10);
            entry["cost"]["ramp"] == 1.0
        }
    });
    let asked = bad.origin.requests().len();
    assert_eq!(ask(&proxy, 100), [200; 100]);
    assert_eq!(bad.origin.requests().len(), asked + 50);
}

#[test]
fn it_stays_out_over_a_reload_and_returns_when_detection_is_turned_off() {
    let (bad, good, new) = (Origin::answering(UNAVAILABLE), Origin::answering(OK), Origin::answering(OK));
    let proxy = in_turn(&[&bad, &good], "base_ejection: 1h, max_ejection: 1h").start();
    eject(&proxy, &bad);
    let next = in_turn(&[&new, &good, &bad], "base_ejection: 1s");
    assert_eq!(proxy.reload(&next.to_string()).status(), 200);
    assert_eq!(ask(&proxy, 20), [200; 20]);
    let out = entry_when(&proxy, &bad, is_out);
    assert!(out["ejection"]["for_seconds_more"].as_f64() > Some(60.0), "{out}");
    let off = Yaml::new(&format!(
        "strategy: round_robin, outlier_detection: off, endpoints: {}",
        endpoints(&[&new, &good, &bad])
    ));
    assert_eq!(proxy.reload(&off.to_string()).status(), 200);
    entry_when(&proxy, &bad, in_service);
    let statuses = ask(&proxy, 30);
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 10, "{statuses:?}");
}

#[test]
fn whoever_reads_the_log_is_told_of_both_with_the_cause() {
    let (bad, good) = (Origin::answering(UNAVAILABLE), Origin::answering(OK));
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    let yaml = in_turn(&[&bad, &good], "base_ejection: 1s");
    std::fs::write(&path, yaml.to_string()).expect("write");
    let program = Program::run(&path);
    let mut client = crate::support::Client::connect(program.web());
    (0..10).for_each(|_| drop(client.get("/")));
    let told = program.wait_for_log("\"endpoint ejected\"");
    assert_eq!((&told["level"], &told["cause"]), (&"WARN".into(), &"consecutive_failures".into()));
    assert_eq!(told["endpoint"], bad.address().to_string());
    let told = program.wait_for_log("\"endpoint back from its ejection\"");
    assert_eq!((&told["level"], &told["upstream"]), (&"INFO".into(), &"shop".into()));
}

#[test]
fn whoever_turns_detection_off_is_told_who_returns_by_that() {
    let (bad, good) = (Origin::answering(UNAVAILABLE), Origin::answering(OK));
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    let yaml = in_turn(&[&bad, &good], "base_ejection: 1h, max_ejection: 1h");
    std::fs::write(&path, yaml.to_string()).expect("write");
    let program = Program::run(&path);
    let mut client = crate::support::Client::connect(program.web());
    (0..10).for_each(|_| drop(client.get("/")));
    program.wait_for_log("\"endpoint ejected\"");
    let off = Yaml::new(&format!("outlier_detection: off, endpoints: {}", endpoints(&[&bad, &good])));
    crate::support::replace(&path, &off.workers(1).to_string());
    program.signal(rustix::process::Signal::HUP);
    let told = program.wait_for_log("outlier detection turned off");
    assert_eq!((&told["level"], &told["upstream"]), (&"INFO".into(), &"shop".into()));
    assert_eq!(told["endpoint"], bad.address().to_string());
}
