//! A slow read is asked of a second endpoint, once, within its budget, and nothing else ever is.

mod failures;
mod limits;
mod permits;
mod sessions;

use crate::support::{
    Client, Gate, Message, Metrics, Origin, Proxy, Visit, Yaml, endpoints, eventually, ok_with,
};

const HEDGE: &str = "hedge: { after: 10ms, max_percent: 100 }";

/// Answers with `name`; where the query is `stall`, after `stall` has seen to the connection. Whether that goes on is
/// what `stall` answers.
fn origin(name: &'static str, stall: impl Fn(&mut Visit) -> bool + Send + Sync + 'static) -> Origin {
    Origin::start(move |visit| {
        while let Some(request) = visit.request() {
            let stalls = request.start_line().contains("?stall");
            if (stalls && !stall(visit)) || !visit.send(ok_with(name)) {
                return;
            }
        }
    })
}

/// Never answers what stalls, and sees the proxy close.
fn stalling(name: &'static str) -> Origin {
    origin(name, |visit| !visit.closes())
}

/// Answers what stalls when the gate opens.
fn held(name: &'static str, gate: &Gate) -> Origin {
    let gate = gate.clone();
    origin(name, move |_| {
        gate.pass();
        true
    })
}

fn quick(name: &'static str) -> Origin {
    origin(name, |_| true)
}

/// One worker, and requests that go where their path says.
fn before(origins: &[&Origin], route: &str) -> Yaml {
    let shop = format!("strategy: consistent_hash, hash: {{ on: path }}, endpoints: {}", endpoints(origins));
    Yaml::new(&shop).route(route).workers(1)
}

/// A path that goes to `wanted` first, with the query that makes it stall. What it takes to find out is not hedged however
/// busy the machine is; whoever counts requests has to count from here on.
fn stalled_at(proxy: &Proxy, wanted: &Origin) -> String {
    let mut client = proxy.client();
    let goes = |path: &String| {
        let count = wanted.requests().len();
        assert_eq!(client.post(path, "").status(), 200);
        wanted.requests().len() > count
    };
    let path = (0..64).map(|number| format!("/{number}")).find(goes).expect("one of 64 paths");
    format!("{path}?stall")
}

/// The requests that stall, of those an origin was sent.
fn stalled(origin: &Origin) -> Vec<Message> {
    origin.requests().into_iter().filter(|request| request.start_line().contains("?stall")).collect()
}

fn wait_for_stalled(origin: &Origin, count: usize) {
    eventually("requests that stall", || (stalled(origin).len() >= count).then_some(()));
}

fn ask(client: &mut Client, method: &str, path: &str) {
    client.send(format!("{method} {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n"));
}

fn hedges(metrics: &Metrics, result: &str) -> u64 {
    metrics.count("tillgate_hedges_total", &[("route", "all"), ("result", result)])
}

/// The metrics once so many second copies have come to their end; no other has come to any.
fn once_hedged(proxy: &Proxy, won: u64, lost: u64, failed: u64) -> Metrics {
    let ends = |metrics: &Metrics| ["won", "lost", "failed"].map(|result| hedges(metrics, result));
    let sum = won + lost + failed;
    let metrics = proxy.metrics_when(|metrics| ends(metrics).iter().sum::<u64>() >= sum);
    assert_eq!(ends(&metrics), [won, lost, failed]);
    metrics
}

fn of_endpoint(metrics: &Metrics, name: &str, origin: &Origin) -> u64 {
    metrics.count(name, &[("endpoint", &origin.address().to_string())])
}

