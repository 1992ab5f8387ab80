//! What a request holds, and what may change, while it waits to be sent again.

use super::{failed, resetting};
use crate::support::{OK, Origin, Yaml, eventually};

const GET: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n";

#[test]
fn a_request_that_waits_out_a_retry_after_takes_no_place_at_another_endpoint() {
    let later = "HTTP/1.1 503 No\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    let (bad, good) = (Origin::answering(later), Origin::answering(OK));
    let endpoints =
        [&bad, &good].map(|one| format!("{{ address: \"{}\", max_connections: 1 }}", one.address()));
    let shop =
        format!("strategy: round_robin, outlier_detection: off, endpoints: [{}]", endpoints.join(", "));
    let proxy = Yaml::new(&shop).route("retry: { on: [503] }").workers(1).start();
    let mut waiting = proxy.client();
    waiting.send(GET);
    eventually("a request", || (bad.requests().len() + good.requests().len() > 0).then_some(()));
    if bad.requests().is_empty() {
        assert_eq!(waiting.response().status(), 200);
        waiting.send(GET);
        bad.wait_for(1);
    }
    let mut client = proxy.client();
    for _ in 0..20 {
        assert_ne!(client.post("/", "hello").reason(), "upstream_full");
    }
    assert_eq!(waiting.response().status(), 200);
    proxy.endpoints_when("shop", |all| all.iter().all(|one| one["in_flight"] == 0));
}

#[test]
fn with_nobody_left_after_the_pause_the_last_failure_is_passed_on() {
    let (first, second, last) = (resetting(), resetting(), Origin::answering(OK));
    let shop = format!(
        "strategy: round_robin, outlier_detection: off, \
         endpoints: [\"{}\", \"{}\", {{ address: \"{}\", backup: true }}]",
        first.address(),
        second.address(),
        last.address()
    );
    let proxy = Yaml::new(&shop).route("retry: { backoff: { base: 1s, max: 1s } }").workers(1).start();
    let change = |what: &str| {
        let path = format!("/api/v1/upstreams/shop/endpoints/{}/{what}", last.address());
        assert_eq!(proxy.admin("POST", &path).status(), 200);
    };
    let tries = || (first.requests().len(), second.requests().len());
    // The pause is a random part of a second: now and then it is over before anything can be done.
    let response = eventually("an endpoint that is drained during the pause", || {
        change("undrain");
        let (before, mut client) = (tries(), proxy.client());
        client.send(GET);
        eventually("two tries", || (tries() == (before.0 + 1, before.1 + 1)).then_some(()));
        proxy.endpoints_when("shop", |all| all.iter().all(|one| one["in_flight"] == 0));
        change("drain");
        Some(client.response()).filter(|response| response.status() != 200)
    });
    failed(&response, "reset", "maybe");
    let (first, second) = tries();
    let figures =
        proxy.endpoints_when("shop", |all| all[0]["failures"] == first && all[1]["failures"] == second);
    let requests: Vec<_> = figures.iter().filter_map(|one| one["requests"].as_u64()).collect();
    assert_eq!(requests, [first, second, last.requests().len()].map(|count| count as u64));
}
