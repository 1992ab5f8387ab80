//! Faults happen as asked for, and spare what they should.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Folder, ORDER, PAYMENT, Replica, until};

#[test]
fn error_percent_100_fails_every_request_but_not_healthz_and_spares_the_store() {
    let folder = Folder::new();
    let failing = Replica::start(PAYMENT, &folder.store(), &["--error-percent", "100"]);
    let sound = Replica::start(PAYMENT, &folder.store(), &[]);
    let charge = json!({ "order_id": 1, "amount_cents": 1, "currency": "EUR" });
    for _ in 0..5 {
        failing.post_keyed("/payments", "buy-1", &charge).assert_refused(500, "injected");
        assert_eq!(failing.get("/healthz").expect(200), json!({ "status": "ok" }));
    }
    sound.get("/payments/1").assert_refused(404, "not_found");
}

#[test]
fn the_same_seed_fails_the_same_requests() {
    let statuses = |seed: &str| {
        let folder = Folder::new();
        let replica = Replica::start(ORDER, &folder.store(), &["--error-percent", "50", "--seed", seed]);
        (0..40).map(|_| replica.get("/products").status).collect::<Vec<_>>()
    };
    let first = statuses("7");
    assert!(first.contains(&200) && first.contains(&500), "{first:?}");
    assert_eq!(statuses("7"), first);
    assert_ne!(statuses("8"), first);
}

#[test]
fn latency_is_added_to_answers() {
    let folder = Folder::new();
    let replica = Replica::start(ORDER, &folder.store(), &["--latency", "60ms", "--jitter", "5ms"]);
    assert!(took(|| replica.get("/products").expect(200)) >= Duration::from_millis(60));
}

#[test]
fn a_stall_holds_healthz_too() {
    let folder = Folder::new();
    let replica = Replica::start(
        ORDER,
        &folder.store(),
        &["--stall-every", "1s", "--stall-for", "600ms", "--seed", "1"],
    );
    until("an answer is held", || {
        let held = took(|| replica.get("/healthz").expect(200));
        (held >= Duration::from_millis(300)).then_some(())
    });
}

#[test]
fn options_that_make_no_sense_are_refused_at_the_start() {
    let bad: [&[&str]; 4] = [
        &["--error-percent", "101"],
        &["--latency", "5"],
        &["--stall-every", "2s"],
        &["--stall-every", "1s", "--stall-for", "1s"],
    ];
    for options in bad {
        let ended =
            Command::new(ORDER).args(["--store", ":memory:"]).args(options).output().expect("it starts");
        assert!(!ended.status.success() && !ended.stderr.is_empty(), "{options:?}");
    }
}

fn took<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