#[test]
fn a_read_that_stalls_is_answered_by_another_endpoint_and_the_loser_leaves_no_trace() {
    let (slow, other) = (stalling("slow"), quick("other"));
    let proxy = before(&[&slow, &other], HEDGE).start();
    let path = stalled_at(&proxy, &slow);
    let before = [&slow, &other].map(|origin| origin.requests().len() as u64);
    let response = proxy.get(&path);
    assert_eq!((response.status(), response.text().as_str()), (200, "other"));
    assert_eq!((stalled(&slow).len(), stalled(&other).len()), (1, 1));
    let (first, second) = (&stalled(&slow)[0], &stalled(&other)[0]);
    assert_eq!(first.head, second.head, "the same request, with the same id");
    slow.wait_for_ends(1);
    let metrics = once_hedged(&proxy, 1, 0, 0);
    let figure = |name: &str, origin: &Origin| of_endpoint(&metrics, name, origin);
    assert_eq!(figure("tillgate_endpoint_requests_total", &slow), before[0] + 1);
    assert_eq!(figure("tillgate_endpoint_requests_total", &other), before[1] + 1);
    assert_eq!(figure("tillgate_endpoint_latency_seconds_count", &slow), before[0]);
    assert_eq!(figure("tillgate_endpoint_latency_seconds_count", &other), before[1] + 1);
    for origin in [&slow, &other] {
        assert_eq!(figure("tillgate_endpoint_failures_total", origin), 0);
        assert_eq!(figure("tillgate_endpoint_in_flight", origin), 0);
    }
    assert_eq!(metrics.sum("tillgate_hedge_delay_seconds", &[("route", "all")]), 0.01);
}

#[test]
fn a_head_is_hedged_and_what_is_quick_is_not() {
    let (slow, other) = (stalling("slow"), quick("other"));
    let proxy = before(&[&slow, &other], HEDGE).start();
    let path = stalled_at(&proxy, &slow);
    once_hedged(&proxy, 0, 0, 0);
    let mut client = proxy.client();
    ask(&mut client, "HEAD", &path);
    assert_eq!(client.response_to("HEAD").expect("a response").status(), 200);
    once_hedged(&proxy, 1, 0, 0);
}

#[test]
fn without_the_key_nothing_is_sent_twice() {
    let gate = Gate::default();
    let (slow, other) = (held("slow", &gate), quick("other"));
    let yaml = |route: &str| before(&[&slow, &other], route);
    let plain = yaml("max_body: 1MiB").start();
    let path = stalled_at(&plain, &slow);
    let mut client = plain.client();
    ask(&mut client, "GET", &path);
    wait_for_stalled(&slow, 1);
    // In the same time, another proxy hedges.
    assert_eq!(yaml(HEDGE).start().get(&path).text(), "other");
    assert_eq!(stalled(&other).len(), 1);
    gate.open();
    assert_eq!(client.response().text(), "slow");
    assert!(!plain.metrics().names().iter().any(|name| name.contains("hedge")));
}

#[test]
fn a_first_copy_that_answers_after_all_wins_and_the_second_is_dropped() {
    let gate = Gate::default();
    let (slow, other) = (held("slow", &gate), stalling("other"));
    let proxy = before(&[&slow, &other], HEDGE).start();
    let path = stalled_at(&proxy, &slow);
    let mut client = proxy.client();
    ask(&mut client, "GET", &path);
    wait_for_stalled(&other, 1);
    gate.open();
    assert_eq!(client.response().text(), "slow");
    other.wait_for_ends(1);
    let metrics = once_hedged(&proxy, 0, 1, 0);
    assert_eq!(of_endpoint(&metrics, "tillgate_endpoint_failures_total", &other), 0);
    assert_eq!(
        of_endpoint(&metrics, "tillgate_endpoint_requests_total", &other),
        other.requests().len() as u64
    );
}

