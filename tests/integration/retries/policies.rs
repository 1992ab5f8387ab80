//! `routes[].retry` and `timeouts.per_try`, key by key.

use std::time::{Duration, Instant};

use super::{failed, in_turn, resetting};
use crate::support::{Message, OK, Origin, Proxy, Refuser, Yaml, eventually};

const UNAVAILABLE: &str = "HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nlate";

/// Answers the first request with `first` and the others with OK, whatever connection they come on.
fn recovering(first: &'static str) -> Origin {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    Origin::start(move |visit| {
        while visit.request().is_some() {
            let number = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            visit.send(if number == 0 { first.as_bytes() } else { OK });
        }
    })
}

fn silent() -> Origin {
    Origin::start(|visit| {
        visit.request();
        visit.closes();
    })
}

fn put(proxy: &Proxy, body: &str) -> Message {
    let length = body.len();
    proxy.exchange(format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}"))
}

#[test]
fn off_sends_nothing_again() {
    let (nobody, origin) = (Refuser::bind(), Origin::answering(OK));
    let proxy = in_turn(nobody.address(), origin.address(), "retry: off");
    let mut statuses = [proxy.get("/").status(), proxy.get("/").status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
}

#[test]
fn a_status_is_passed_on_unless_it_is_asked_for_and_then_for_a_get_only() {
    let (bad, good) = (Origin::answering(UNAVAILABLE), Origin::answering(OK));
    let plain = in_turn(bad.address(), good.address(), "max_body: 1MiB");
    assert_eq!(plain.get("/").status() + plain.get("/").status(), 703);
    let asked = in_turn(bad.address(), good.address(), "retry: { on: [503] }");
    let mut client = asked.client();
    assert_eq!([(); 6].map(|()| client.get("/").status()), [200; 6]);
    assert!(bad.connections() <= 3, "a small answer that nobody gets costs no connection");
    let posts = [client.post("/", "hello"), client.post("/", "hello")];
    assert_eq!(posts[0].status() + posts[1].status(), 703, "{posts:?}");
    asked.metrics_when(|metrics| metrics.count("tillgate_retries_total", &[("reason", "503")]) >= 3);
}

#[test]
fn the_last_answer_is_passed_on_whole_when_all_endpoints_give_it() {
    let bad = [Origin::answering(UNAVAILABLE), Origin::answering(UNAVAILABLE)];
    let proxy = in_turn(bad[0].address(), bad[1].address(), "retry: { on: [503] }");
    let response = proxy.get("/");
    assert_eq!((response.status(), response.reason(), response.text().as_str()), (503, "", "late"));
    assert_eq!([bad[0].requests().len(), bad[1].requests().len()], [1, 1]);
}

#[test]
fn an_answer_that_nobody_gets_and_that_does_not_end_is_cut_off() {
    let endless = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 503 No\r\ncontent-length: 1000000000\r\n\r\nx");
        visit.closes();
    });
    let good = Origin::answering(OK);
    let proxy = in_turn(endless.address(), good.address(), "retry: { on: [503] }");
    assert_eq!([proxy.get("/").status(), proxy.get("/").status()], [200; 2]);
    endless.wait_for_ends(1);
}

#[test]
fn a_retry_after_of_a_second_is_waited_for_even_at_the_only_endpoint() {
    let origin = recovering("HTTP/1.1 503 No\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n");
    let proxy = Yaml::before(&[&origin]).route("retry: { on: [503] }").start();
    let start = Instant::now();
    assert_eq!(proxy.get("/").status(), 200);
    assert!(start.elapsed() >= Duration::from_secs(1), "after {:?}", start.elapsed());
}

#[test]
fn a_retry_after_that_is_too_long_is_the_client_s() {
    let later = "HTTP/1.1 503 No\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n";
    let origin = recovering(later);
    let response = Yaml::before(&[&origin]).route("retry: { on: [503] }").start().get("/");
    assert_eq!((response.status(), response.header("retry-after")), (503, Some("2")));
    let origin = recovering("HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n");
    let route = "retry: { on: [429] }, timeouts: { request: 900ms }";
    let start = Instant::now();
    assert_eq!(Yaml::before(&[&origin]).route(route).start().get("/").status(), 429);
    assert!(start.elapsed() < Duration::from_millis(900), "after {:?}", start.elapsed());
}

#[test]
fn a_hung_endpoint_costs_a_get_one_per_try_and_a_post_the_answer() {
    let (hung, good) = (silent(), Origin::answering(OK));
    let route = "retry: { on: [timeout] }, timeouts: { per_try: 300ms }";
    let proxy = in_turn(hung.address(), good.address(), route);
    let start = Instant::now();
    assert_eq!([proxy.get("/").status(), proxy.get("/").status()], [200; 2]);
    let took = start.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&took), "after {took:?}");
    let posts = [proxy.client().post("/", "hello"), proxy.client().post("/", "hello")];
    let lost = posts.iter().find(|response| response.status() == 504).expect("a lost one");
    failed(lost, "per_try_timeout", "maybe");
    hung.wait_for_ends(2);
}

