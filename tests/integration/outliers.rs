//! Live traffic takes an endpoint out that does worse than its siblings, and it returns.

mod lifetime;
mod signs;
mod traffic;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::{OK, Origin, Proxy, Yaml, endpoints};

/// An origin whose answer changes under way.
pub struct Fickle {
    pub origin: Origin,
    answers: &'static [&'static str],
    current: Arc<AtomicUsize>,
}

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const UNAVAILABLE: &str = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
const TOO_MANY: &str = "HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n";

impl Fickle {
    /// Answers with the first of `answers` until told otherwise.
    pub fn of(answers: &'static [&'static str]) -> Self {
        let current = Arc::<AtomicUsize>::default();
        let shared = Arc::clone(&current);
        let origin = Origin::start(move |visit| {
            while visit.request().is_some() && visit.send(answers[shared.load(Ordering::SeqCst)]) {}
        });
        Self { origin, answers, current }
    }

    /// From now on it answers like this.
    pub fn turn(&self, answer: &str) {
        let index = self.answers.iter().position(|one| *one == answer).expect("one of its answers");
        self.current.store(index, Ordering::SeqCst);
    }
}

/// One worker that takes `origins` in turn; `detection` is that of the upstream, as in `base_ejection: 1s`.
pub fn in_turn(origins: &[&Origin], detection: &str) -> Yaml {
    let shop = format!(
        "strategy: round_robin, outlier_detection: {{ {detection} }}, endpoints: {}",
        endpoints(origins)
    );
    Yaml::new(&shop).workers(1)
}

/// So many GETs, one after another. Their statuses.
pub fn ask(proxy: &Proxy, count: usize) -> Vec<u16> {
    let mut client = proxy.client();
    (0..count).map(|_| client.get("/").status()).collect()
}

/// The entry of `origin`, once `ready` likes it.
pub fn entry_when(proxy: &Proxy, origin: &Origin, ready: impl Fn(&Value) -> bool) -> Value {
    let address = origin.address().to_string();
    let of = |all: &[Value]| all.iter().find(|one| one["address"] == address.as_str()).cloned();
    let all = proxy.endpoints_when("shop", |all| of(all).is_some_and(|one| ready(&one)));
    of(&all).expect("its entry")
}

pub fn is_out(entry: &Value) -> bool {
    entry["state"] == "ejected"
}

/// Asks until `origin` is out.
pub fn eject(proxy: &Proxy, origin: &Origin) -> Value {
    entry_when(proxy, origin, |entry| {
        if !is_out(entry) {
            ask(proxy, 5);
        }
        is_out(entry)
    })
}

/// Waits until everything that was asked so far is in the figures, and what each endpoint was sent.
pub fn settled(proxy: &Proxy, answered: u64) -> Vec<u64> {
    proxy.metrics_when(|metrics| metrics.count("tillgate_requests_total", &[("route", "all")]) >= answered);
    let all = proxy.endpoints_when("shop", |_| true);
    all.iter().map(|one| one["requests"].as_u64().expect("a count")).collect()
}

#[test]
fn a_dead_endpoint_gets_nothing_more_once_it_is_out() {
    let (dead, good) = (crate::support::Refuser::bind(), Origin::answering(OK));
    let shop = format!("strategy: round_robin, endpoints: [\"{}\", \"{}\"]", dead.address(), good.address());
    // Half of all requests go out twice until then.
    let proxy = Yaml::new(&shop).route("retry: { budget_percent: 100 }").workers(1).start();
    let asked = Cell::new(0);
    let out = proxy.endpoints_when("shop", |all| {
        asked.set(asked.get() + 10);
        assert_eq!(ask(&proxy, 10), [200; 10]);
        is_out(&all[0])
    });
    assert_eq!(out[0]["ejection"]["cause"], "consecutive_failures");
    assert_eq!(out[0]["ejection"]["times"], 1);
    assert_eq!((&out[0]["takes_requests"], &out[1]["ejection"]), (&false.into(), &Value::Null));
    let before = settled(&proxy, asked.get());
    assert_eq!(ask(&proxy, 300), [200; 300]);
    let after = settled(&proxy, asked.get() + 300);
    assert_eq!((after[0], after[1]), (before[0], before[1] + 300), "{out:?}");
}
