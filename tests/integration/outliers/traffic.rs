//! Customers, some hundred requests a second of them, while endpoints fail: nobody notices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{Fickle, GOOD, UNAVAILABLE, entry_when, is_out};
use crate::retries::Mortal;
use crate::support::{Client, OK, Origin, Proxy, Yaml};

const CUSTOMERS: usize = 4;
/// Between two requests of a customer, who is no bench.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs `story` while customers ask. The answers that were not 200.
fn with_customers(proxy: &Proxy, story: impl FnOnce()) -> (usize, Vec<u16>) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stopping = Stop(&stop);
        let customers = [(); CUSTOMERS].map(|()| scope.spawn(|| ask(proxy, &stop)));
        story();
        stop.store(true, Ordering::Relaxed);
        let statuses: Vec<u16> =
            customers.into_iter().flat_map(|customer| customer.join().expect("a customer")).collect();
        let failed = statuses.iter().copied().filter(|status| *status != 200).collect();
        (statuses.len(), failed)
    })
}

fn ask(proxy: &Proxy, stop: &AtomicBool) -> Vec<u16> {
    let mut client = Client::connect(proxy.web());
    let mut statuses = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        statuses.push(client.get("/").status());
        thread::sleep(PAUSE);
    }
    statuses
}

/// Customers stop even when the story fails, so that the test ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn no_get_fails_by(strategy: &str) {
    let (fickle, mortal) = (Fickle::of(&[GOOD, UNAVAILABLE]), Mortal::start());
    let good = [Origin::answering(OK), Origin::answering(OK)];
    let addresses = [fickle.origin.address(), mortal.address(), good[0].address(), good[1].address()]
        .map(|one| format!("\"{one}\""));
    let shop = format!(
        "strategy: {strategy}, endpoints: [{}], outlier_detection: {{ base_ejection: 2s, interval: 1m }}",
        addresses.join(", ")
    );
    let retry = "retry: { attempts: 3, on: [connect_failure, reset, 503], budget_percent: 100 }";
    let proxy = Yaml::new(&shop).route(retry).start();
    let (asked, failed) = with_customers(&proxy, || {
        let all_busy = |all: &[serde_json::Value]| all.iter().all(|one| one["requests"].as_u64() > Some(20));
        proxy.endpoints_when("shop", all_busy);
        fickle.turn(UNAVAILABLE);
        mortal.kill();
        entry_when(&proxy, &fickle.origin, is_out);
        fickle.turn(GOOD);
        proxy.endpoints_when("shop", |all| is_out(&all[1]));
        let requests = fickle.origin.requests().len();
        entry_when(&proxy, &fickle.origin, |one| one["state"] == "up");
        fickle.origin.wait_for(requests + 50);
        fickle.turn(UNAVAILABLE);
        let again = entry_when(&proxy, &fickle.origin, is_out);
        assert_eq!(again["ejection"]["times"], 2, "{again}");
        assert!(again["ejection"]["for_seconds_more"].as_f64() > Some(2.0), "{again}");
    });
    assert!(failed.is_empty(), "{} of {asked} failed: {failed:?}", failed.len());
    let metrics = proxy.metrics();
    assert_eq!(metrics.count("tillgate_retries_refused_total", &[]), 0);
    let labels = [("endpoint", addresses[1].trim_matches('"'))];
    assert!(metrics.count("tillgate_ejections_total", &labels) > 0);
}

#[test]
fn no_get_fails_while_one_endpoint_answers_503_and_another_dies() {
    no_get_fails_by("round_robin");
}

#[test]
fn nor_does_one_under_least_response() {
    no_get_fails_by("least_response");
}
