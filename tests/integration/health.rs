//! Health checks: who is asked what, what follows for requests, and what an operator is told.

mod grpc;
mod probes;
mod reload;
mod traffic;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{Message, Origin, Proxy, Yaml, endpoints, ok_with};

/// So often that a test need not wait, and deciding after few results.
pub const QUICK: &str = "interval: 100ms, rise: 2, fall: 2";

/// An endpoint that answers `/healthz` as it is told, and everything else with its name.
pub struct Patient {
    pub origin: Origin,
    answer: Arc<Mutex<Vec<u8>>>,
    /// Whether a request came while it was out.
    hit: Arc<AtomicBool>,
}

impl Patient {
    /// One that is well.
    pub fn named(name: &'static str) -> Self {
        let answer = Arc::new(Mutex::new(ok_with("well")));
        let (told, hit) = (Arc::clone(&answer), Arc::<AtomicBool>::default());
        let noted = Arc::clone(&hit);
        let origin = Origin::start(move |visit| {
            while let Some(request) = visit.request() {
                let answer = if request.asks() == "GET /healthz" {
                    told.lock().expect("answer").clone()
                } else {
                    noted.store(true, Ordering::SeqCst);
                    ok_with(name)
                };
                if !visit.send(answer) {
                    return;
                }
            }
        });
        Self { origin, answer, hit }
    }

    /// What it answers to checks from now on.
    pub fn answers(&self, bytes: impl Into<Vec<u8>>) {
        *self.answer.lock().expect("answer") = bytes.into();
    }

    pub fn fails(&self) {
        self.answers("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
    }

    pub fn recovers(&self) {
        self.answers(ok_with("well"));
    }

    /// Whether a request has come since this was asked last.
    pub fn was_hit(&self) -> bool {
        self.hit.swap(false, Ordering::SeqCst)
    }

    /// The requests that are checks.
    pub fn checks(&self) -> Vec<Message> {
        self.origin.requests().into_iter().filter(|request| request.asks() == "GET /healthz").collect()
    }

    pub fn address(&self) -> String {
        self.origin.address().to_string()
    }
}

/// `shop` takes these in turn, and checks them by these keys.
pub fn checked(keys: &str, origins: &[&Origin]) -> Yaml {
    let endpoints = endpoints(origins);
    Yaml::new(&format!("strategy: round_robin, endpoints: {endpoints}, health_check: {{ {keys} }}"))
}

/// `shop` takes these in turn, and checks `/healthz` quickly.
pub fn patients(patients: &[&Patient]) -> Yaml {
    let origins: Vec<&Origin> = patients.iter().map(|patient| &patient.origin).collect();
    checked(&format!("path: /healthz, {QUICK}"), &origins)
}

/// Waits until the endpoints of `shop` are so: each in the state that its letter stands for, `u`p or un`h`ealthy.
pub fn wait_for_states(proxy: &Proxy, states: &str) -> Vec<Value> {
    proxy.endpoints_when("shop", |all| {
        let state = |one: &Value| if one["state"] == "unhealthy" { 'h' } else { 'u' };
        all.iter().map(state).eq(states.chars())
    })
}

/// Waits until each of them has been checked so many times.
pub fn wait_for_checks(proxy: &Proxy, count: u64) -> Vec<Value> {
    proxy.endpoints_when("shop", |all| {
        all.iter().all(|one| one["health"]["checks"].as_u64().is_some_and(|checks| checks >= count))
    })
}

#[test]
fn an_endpoint_whose_check_fails_gets_nothing_until_it_passes_again() {
    let (ill, well) = (Patient::named("ill"), Patient::named("well"));
    let proxy = patients(&[&ill, &well]).start();
    let names = || (0..8).map(|_| proxy.get("/").text()).collect::<Vec<_>>();
    wait_for_checks(&proxy, 1);
    assert!(names().contains(&"ill".to_owned()));
    ill.fails();
    let endpoints = wait_for_states(&proxy, "hu");
    assert_eq!(
        (&endpoints[0]["takes_requests"], &endpoints[1]["takes_requests"]),
        (&false.into(), &true.into())
    );
    ill.was_hit();
    assert!(names().iter().all(|name| name == "well"));
    assert!(!ill.was_hit());
    ill.recovers();
    wait_for_states(&proxy, "uu");
    assert!(names().contains(&"ill".to_owned()));
}

#[test]
fn who_is_not_checked_is_not_asked_and_has_no_health() {
    let origin = Patient::named("a");
    let proxy = Proxy::before(&[&origin.origin]);
    proxy.get("/");
    let endpoints = proxy.endpoints_when("shop", |all| all[0]["requests"] == 1);
    assert_eq!(endpoints[0]["health"], Value::Null);
    assert_eq!((origin.checks().len(), origin.origin.connections()), (0, 1));
    let metrics = proxy.metrics();
    assert!(!metrics.names().iter().any(|name| name.contains("health")), "{:?}", metrics.names());
}

#[test]
fn an_operator_is_told_what_the_checks_have_found() {
    let (ill, well) = (Patient::named("ill"), Patient::named("well"));
    ill.fails();
    let proxy = patients(&[&ill, &well]).start();
    let endpoints = wait_for_states(&proxy, "hu");
    let (down, up) = (&endpoints[0]["health"], &endpoints[1]["health"]);
    assert_eq!((&down["healthy"], &up["healthy"]), (&false.into(), &true.into()));
    assert_eq!(
        (&down["last_error"], &up["last_error"]),
        (&"status 503, expected 200-399".into(), &Value::Null)
    );
    assert!(down["checks"].as_u64() >= Some(2) && down["checks"] == down["failures"], "{down}");
    assert_eq!(up["failures"], 0);
    assert!(down["since_seconds"].is_u64() && up["since_seconds"].is_u64());
    let address = ill.address();
    let metrics = proxy.metrics();
    let healthy = |endpoint: &str| {
        metrics.sum("tillgate_endpoint_healthy", &[("upstream", "shop"), ("endpoint", endpoint)])
    };
    assert_eq!((healthy(&address), healthy(&well.address())), (0.0, 1.0));
    let count = |endpoint: &str, result: &str| {
        metrics.count(
            "tillgate_health_checks_total",
            &[("upstream", "shop"), ("endpoint", endpoint), ("result", result)],
        )
    };
    assert!(count(&address, "failed") >= 2 && count(&address, "passed") == 0);
    assert!(count(&well.address(), "passed") >= 1 && count(&well.address(), "failed") == 0);
    ill.recovers();
    let endpoints = wait_for_states(&proxy, "uu");
    assert_eq!(endpoints[0]["health"]["last_error"], Value::Null);
}
