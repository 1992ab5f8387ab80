//! What takes an endpoint out, and what does not.

use std::io::Read;
use std::time::Duration;

use serde_json::Value;

use super::{BROKEN, GOOD, TOO_MANY, UNAVAILABLE, ask, eject, entry_when, in_turn, is_out, settled};
use crate::support::{Gate, Message, OK, Origin, Proxy, eventually};

/// Nobody of `shop` is out, after so many requests.
fn nobody_is_out(proxy: &Proxy, answered: u64) {
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

/// Has enough of a POST whose rest does not come: says `answer`, if anything, and closes. Other requests are served.
fn impatient(answer: &'static str) -> Origin {
    Origin::start(move |visit| {
        while let Some(head) = visit.request_head() {
            if head.asks().starts_with("POST") {
                // What is there is read, so that the connection is closed and not reset.
                let mut all = Vec::new();
                visit.stream.set_read_timeout(Some(Duration::from_millis(50))).expect("read timeout");
                let _ = visit.reader.read_to_end(&mut all);
                assert!(visit.send(answer) && !all.is_empty());
                return;
            }
            visit.send(OK);
        }
    })
}

/// What clients got that never sent the rest of what is `framed`, from an endpoint that says `answer` and closes. Nobody
/// is out for it.
fn half_sent(framed: &str, answer: &'static str) -> Vec<Message> {
    // One gets all the halves, and the other one answers: which is which is a matter of chance.
    let (one, other) = (impatient(answer), impatient(answer));
    let proxy = in_turn(&[&one, &other], "consecutive_failures: 1, min_requests: 5").start();
    let half = format!("POST / HTTP/1.1\r\nhost: shop.example\r\n{framed}");
    let half_then_other_s_turn = |_| {
        let got = proxy.client().send(&half).response();
        assert_eq!(proxy.get("/").status(), 200);
        got
    };
    let answers = (0..12).map(half_then_other_s_turn).collect();
    assert_eq!((one.requests().len(), other.requests().len()), (12, 12));
    nobody_is_out(&proxy, 24);
    let all = proxy.endpoints_when("shop", |_| true);
    assert!(all.iter().all(|one| one["failures"] == 0), "{all:?}");
    answers
}

#[test]
fn an_endpoint_that_has_enough_of_a_slow_upload_is_not_out() {
    for framed in ["content-length: 10\r\n\r\nx", "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n"] {
        for got in half_sent(framed, "") {
            let sent = got.header("x-tillgate-upstream-sent");
            assert_eq!((got.status(), got.reason(), sent), (502, "reset", Some("maybe")), "{}", got.head);
        }
    }
}

#[test]
fn nor_is_one_that_breaks_its_answer_off_while_the_upload_hangs() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let answers = half_sent("content-length: 10\r\n\r\nx", answer);
    assert!(answers.iter().all(|got| got.truncated), "{answers:?}");
}

#[test]
fn one_that_drops_requests_whose_body_is_whole_is_out() {
    let (bad, good) = (Origin::start(|visit| drop(visit.request())), Origin::answering(OK));
    let proxy = in_turn(&[&bad, &good], "").start();
    let mut client = proxy.client();
    let statuses: Vec<u16> = (0..10).map(|_| client.post("/", "whole").status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 5);
    assert_eq!(entry_when(&proxy, &bad, is_out)["ejection"]["cause"], "consecutive_failures");
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
fn switches_of_protocol_that_nobody_asked_for_take_an_endpoint_out() {
    let bad = Origin::start(|visit| {
        if visit.request().is_some() {
            visit.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n");
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
    let delay = Duration::from_millis(30);
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
