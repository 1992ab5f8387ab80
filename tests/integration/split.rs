//! Routes whose requests several upstreams share.

use crate::sticky::{cookie, get_with};
use crate::support::{Message, Origin, Proxy, Refuser, Yaml};

/// `shop` is the first origin, `next` the second; the route `all` splits between them by these weights.
fn yaml(addresses: [String; 2], weights: [u32; 2], keys: &str) -> Yaml {
    let [shop, next] = addresses;
    let [a, b] = weights;
    Yaml::new(&format!("endpoints: [\"{shop}\"]"))
        .upstream(&format!("next: {{ endpoints: [\"{next}\"] }}"))
        .routes(&format!(
            "{{ name: all, split: [ {{ upstream: shop, weight: {a} }}, {{ upstream: next, weight: {b} }} ]{keys} }}"
        ))
}

fn addresses(origins: &[Origin; 2]) -> [String; 2] {
    origins.each_ref().map(|origin| origin.address().to_string())
}

fn who(answer: &Message) -> String {
    assert_eq!(answer.status(), 200, "{}", answer.head);
    answer.text().split(' ').next().unwrap_or_default().to_owned()
}

fn counted(proxy: &Proxy) -> [u64; 2] {
    let metrics = proxy.metrics();
    ["shop", "next"].map(|upstream| {
        metrics.count("tillgate_split_requests_total", &[("route", "all"), ("upstream", upstream)])
    })
}

#[test]
fn each_upstream_gets_its_share_and_weight_zero_none() {
    let origins = ["a", "b"].map(Origin::echoing);
    let proxy = yaml(addresses(&origins), [80, 20], "").start();
    let mut client = proxy.client();
    let answered: Vec<String> = (0..1000).map(|_| who(&client.get("/"))).collect();
    let next = answered.iter().filter(|name| *name == "b").count();
    // Twelve point six is the standard deviation; this is six of them.
    assert!((124..=276).contains(&next), "{next} of 1000");
    assert_eq!(counted(&proxy), [1000 - next as u64, next as u64]);
    let none = yaml(addresses(&origins), [1, 0], "").start();
    let mut client = none.client();
    assert!((0..100).all(|_| who(&client.get("/")) == "a"));
}

#[test]
fn a_retry_stays_within_the_upstream_that_was_drawn() {
    let (dead, alive) = (Refuser::bind(), Origin::echoing("b"));
    let proxy = yaml([dead.address().to_string(), alive.address().to_string()], [1, 1], "").start();
    let mut client = proxy.client();
    let statuses: Vec<u16> = (0..60).map(|_| client.get("/").status()).collect();
    let good = statuses.iter().filter(|status| **status == 200).count();
    assert!(statuses.iter().all(|status| [200, 502].contains(status)), "{statuses:?}");
    assert_eq!(good, alive.requests().len(), "none but its own");
    // One side of sixty draws is empty once in 10^18.
    assert!((1..60).contains(&good), "{good}");
}

#[test]
fn a_client_with_a_split_cookie_stays_with_its_upstream() {
    let origins = ["a", "b"].map(Origin::echoing);
    let proxy = yaml(addresses(&origins), [1, 1], ", split_cookie: { name: side, ttl: 90s }").start();
    let mut client = proxy.client();
    let first = client.get("/");
    let value = cookie(&first, "side").expect("a cookie");
    assert!(first.head.contains("; Max-Age=90; "), "{}", first.head);
    for _ in 0..30 {
        let answer = get_with(&mut client, &format!("x=1; side={value}"));
        assert_eq!((who(&answer), cookie(&answer, "side")), (who(&first), None));
    }
    let kept = if who(&first) == "a" { &origins[0] } else { &origins[1] };
    let request = kept.requests().pop().expect("a request");
    assert_eq!(request.all("cookie"), ["x=1"], "no endpoint sees it");
    let made_up: Vec<Message> = (0..40).map(|_| get_with(&mut client, "side=made-up")).collect();
    assert!(made_up.iter().all(|answer| cookie(answer, "side").is_some()));
    let sides: Vec<String> = made_up.iter().map(who).collect();
    assert!(sides.iter().any(|side| *side == "a") && sides.iter().any(|side| *side == "b"), "{sides:?}");
}

#[test]
fn nobody_stays_with_an_upstream_of_weight_zero() {
    let origins = ["a", "b"].map(Origin::echoing);
    let keys = ", split_cookie: { name: side }";
    let proxy = yaml(addresses(&origins), [0, 1], keys).start();
    let mut client = proxy.client();
    let first = client.get("/");
    let value = cookie(&first, "side").expect("a cookie");
    assert_eq!(who(&first), "b");
    assert_eq!(proxy.reload(&yaml(addresses(&origins), [1, 0], keys).to_string()).status(), 200);
    let moved = get_with(&mut client, &format!("side={value}"));
    assert_eq!((who(&moved).as_str(), cookie(&moved, "side").is_some()), ("a", true));
    assert_eq!(counted(&proxy), [1, 1], "what was counted outlives a reload");
}

#[test]
fn a_split_and_a_sticky_upstream_have_a_cookie_each() {
    let origins = ["a", "b"].map(Origin::echoing);
    let config = yaml(addresses(&origins), [1, 1], ", split_cookie: { name: side }").to_string();
    let proxy = Proxy::start(
        &config
            .replace("next: { ", "next: { sticky: {}, ")
            .replace("shop: { endpoints", "shop: { sticky: { cookie: other }, endpoints"),
    );
    let answer = proxy.get("/");
    let own = if who(&answer) == "a" { "other" } else { "tillgate" };
    assert!(cookie(&answer, "side").is_some() && cookie(&answer, own).is_some(), "{}", answer.head);
    assert_eq!(answer.all("set-cookie").len(), 2);
}
