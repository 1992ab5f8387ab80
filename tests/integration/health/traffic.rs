//! What health means for requests: panic, backups, slow start, and nothing lost while endpoints come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use super::{Patient, QUICK, checked, patients, wait_for_states};
use crate::support::{Client, Gate, OK, Origin, Proxy, Refuser, Yaml, endpoints, eventually, ok_with};

#[test]
fn where_too_few_are_healthy_health_is_ignored() {
    let all = [Patient::named("a"), Patient::named("b"), Patient::named("c")];
    let half = "strategy: round_robin, panic_threshold_percent: 50";
    let yaml = patients(&[&all[0], &all[1], &all[2]]).to_string().replace("strategy: round_robin", half);
    let proxy = Proxy::start(&yaml);
    all[0].fails();
    all[1].fails();
    let endpoints = wait_for_states(&proxy, "hhu");
    assert!(endpoints.iter().all(|one| one["takes_requests"] == true), "{endpoints:?}");
    assert_eq!(proxy.admin_json("/api/v1/upstreams")["upstreams"][0]["panic"], true);
    all.iter().for_each(|one| one.hit.store(false, Ordering::SeqCst));
    (0..12).for_each(|_| assert_eq!(proxy.get("/").status(), 200));
    assert!(all.iter().all(Patient::was_hit));
    all[0].recovers();
    wait_for_states(&proxy, "uhu");
    all[1].was_hit();
    (0..12).for_each(|_| assert_eq!(proxy.get("/").status(), 200));
    assert!(!all[1].was_hit());
}

#[test]
fn by_default_the_last_that_is_healthy_gets_everything_and_with_none_all_are_tried() {
    let all = [Patient::named("a"), Patient::named("b"), Patient::named("c")];
    let proxy = patients(&[&all[0], &all[1], &all[2]]).start();
    all[0].fails();
    all[1].fails();
    wait_for_states(&proxy, "hhu");
    (0..12).for_each(|_| assert_eq!(proxy.get("/").text(), "c"));
    all[2].fails();
    let endpoints = wait_for_states(&proxy, "hhh");
    assert!(endpoints.iter().all(|one| one["takes_requests"] == true), "{endpoints:?}");
    assert_eq!(proxy.get("/").status(), 200);
}

/// It failed requests and checks alike; when checks say that it is well again, nobody has to wait for the rest of an hour.
#[test]
fn a_passed_check_ends_the_ejection_of_an_endpoint_that_was_unhealthy() {
    let is_ill = Arc::new(AtomicBool::new(true));
    let ill = Arc::clone(&is_ill);
    let origin = Origin::start(move |visit| {
        while visit.request().is_some() {
            let busy = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
            if !visit.send(if ill.load(Ordering::SeqCst) { busy.into() } else { ok_with("well") }) {
                return;
            }
        }
    });
    let other = Patient::named("other");
    // Not so quickly that the checks are first.
    let yaml = checked("path: /healthz, interval: 100ms, rise: 1, fall: 20", &[&origin, &other.origin]);
    let hour = "strategy: round_robin, outlier_detection: { base_ejection: 1h, max_ejection: 1h }";
    let proxy = Proxy::start(&yaml.to_string().replace("strategy: round_robin", hour));
    let is_out = |all: &[Value]| all[0]["state"] == "unhealthy" && !all[0]["ejection"].is_null();
    proxy.endpoints_when("shop", |all| {
        (0..4).for_each(|_| drop(proxy.get("/")));
        is_out(all)
    });
    is_ill.store(false, Ordering::SeqCst);
    proxy.endpoints_when("shop", |all| {
        (0..4).for_each(|_| drop(proxy.get("/")));
        all[0]["state"] == "up" && all[0]["ejection"].is_null()
    });
}

#[test]
fn with_none_healthy_and_no_panic_nobody_is_asked() {
    let patient = Patient::named("a");
    patient.fails();
    let shop = format!(
        "endpoints: [\"{}\"], panic_threshold_percent: 0, health_check: {{ path: /healthz, {QUICK} }}",
        patient.address()
    );
    let proxy = Yaml::new(&shop).start();
    wait_for_states(&proxy, "h");
    patient.was_hit();
    let answer = proxy.get("/");
    assert_eq!((answer.status(), answer.reason()), (503, "no_endpoint"));
    assert!(!patient.was_hit());
    patient.recovers();
    wait_for_states(&proxy, "u");
    assert_eq!(proxy.get("/").status(), 200);
}

