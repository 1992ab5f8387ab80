//! What takes an endpoint out, and what does not.

use serde_json::Value;

use super::{BROKEN, GOOD, TOO_MANY, UNAVAILABLE, ask, eject, entry_when, in_turn, is_out, settled};
use crate::support::{Gate, OK, Origin, eventually};

/// Nobody of `shop` is out, after so many requests.
fn nobody_is_out(proxy: &crate::support::Proxy, answered: u64) {
    settled(proxy, answered);
    // The figures are in; what follows from them comes with the next tick.
    let generation = proxy.generation();
    assert_eq!(ask(proxy, 1).len(), 1);
    settled(proxy, answered + 1);
    let all = proxy.endpoints_when("shop", |_| true);
    assert!(all.iter().all(|one| one["ejection"] == Value::Null), "{all:?}");
    let metrics = proxy.metrics();
    assert_eq!(metrics.count("tillgate_ejections_total", &[]), 0);
    assert_eq!(proxy.generation(), generation);
}

#[test]
fn an_endpoint_that_answers_503_is_out_within_five_of_them() {
    let (bad, good) = (Origin::answering(UNAVAILABLE), Origin::answering(OK));
    let proxy = in_turn(&[&bad, &good], "").start();
    let statuses = ask(&proxy, 10);
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 5);
    let entry = entry_when(&proxy, &bad, is_out);
    assert_eq!(entry["ejection"]["cause"], "consecutive_failures");
    assert_eq!(ask(&proxy, 20), [200; 20]);
}

#[test]
fn an_endpoint_whose_every_other_answer_fails_is_out_for_its_share() {
    let bad = Origin::start(|visit| {
        let mut fails = false;
        while visit.request().is_some() && visit.send(if fails { UNAVAILABLE } else { GOOD }) {
            fails = !fails;
        }
    });
    let good = Origin::answering(OK);
    let proxy = in_turn(&[&bad, &good], "failure_percent: 40").start();
    ask(&proxy, 80);
    let entry = entry_when(&proxy, &bad, is_out);
    assert_eq!(entry["ejection"]["cause"], "failure_percent");
}

#[test]
fn a_500_counts_where_the_others_do_not_answer_so() {
    let (bad, good) = (Origin::answering(BROKEN), Origin::answering(OK));
    let proxy = in_turn(&[&bad, &good], "").start();
    ask(&proxy, 36);
    nobody_is_out(&proxy, 36);
    ask(&proxy, 10);
    assert_eq!(entry_when(&proxy, &bad, is_out)["ejection"]["cause"], "failure_percent");
}

#[test]
fn a_page_that_fails_at_every_endpoint_takes_none_out() {
    for answer in [BROKEN, UNAVAILABLE] {
        let origins = [Origin::answering(answer), Origin::answering(answer), Origin::answering(answer)];
        let proxy = in_turn(&[&origins[0], &origins[1], &origins[2]], "").start();
        ask(&proxy, 150);
        nobody_is_out(&proxy, 150);
    }
}

#[test]
fn a_429_takes_nobody_out() {
    let (limited, good) = (Origin::answering(TOO_MANY), Origin::answering(OK));
    let proxy = in_turn(&[&limited, &good], "").start();
    ask(&proxy, 100);
    nobody_is_out(&proxy, 100);
}

#[test]
fn a_client_that_goes_away_takes_nobody_out() {
    let gate = Gate::default();
    let (held, good) = (Origin::behind(&gate), Origin::answering(OK));
    let proxy = in_turn(&[&held, &good], "consecutive_failures: 1").start();
    for sent in 1..=20 {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        let arrived = || held.requests().len() + good.requests().len();
        eventually("a request at an endpoint", || (arrived() == sent).then_some(()));
    }
    assert_eq!(held.requests().len(), 10);
    gate.open();
    nobody_is_out(&proxy, 20);
}

#[test]
fn the_only_endpoint_is_never_out() {
    let bad = Origin::answering(UNAVAILABLE);
    let proxy = in_turn(&[&bad], "").start();
    assert_eq!(ask(&proxy, 50), [503; 50]);
    nobody_is_out(&proxy, 50);
}

#[test]
fn answers_that_break_off_take_an_endpoint_out() {
    let bad = Origin::start(|visit| {
        if visit.request().is_some() {
            visit.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
        }
    });
    let good = Origin::answering(OK);
    let proxy = in_turn(&[&bad, &good], "failure_percent: 90").start();
    for _ in 0..60 {
        proxy.get("/");
    }
    assert_eq!(entry_when(&proxy, &bad, is_out)["ejection"]["cause"], "failure_percent");
}

#[test]
fn an_endpoint_much_slower_than_the_others_is_out_if_that_is_asked_for() {
    let delay = std::time::Duration::from_millis(30);
    let slow = Origin::start(move |visit| {
        while visit.request().is_some() {
            std::thread::sleep(delay);
            if !visit.send(OK) {
                return;
            }
        }
    });
    let (quick, other) = (Origin::answering(OK), Origin::answering(OK));
    let proxy =
        in_turn(&[&slow, &quick, &other], "latency_factor: 3, interval: 2s, base_ejection: 1m").start();
    assert_eq!(eject(&proxy, &slow)["ejection"]["cause"], "latency");
    assert_eq!(ask(&proxy, 20), [200; 20]);
}

#[test]
fn more_than_may_be_out_stay_and_are_counted() {
    let bad = [Origin::answering(UNAVAILABLE), Origin::answering(UNAVAILABLE)];
    let good = Origin::answering(OK);
    let proxy = in_turn(&[&bad[0], &bad[1], &good], "base_ejection: 1m").start();
    ask(&proxy, 60);
    let metrics = proxy.metrics_when(|metrics| {
        metrics.count("tillgate_ejections_not_enforced_total", &[("upstream", "shop")]) > 0
    });
    assert_eq!(metrics.sum("tillgate_endpoint_ejected", &[("upstream", "shop")]), 1.0);
    let total = [("upstream", "shop"), ("cause", "consecutive_failures")];
    assert_eq!(metrics.count("tillgate_ejections_total", &total), 1);
    assert_eq!(metrics.sum("tillgate_upstream_panic", &[("upstream", "shop")]), 0.0);
}