#[test]
fn nothing_but_a_read_without_a_body_is_ever_sent_twice() {
    let gate = Gate::default();
    let (slow, other) = (held("slow", &gate), quick("other"));
    let proxy = before(&[&slow, &other], HEDGE).start();
    let path = stalled_at(&proxy, &slow);
    let requests = ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
        .map(|method| format!("{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"));
    let bodies = [
        format!("GET {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi"),
        format!("POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ];
    let mut clients = Vec::new();
    for request in requests.iter().chain(&bodies) {
        let mut client = proxy.client();
        client.send(request);
        clients.push(client);
    }
    wait_for_stalled(&slow, 7);
    // One that may be is, with the same delay, after all the others.
    assert_eq!(proxy.get(&path).text(), "other");
    once_hedged(&proxy, 1, 0, 0);
    assert_eq!((stalled(&slow).len(), stalled(&other).len()), (8, 1));
    gate.open();
    for mut client in clients {
        assert_eq!(client.response().text(), "slow");
    }
    assert_eq!(stalled(&other).len(), 1);
}

#[test]
fn a_client_that_goes_away_takes_both_copies_along() {
    let (slow, other) = (stalling("slow"), stalling("other"));
    let proxy = before(&[&slow, &other], HEDGE).start();
    let path = stalled_at(&proxy, &slow);
    let mut client = proxy.client();
    ask(&mut client, "GET", &path);
    wait_for_stalled(&other, 1);
    let busy = proxy.endpoints_when("shop", |_| true);
    assert!(busy.iter().all(|one| one["in_flight"] == 1), "{busy:?}");
    drop(client);
    slow.wait_for_ends(1);
    other.wait_for_ends(1);
    let figures = proxy.endpoints_when("shop", |all| all.iter().all(|one| one["in_flight"] == 0));
    assert!(figures.iter().all(|one| one["failures"] == 0), "{figures:?}");
    let metrics = once_hedged(&proxy, 0, 1, 0);
    for origin in [&slow, &other] {
        let count = of_endpoint(&metrics, "tillgate_endpoint_requests_total", origin);
        assert_eq!(count, origin.requests().len() as u64);
    }
}

#[test]
fn the_answer_names_the_endpoint_that_gave_it_and_its_body_comes_whole() {
    let size = 3 << 20;
    let slow = stalling("slow");
    let large = Origin::start(move |visit| {
        while let Some(request) = visit.request() {
            let body = if request.start_line().contains("?stall") { "x".repeat(size) } else { String::new() };
            if !visit
                .send(format!("HTTP/1.1 200 OK\r\nx-from: large\r\ncontent-length: {}\r\n\r\n", body.len()))
                || !visit.send(body)
            {
                return;
            }
        }
    });
    let log = tempfile::NamedTempFile::new().expect("a file");
    let proxy = before(&[&slow, &large], HEDGE)
        .line("explain_header: { addresses: [127.0.0.0/8] }")
        .line(&format!("access_log: {{ path: {}, format: json }}", log.path().display()))
        .start();
    let path = stalled_at(&proxy, &slow);
    let response = proxy.get(&path);
    assert_eq!(
        (response.status(), response.header("x-from"), response.body.len()),
        (200, Some("large"), size)
    );
    let told = response.header("x-tillgate-endpoint").expect("a header").to_owned();
    assert!(told.starts_with(&format!("{}; consistent_hash", large.address())), "{told}");
    let line = eventually("a line", || {
        let text = std::fs::read_to_string(log.path()).expect("read");
        text.lines().find(|line| line.contains("?stall")).map(str::to_owned)
    });
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["tries"], &line["status"]), (&2.into(), &200.into()));
    assert_eq!(line["endpoint"], large.address().to_string());
}

#[test]
fn the_connection_of_a_winner_serves_again() {
    let (slow, other) = (stalling("slow"), quick("other"));
    let proxy = before(&[&slow, &other], HEDGE).start();
    let path = stalled_at(&proxy, &slow);
    let mut client = proxy.client();
    for _ in 0..5 {
        assert_eq!(client.get(&path).text(), "other");
    }
    assert_eq!(other.connections(), 1);
    // Each loser has cost one.
    slow.wait_for_ends(5);
    once_hedged(&proxy, 5, 0, 0);
}

#[test]
fn a_reload_does_not_disturb_a_hedge_under_way() {
    let gate = Gate::default();
    let (slow, other) = (stalling("slow"), held("other", &gate));
    let yaml = |route: &str| before(&[&slow, &other], route);
    let proxy = yaml(HEDGE).start();
    let path = stalled_at(&proxy, &slow);
    let mut client = proxy.client();
    ask(&mut client, "GET", &path);
    wait_for_stalled(&other, 1);
    assert_eq!(proxy.reload(&yaml("hedge: off").to_string()).status(), 200);
    gate.open();
    assert_eq!(client.response().text(), "other");
    slow.wait_for_ends(1);
    let figures = proxy.endpoints_when("shop", |all| all.iter().all(|one| one["in_flight"] == 0));
    assert!(figures.iter().all(|one| one["failures"] == 0), "{figures:?}");
}

#[test]
fn a_client_without_a_host_gives_each_endpoint_its_own() {
    let (slow, other) = (stalling("slow"), quick("other"));
    let proxy = before(&[&slow, &other], HEDGE).start();
    let path = stalled_at(&proxy, &slow);
    assert_eq!(proxy.exchange(format!("GET {path} HTTP/1.0\r\n\r\n")).text(), "other");
    for origin in [&slow, &other] {
        let own = origin.address().to_string();
        assert_eq!(stalled(origin)[0].header("host"), Some(own.as_str()));
    }
}
