//! Reloads while many clients talk: not a request is lost, and not one is counted twice.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};

use crate::support::{Client, Origin, Proxy, Yaml};

/// Clients with a connection each, and clients with a connection for each request.
const CLIENTS: u64 = 3;
pub const STRATEGIES: [&str; 7] = [
    "round_robin",
    "weighted",
    "random",
    "least_connections",
    "p2c",
    "least_response",
    "consistent_hash, hash: { on: path }",
];

/// Asks for targets that nobody else asks for, until told to stop. Returns how many were answered.
fn ask(web: SocketAddr, client: u64, keep: bool, stop: &AtomicBool, sent: &AtomicU64) -> u64 {
    let (mut connection, mut count) = (Client::connect(web), 0);
    while !stop.load(Ordering::Relaxed) {
        let target = format!("/r{}/{client}/{count}", count % 10);
        let response = connection.get(&target);
        assert_eq!(response.status(), 200, "{target}: {} {}", response.head, response.text());
        let text = response.text();
        let (origin, echoed) = text.split_once(' ').expect("an echo");
        assert!(["a", "b", "c", "d"].contains(&origin) && echoed == target, "{target}: {text}");
        count += 1;
        sent.fetch_add(1, Ordering::Relaxed);
        if !keep || response.header("connection") == Some("close") {
            connection = Client::connect(web);
        }
    }
    count
}

/// Runs `change` while clients ask. Returns how many requests were answered.
pub(super) fn under_load(web: SocketAddr, change: impl FnOnce(&AtomicU64)) -> u64 {
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        // Clients stop even when the change panics, so that the test ends.
        let _stopping = Stop(&stop);
        let clients: Vec<ScopedJoinHandle<'_, u64>> = (0..2 * CLIENTS)
            .map(|client| {
                scope.spawn({
                    let (stop, sent) = (&stop, &sent);
                    move || ask(web, client, client % 2 == 0, stop, sent)
                })
            })
            .collect();
        change(&sent);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("no request is lost")).sum()
    })
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until more requests have been answered, so that each change meets traffic.
pub(super) fn let_some_through(sent: &AtomicU64) {
    let before = sent.load(Ordering::Relaxed);
    crate::support::eventually("traffic", || (sent.load(Ordering::Relaxed) >= before + 10).then_some(()));
}

/// The config of turn `turn`: strategy, endpoints, weights, routes and listeners all differ from the turn before.
fn turn(turn: usize, origins: &[Origin; 4]) -> Yaml {
    let some = origins.iter().enumerate().filter(|(index, _)| turn % 5 != *index);
    let endpoint = |(index, origin): (usize, &Origin)| {
        format!("{{ address: \"{}\", weight: {} }}", origin.address(), 1 + (turn + index) % 3)
    };
    let endpoints: Vec<String> = some.map(endpoint).collect();
    let shop = format!("strategy: {}, endpoints: [{}]", STRATEGIES[turn % 7], endpoints.join(", "));
    let other = format!("other: {{ endpoints: [\"{}\"] }}", origins[turn % 4].address());
    let routes = format!(
        "{{ name: all, match: {{ path_prefix: / }}, upstream: shop }}, \
         {{ name: some, match: {{ path_prefix: /r{} }}, upstream: other }}",
        turn % 10
    );
    let extra = if turn.is_multiple_of(2) { ", extra: { address: \"127.0.0.1:0\" }" } else { "" };
    Yaml::new(&shop)
        .upstream(&other)
        .routes(&routes)
        .listeners(&format!("web: {{ address: \"127.0.0.1:0\" }}{extra}"))
}

#[test]
fn a_hundred_reloads_under_load_lose_no_request_and_miscount_none() {
    let origins = ["a", "b", "c", "d"].map(Origin::echoing);
    let proxy = turn(0, &origins).start();
    let answered = under_load(proxy.web(), |sent| {
        for number in 1..=100 {
            let answer = proxy.reload(&turn(number, &origins).to_string());
            assert_eq!(answer.status(), 200, "{}", answer.text());
            let_some_through(sent);
        }
    });
    assert_eq!(proxy.generation(), 101);
    let web = [("listener", "web")];
    let metrics = proxy.metrics_when(|now| now.count("tillgate_listener_requests_total", &web) >= answered);
    assert_eq!(metrics.count("tillgate_listener_requests_total", &web), answered);
    // Both routes were there all the time.
    assert_eq!(metrics.count("tillgate_requests_total", &[("code", "2xx")]), answered);
    assert_eq!(metrics.count("tillgate_requests_total", &[]), answered);
    assert_eq!(metrics.count("tillgate_records_lost_total", &[]), 0);
    let reached: usize = origins.iter().map(|origin| origin.requests().len()).sum();
    assert_eq!(reached as u64, answered);
}

#[test]
fn ten_thousand_routes_can_be_reloaded_under_load() {
    let origins = ["a", "b", "c", "d"].map(Origin::echoing);
    let yaml = Yaml::of("round_robin", &[&origins[0], &origins[1]]);
    let last = Yaml::of("round_robin", &[&origins[0], &origins[1]])
        .upstream(&format!("deep: {{ endpoints: [\"{}\"] }}", origins[3].address()));
    let many: String =
        (0..9_999).map(|n| format!("{{ match: {{ path: /deep/{n} }}, upstream: deep }}, ")).collect();
    let last = last.routes(&format!("{many}{{ name: all, match: {{ path_prefix: / }}, upstream: shop }}"));
    let proxy = yaml.start();
    let answered = under_load(proxy.web(), |sent| {
        let answer = proxy.reload(&last.to_string());
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let_some_through(sent);
    });
    assert!(answered > 0);
    assert_eq!(proxy.get("/deep/9998").text(), "d /deep/9998");
    assert_eq!(
        proxy.get("/deep/9999").text().split_once(' ').map(|(_, path)| path.to_owned()),
        Some("/deep/9999".into())
    );
    assert!(origins[3].requests().len() == 1, "only the route that names it leads there");
}

#[test]
fn a_listener_that_is_renamed_under_load_loses_no_request_on_its_address() {
    let origins = ["a", "b", "c", "d"].map(Origin::echoing);
    let address = crate::support::free_address();
    let yaml = Yaml::of("round_robin", &[&origins[0], &origins[1]]);
    let named =
        |name: &str| yaml.clone().listeners(&format!("{name}: {{ address: \"{address}\" }}")).to_string();
    let proxy = Proxy::start(&named("web"));
    under_load(address, |sent| {
        for number in 0..100 {
            let name = ["shop", "web"][number % 2];
            assert_eq!(proxy.reload(&named(name)).status(), 200);
            let_some_through(sent);
        }
    });
}
