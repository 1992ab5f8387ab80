//! What is known of an endpoint's health outlives a reload, for as long as it is checked.

use super::{Patient, QUICK, checked, patients, wait_for_checks, wait_for_states};
use crate::support::{Gate, OK, Origin, Program, Proxy, Yaml, endpoints, eventually};

fn accept(proxy: &Proxy, yaml: &Yaml) {
    let answer = proxy.reload(&yaml.to_string());
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

#[test]
fn an_unhealthy_endpoint_stays_out_over_a_reload() {
    let (ill, well, new) = (Patient::named("ill"), Patient::named("well"), Patient::named("new"));
    ill.fails();
    let yaml = patients(&[&ill, &well]);
    let proxy = yaml.start();
    let before = wait_for_states(&proxy, "hu");
    ill.was_hit();
    for next in [
        yaml.workers(2),
        patients(&[&ill, &well, &new]),
        patients(&[&new, &ill, &well]).connection("max_idle: 3"),
    ] {
        accept(&proxy, &next);
        (0..12).for_each(|_| assert_eq!(proxy.get("/").status(), 200));
        assert!(!ill.was_hit(), "right after the reload");
    }
    let after = proxy.endpoints_when("shop", |all| all.len() == 3);
    assert_eq!(after[1]["state"], "unhealthy");
    assert!(after[1]["health"]["checks"].as_u64() >= before[0]["health"]["checks"].as_u64(), "{after:?}");
}

#[test]
fn without_its_check_an_endpoint_is_taken_for_healthy() {
    let (ill, well) = (Patient::named("ill"), Patient::named("well"));
    ill.fails();
    let proxy = patients(&[&ill, &well]).start();
    wait_for_states(&proxy, "hu");
    accept(&proxy, &Yaml::before(&[&ill.origin, &well.origin]));
    let endpoints = wait_for_states(&proxy, "uu");
    assert!(
        endpoints.iter().all(|one| one["takes_requests"] == true && one["health"].is_null()),
        "{endpoints:?}"
    );
    (0..4).for_each(|_| drop(proxy.get("/")));
    assert!(ill.was_hit());
    let checks = ill.checks().len();
    // As long as several checks would have taken.
    let slow = Gate::default();
    let origin = Origin::behind(&slow);
    let other = checked(&format!("timeout: 100ms, {QUICK}"), &[&origin]).start();
    wait_for_states(&other, "h");
    assert!(ill.checks().len() <= checks + 1, "one may have been under way");
}

#[test]
fn an_endpoint_that_is_gone_is_not_asked_any_more_and_comes_back_as_a_new_one() {
    let (gone, stays) = (Patient::named("gone"), Patient::named("stays"));
    gone.fails();
    let proxy = patients(&[&gone, &stays]).start();
    wait_for_states(&proxy, "hu");
    accept(&proxy, &patients(&[&stays]));
    wait_for_states(&proxy, "u");
    let checks = gone.checks().len();
    let seen = stays.checks().len();
    eventually("some more checks of the other", || (stays.checks().len() >= seen + 4).then_some(()));
    assert!(gone.checks().len() <= checks + 1);
    gone.recovers();
    accept(&proxy, &patients(&[&gone, &stays]));
    wait_for_states(&proxy, "uu");
}

#[test]
fn another_check_keeps_the_verdict_until_it_has_decided() {
    let gate = Gate::default();
    let origin = Origin::start({
        let gate = gate.clone();
        move |visit| {
            while let Some(request) = visit.request() {
                let answer = if request.asks() == "GET /old" {
                    b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_vec()
                } else {
                    gate.pass();
                    OK.to_vec()
                };
                if !visit.send(answer) {
                    return;
                }
            }
        }
    });
    let well = Patient::named("well");
    let with = |keys: &str| {
        let all = endpoints(&[&origin, &well.origin]);
        Yaml::new(&format!("strategy: round_robin, endpoints: {all}, health_check: {{ {keys} }}"))
    };
    let proxy = with(&format!("path: /old, expect: 200, {QUICK}")).start();
    wait_for_states(&proxy, "hu");
    accept(&proxy, &with("path: /new, expect: 200, interval: 30s, timeout: 20s, rise: 1"));
    eventually("the new check", || {
        origin.requests().iter().any(|one| one.asks() == "GET /new").then_some(())
    });
    wait_for_states(&proxy, "hu");
    (0..4).for_each(|_| assert_eq!(proxy.get("/").text(), "well"));
    gate.open();
    wait_for_states(&proxy, "uu");
}

#[test]
fn a_check_that_is_added_begins_and_one_with_the_same_config_goes_on() {
    let origin = Patient::named("a");
    let proxy = Proxy::before(&[&origin.origin]);
    let yaml = patients(&[&origin]);
    accept(&proxy, &yaml);
    let before = wait_for_checks(&proxy, 3);
    accept(&proxy, &yaml.connection("max_idle: 7"));
    let after = proxy.endpoints_when("shop", |_| true);
    assert!(after[0]["health"]["checks"].as_u64() >= before[0]["health"]["checks"].as_u64());
    wait_for_checks(&proxy, 6);
}

#[test]
fn whoever_turns_a_check_off_is_told_who_returns_by_that() {
    let (ill, well) = (Patient::named("ill"), Patient::named("well"));
    ill.fails();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    std::fs::write(&path, patients(&[&ill, &well]).to_string()).expect("write");
    let program = Program::run(&path);
    program.wait_for_log("endpoint is unhealthy");
    crate::support::replace(&path, &Yaml::before(&[&ill.origin, &well.origin]).workers(1).to_string());
    program.signal(rustix::process::Signal::HUP);
    let told = program.wait_for_log("health check turned off");
    assert_eq!((&told["level"], &told["upstream"]), (&"INFO".into(), &"shop".into()));
    assert_eq!(told["endpoint"], ill.address());
}