#[test]
fn per_try_does_not_hurry_a_client_that_sends_slowly() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("timeouts: { per_try: 100ms }").start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe");
    let start = Instant::now();
    eventually("three times per_try", || (start.elapsed() > Duration::from_millis(300)).then_some(()));
    assert_eq!(client.send("llo").response().status(), 200);
}

#[test]
fn per_try_counts_from_the_last_byte_of_an_upload() {
    let hung = silent();
    let proxy = Yaml::before(&[&hung]).route("timeouts: { per_try: 200ms }").start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe");
    let start = Instant::now();
    failed(&client.send("llo").response(), "per_try_timeout", "maybe");
    let took = start.elapsed();
    assert!((Duration::from_millis(200)..Duration::from_secs(5)).contains(&took), "after {took:?}");
}

#[test]
fn a_body_is_sent_again_only_where_the_route_keeps_it_and_it_is_small_enough() {
    let (broken, good) = (resetting(), Origin::answering(OK));
    for (route, status) in
        [("max_body: 1MiB", 502), ("retry: { max_body: 5 }", 200), ("retry: { max_body: 4 }", 502)]
    {
        let proxy = in_turn(broken.address(), good.address(), route);
        let mut statuses = [put(&proxy, "hello").status(), put(&proxy, "hello").status()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, status], "{route}");
    }
    assert!(good.requests().iter().all(|request| request.text() == "hello"));
}

#[test]
fn a_body_that_is_still_under_way_is_not_sent_again() {
    let (broken, good) = (Origin::start(|visit| drop(visit.request_head())), Origin::answering(OK));
    let proxy = in_turn(broken.address(), good.address(), "retry: { max_body: 1MiB }");
    let lost = [(); 2].map(|()| {
        let (bad, well) = (broken.requests().len(), good.connections());
        let mut client = proxy.client();
        client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello");
        let went_wrong = eventually("a place", || {
            let (bad, well) = (broken.requests().len() > bad, good.connections() > well);
            (bad || well).then_some(bad)
        });
        client.try_send("world");
        (went_wrong, client.response())
    });
    let (_, response) = lost.iter().find(|(went_wrong, _)| *went_wrong).expect("one of two in turn");
    failed(response, "reset", "maybe");
}

#[test]
fn the_budget_bounds_how_many_are_sent_again_and_outlives_a_reload() {
    let bad = [Origin::answering(UNAVAILABLE), Origin::answering(UNAVAILABLE)];
    let yaml = Yaml::before(&bad.each_ref()).route("retry: { attempts: 1, on: [503], budget_percent: 10 }");
    let proxy = yaml.workers(1).start();
    let mut client = proxy.client();
    let start = Instant::now();
    let ask = |client: &mut crate::support::Client| {
        assert!((0..100).all(|_| client.get("/").status() == 503));
        bad.iter().map(|origin| origin.requests().len()).sum::<usize>()
    };
    let first = ask(&mut client) - 100;
    let edited = proxy.reload(&proxy_yaml(&bad));
    assert_eq!(edited.status(), 200, "{}", edited.text());
    let both = ask(&mut client) - 200;
    let earned = 20.0 + 10.0 * start.elapsed().as_secs_f64();
    assert!(first >= 18, "the reserve and a tenth: {first}");
    assert!(both as f64 <= 10.0 + earned, "{both} of 200 in {:?}", start.elapsed());
    let refused = [("upstream", "shop")];
    let metrics = proxy.metrics_when(|metrics| {
        let sent = metrics.count("tillgate_retries_total", &refused);
        sent + metrics.count("tillgate_retries_refused_total", &refused) == 200
    });
    assert_eq!(metrics.count("tillgate_retries_total", &refused), both as u64);
}

/// The same upstream with another strategy.
fn proxy_yaml(bad: &[Origin; 2]) -> String {
    let route = "retry: { attempts: 1, on: [503], budget_percent: 10 }";
    Yaml::of("random", &bad.each_ref()).route(route).workers(1).to_string()
}

#[test]
fn whoever_goes_away_before_a_retry_is_counted_once_at_the_endpoint_that_failed() {
    let origin = recovering("HTTP/1.1 503 No\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n");
    let proxy = Yaml::before(&[&origin]).route("retry: { on: [503] }").start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    proxy.metrics_when(|metrics| metrics.count("tillgate_retries_total", &[("reason", "503")]) == 1);
    drop(client);
    proxy.metrics_when(|metrics| metrics.count("tillgate_requests_total", &[("route", "all")]) == 1);
    let counted = &proxy.endpoints_when("shop", |_| true)[0]["requests"];
    // Two where it went out again before its client went away.
    assert_eq!(counted.as_u64(), Some(origin.requests().len() as u64));
}
