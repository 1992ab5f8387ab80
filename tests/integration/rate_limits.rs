//! Limits on how often a client may ask: who is counted as whom, what is answered, and what is told.

use std::thread;

use crate::support::{Client, Message, OK, Origin, Proxy, Yaml, eventually};

/// Nothing of an hour comes back while a test runs.
const TWO: &str = "rate_limit: { key: client_ip, rate: 2/h }";

fn limited(origin: &Origin, limit: &str) -> Yaml {
    Yaml::before(&[origin]).route(limit)
}

fn assert_refused(response: &Message) {
    assert_eq!((response.status(), response.reason()), (429, "rate_limited"), "{}", response.head);
    assert_eq!(response.header("x-tillgate-upstream-sent"), Some("none"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

/// The statuses of GETs with these header lines each, on one connection.
fn statuses(proxy: &Proxy, headers: &[&str]) -> Vec<u16> {
    let mut client = proxy.client();
    headers.iter().map(|lines| ask(&mut client, lines).status()).collect()
}

fn ask(client: &mut Client, lines: &str) -> Message {
    client.send(format!("GET / HTTP/1.1\r\nhost: shop.example\r\n{lines}\r\n")).response()
}

#[test]
fn who_asks_too_often_is_429_and_told_when_to_come_back() {
    let origin = Origin::answering(OK);
    let proxy = limited(&origin, TWO).start();
    let mut client = proxy.client();
    let answers = [client.get("/"), client.get("/"), client.get("/")];
    let told: Vec<_> = answers.iter().map(|answer| answer.header("ratelimit")).collect();
    assert_eq!(answers[0].header("ratelimit-policy"), Some("\"tillgate\";q=2;w=3600"));
    assert_eq!(answers[2].header("ratelimit-policy"), Some("\"tillgate\";q=2;w=3600"));
    assert_eq!(told[0], Some("\"tillgate\";r=1;t=1800"));
    let second = told[1].expect("a line");
    assert!(second.starts_with("\"tillgate\";r=0;t=3"), "{second}");
    assert_refused(&answers[2]);
    let wait: u64 = answers[2].header("retry-after").expect("a wait").parse().expect("seconds");
    assert!((1700..=1800).contains(&wait), "{wait}");
    assert!(answers[2].text().contains("rate_limited"), "{}", answers[2].text());
    assert_eq!(client.get("/").status(), 429, "the connection goes on");
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn whoever_waits_is_let_through_again() {
    let origin = Origin::answering(OK);
    let proxy = limited(&origin, "rate_limit: { key: client_ip, rate: 5/s, burst: 1 }").start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status(), 200);
    eventually("another turn", || (client.get("/").status() == 200).then_some(()));
}

#[test]
fn clients_behind_a_trusted_proxy_are_counted_each_and_ipv6_by_network() {
    let origin = Origin::answering(OK);
    let proxy = limited(&origin, TWO).line("trusted_proxies: [127.0.0.0/8]").start();
    let from = |addresses: [&str; 3]| {
        let lines = addresses.map(|address| format!("x-forwarded-for: {address}\r\n"));
        statuses(&proxy, &lines.each_ref().map(String::as_str))
    };
    assert_eq!(from(["192.0.2.1"; 3]), [200, 200, 429]);
    assert_eq!(from(["192.0.2.2", "192.0.2.3", "192.0.2.2"]), [200; 3]);
    assert_eq!(from(["2001:db8::1", "2001:db8::2", "2001:db8::3"]), [200, 200, 429]);
    assert_eq!(from(["2001:db8:0:1::1", "2001:db8:0:2::2", "2001:db8:0:3::3"]), [200; 3]);
}

#[test]
fn an_untrusted_client_gets_no_further_by_naming_others() {
    let origin = Origin::answering(OK);
    let proxy = limited(&origin, TWO).start();
    let lines =
        ["x-forwarded-for: 192.0.2.1\r\n", "x-forwarded-for: 192.0.2.2\r\n", "forwarded: for=1.2.3.4\r\n"];
    assert_eq!(statuses(&proxy, &lines), [200, 200, 429]);
}

#[test]
fn a_header_or_a_cookie_is_counted_by_its_value_and_its_lack_by_the_client() {
    let origin = Origin::answering(OK);
    let proxy = limited(&origin, "rate_limit: { key: { header: X-Api-Key }, rate: 1/h }").start();
    let (ann, bob) = ("x-api-key: ann\r\n", "X-API-KEY: bob\r\n");
    assert_eq!(statuses(&proxy, &[ann, bob, ann, bob]), [200, 200, 429, 429]);
    assert_eq!(statuses(&proxy, &["", "x-api-key:\r\n", "x-api-key: 127.0.0.1\r\n"]), [200, 429, 200]);
    let proxy = limited(&origin, "rate_limit: { key: { cookie: session }, rate: 1/h }").start();
    let (ann, bob) = ("cookie: a=1; session=ann\r\n", "cookie: session=bob\r\n");
    assert_eq!(statuses(&proxy, &[ann, bob, ann, "cookie: other=ann\r\n", ""]), [200, 200, 429, 200, 429]);
}

#[test]
fn a_request_has_to_be_within_every_limit_and_counts_for_none_when_it_is_not() {
    let origin = Origin::answering(OK);
    let limits = "rate_limit: [ { key: client_ip, rate: 3/h }, { key: { header: k }, rate: 1/h } ]";
    let proxy = limited(&origin, limits).start();
    let mut client = proxy.client();
    let first = ask(&mut client, "k: ann\r\n");
    assert_eq!(first.all("ratelimit-policy"), ["\"tillgate\";q=3;w=3600", "\"tillgate-2\";q=1;w=3600"]);
    assert_eq!(first.all("ratelimit"), ["\"tillgate\";r=2;t=1200", "\"tillgate-2\";r=0;t=3600"]);
    for _ in 0..5 {
        assert_refused(&ask(&mut client, "k: ann\r\n"));
    }
    assert_eq!(statuses(&proxy, &["k: bob\r\n", "k: cid\r\n", "k: dan\r\n"]), [200, 200, 429]);
}

#[test]
fn what_an_endpoint_says_of_its_own_limits_stands_beside() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nratelimit: \"default\";r=5\r\n\r\nok";
    let origin = Origin::answering(answer);
    let response = limited(&origin, TWO).start().get("/");
    assert_eq!(response.all("ratelimit"), ["\"default\";r=5", "\"tillgate\";r=1;t=1800"]);
}

#[test]
fn a_route_without_a_limit_says_nothing_of_one() {
    let origin = Origin::answering(OK);
    let response = Proxy::before(&[&origin]).get("/");
    assert_eq!((response.header("ratelimit"), response.header("ratelimit-policy")), (None, None));
}

#[test]
fn a_limit_belongs_to_its_route() {
    let origin = Origin::answering(OK);
    let routes = "{ match: { path_prefix: /a }, upstream: shop, rate_limit: { key: client_ip, rate: 1/h } }, \
         { match: { path_prefix: /b }, upstream: shop, rate_limit: { key: client_ip, rate: 1/h } }";
    let proxy = Yaml::before(&[&origin]).routes(routes).start();
    let mut client = proxy.client();
    let statuses = ["/a", "/b", "/a", "/b"].map(|path| client.get(path).status());
    assert_eq!(statuses, [200, 200, 429, 429]);
}

#[test]
fn a_request_over_the_limit_is_refused_before_its_body_and_blames_nobody() {
    let origin = Origin::answering(OK);
    let proxy = limited(&origin, TWO).start();
    let mut client = proxy.client();
    (0..2).for_each(|_| assert_eq!(client.get("/").status(), 200));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\nexpect: 100-continue\r\n\r\n");
    assert_refused(&client.response());
    let endpoints = proxy.endpoints_when("shop", |endpoints| endpoints[0]["requests"] == 2);
    assert_eq!((&endpoints[0]["failures"], &endpoints[0]["samples"]), (&0.into(), &2.into()));
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn all_workers_count_together() {
    let origin = Origin::answering(OK);
    let proxy = limited(&origin, "rate_limit: { key: client_ip, rate: 50/h }").workers(4).start();
    let web = proxy.web();
    let clients = [(); 8].map(|()| {
        thread::spawn(move || {
            // A connection each time, so that every worker gets some.
            (0..20).filter(|_| Client::connect(web).get("/").status() == 200).count()
        })
    });
    let through: usize = clients.into_iter().map(|client| client.join().expect("a client")).sum();
    assert_eq!((through, origin.requests().len()), (50, 50));
}

#[test]
fn a_reload_gives_nobody_a_new_burst_while_the_limit_is_the_same() {
    let origin = Origin::answering(OK);
    let yaml = limited(&origin, TWO);
    let proxy = yaml.start();
    let get = || proxy.get("/").status();
    assert_eq!([get(), get(), get()], [200, 200, 429]);
    assert_eq!(proxy.reload(&yaml.line("trusted_proxies: [10.0.0.0/8]").to_string()).status(), 200);
    assert_eq!(get(), 429);
    let other = limited(&origin, "rate_limit: { key: client_ip, rate: 3/h }");
    assert_eq!(proxy.reload(&other.to_string()).status(), 200);
    assert_eq!([get(), get(), get(), get()], [200, 200, 200, 429]);
    assert_eq!(proxy.reload(&Yaml::before(&[&origin]).to_string()).status(), 200);
    assert_eq!(get(), 200);
}

#[test]
fn refusals_and_keys_are_counted_by_route() {
    let origin = Origin::answering(OK);
    let proxy = limited(&origin, "rate_limit: { key: { header: k }, rate: 1/h }").start();
    let asked = ["k: ann\r\n", "k: ann\r\n", "k: bob\r\n", "k: ann\r\n"];
    assert_eq!(statuses(&proxy, &asked), [200, 429, 200, 429]);
    let all = [("route", "all")];
    let metrics = proxy.metrics_when(|metrics| metrics.count("tillgate_rate_limited_total", &all) == 2);
    assert_eq!(metrics.count("tillgate_rate_limit_keys", &all), 2);
    assert_eq!(metrics.count("tillgate_own_answers_total", &[("reason", "rate_limited")]), 2);
    let unlimited = Proxy::before(&[&origin]).metrics();
    assert!(!unlimited.names().contains("tillgate_rate_limit_keys"));
}

#[test]
fn a_key_that_is_quiet_again_is_forgotten() {
    let origin = Origin::answering(OK);
    let proxy = limited(&origin, "rate_limit: { key: client_ip, rate: 10/s, burst: 1 }").start();
    assert_eq!(proxy.get("/").status(), 200);
    proxy.metrics_when(|metrics| metrics.count("tillgate_rate_limit_keys", &[]) == 0);
    assert_eq!(proxy.get("/").header("ratelimit"), Some("\"tillgate\";r=0;t=1"));
}

#[test]
fn a_429_of_the_endpoint_is_not_one_of_the_limit() {
    let origin = Origin::answering("HTTP/1.1 429 Slow\r\ncontent-length: 0\r\nretry-after: 7\r\n\r\n");
    let proxy = limited(&origin, TWO).start();
    let response = proxy.get("/");
    assert_eq!((response.status(), response.reason(), response.header("retry-after")), (429, "", Some("7")));
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["failures"] == 1);
    let metrics = proxy.metrics_when(|metrics| metrics.count("tillgate_requests_total", &[]) == 1);
    assert_eq!(metrics.count("tillgate_rate_limited_total", &[]), 0);
}

#[test]
fn a_flood_of_keys_is_counted_and_refuses_nobody_elsewhere() {
    let origin = Origin::answering(OK);
    let limit = "rate_limit: { key: { header: k }, rate: 10/h, max_keys: 1024 }";
    let proxy = limited(&origin, limit).line("trusted_proxies: [127.0.0.0/8]").start();
    let lines: Vec<String> =
        (0..3000).map(|key| format!("k: {key}\r\nx-forwarded-for: 192.0.2.1\r\n")).collect();
    let flood = statuses(&proxy, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(flood.iter().filter(|status| **status == 200).count() <= 256 * 7 + 10);
    assert_eq!(statuses(&proxy, &["k: honest\r\nx-forwarded-for: 192.0.2.2\r\n"]), [200]);
    let all = [("route", "all")];
    proxy.metrics_when(|metrics| metrics.count("tillgate_rate_limit_takeovers_total", &all) > 1000);
}