#[test]
fn a_backup_takes_over_and_gives_back() {
    let (own, backup) = (Patient::named("own"), Patient::named("backup"));
    let shop = format!(
        "endpoints: [\"{}\", {{ address: \"{}\", backup: true }}], health_check: {{ path: /healthz, {QUICK} }}",
        own.address(),
        backup.address()
    );
    let proxy = Yaml::new(&shop).start();
    assert_eq!(proxy.get("/").text(), "own");
    own.fails();
    wait_for_states(&proxy, "hu");
    (0..5).for_each(|_| assert_eq!(proxy.get("/").text(), "backup"));
    own.recovers();
    wait_for_states(&proxy, "uu");
    (0..5).for_each(|_| assert_eq!(proxy.get("/").text(), "own"));
}

#[test]
fn an_endpoint_that_is_back_comes_to_its_share_by_slow_start() {
    let (ill, well) = (Patient::named("ill"), Patient::named("well"));
    let yaml = patients(&[&ill, &well]).to_string();
    let proxy = Proxy::start(&yaml.replace("strategy: round_robin", "strategy: round_robin, slow_start: 3s"));
    (0..10).for_each(|_| drop(proxy.get("/")));
    let ramp = |one: &Value| one["cost"]["ramp"].as_f64();
    proxy.endpoints_when("shop", |all| all.iter().all(|one| ramp(one).is_some_and(|ramp| ramp < 1.0)));
    proxy.endpoints_when("shop", |all| all.iter().all(|one| ramp(one) == Some(1.0)));
    let share = || (0..200).filter(|_| proxy.get("/").text() == "ill").count();
    ill.fails();
    wait_for_states(&proxy, "hu");
    ill.recovers();
    let endpoints = wait_for_states(&proxy, "uu");
    assert!(ramp(&endpoints[0]) < Some(0.5) && ramp(&endpoints[1]) == Some(1.0), "{endpoints:?}");
    let early = share();
    assert!(early < 60, "{early}");
    proxy.endpoints_when("shop", |all| ramp(&all[0]) == Some(1.0));
    let late = share();
    assert!((90..=110).contains(&late), "{late}");
}

#[test]
fn requests_under_way_end_at_an_endpoint_that_has_become_unhealthy() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::start(move |visit| {
            while let Some(request) = visit.request() {
                let answer: &[u8] = if request.asks() == "GET /healthz" {
                    b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"
                } else {
                    gate.pass();
                    OK
                };
                if !visit.send(answer) {
                    return;
                }
            }
        })
    };
    let well = Patient::named("well");
    let all = endpoints(&[&origin, &well.origin]);
    let shop = format!("strategy: round_robin, endpoints: {all}");
    let proxy = Yaml::new(&shop).workers(1).start();
    let mut held: Vec<_> = (0..2).map(|_| proxy.client()).collect();
    for client in &mut held {
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    }
    eventually("a request at the endpoint", || (!origin.requests().is_empty()).then_some(()));
    let checked = Yaml::new(&format!("{shop}, health_check: {{ path: /healthz, {QUICK} }}"));
    assert_eq!(proxy.reload(&checked.to_string()).status(), 200);
    wait_for_states(&proxy, "hu");
    gate.open();
    held.iter_mut().for_each(|client| assert_eq!(client.response().status(), 200));
}

#[test]
fn unused_connections_to_an_unhealthy_endpoint_are_closed() {
    let patient = Patient::named("a");
    let shop = format!(
        "endpoints: [\"{}\"], panic_threshold_percent: 0, connection: {{ idle_timeout: 1h }}, \
         health_check: {{ type: tcp, port: PORT, {QUICK} }}",
        patient.address()
    );
    let checks = Refuser::bind();
    let shop = shop.replace("PORT", &checks.address().port().to_string());
    let proxy = Yaml::new(&shop).start();
    proxy.get("/");
    wait_for_states(&proxy, "h");
    patient.origin.wait_for_ends(1);
}

#[test]
fn no_request_is_lost_while_endpoints_come_and_go() {
    let (flaps, stays) = (Patient::named("flaps"), Patient::named("stays"));
    let proxy = patients(&[&flaps, &stays]).start();
    let (done, web) = (AtomicBool::new(false), proxy.web());
    thread::scope(|scope| {
        for post in [true, false] {
            let done = &done;
            scope.spawn(move || {
                let mut client = Client::connect(web);
                while !done.load(Ordering::SeqCst) {
                    let answer = if post { client.post("/", "one") } else { client.get("/") };
                    assert_eq!(answer.status(), 200, "{answer:?}");
                }
            });
        }
        for _ in 0..3 {
            flaps.fails();
            wait_for_states(&proxy, "hu");
            flaps.recovers();
            wait_for_states(&proxy, "uu");
        }
        done.store(true, Ordering::SeqCst);
    });
    let metrics = proxy.metrics();
    assert_eq!(metrics.sum("tillgate_retries_total", &[]), 0.0, "nothing had to be sent again either");
}
