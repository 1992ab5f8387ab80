//! Clients that stay with an endpoint by a cookie, on a route that hedges.

use super::*;
use crate::sticky::cookie;

fn sticky(origins: &[&Origin]) -> Yaml {
    let endpoints = endpoints(origins);
    let shop =
        format!("strategy: consistent_hash, hash: {{ on: path }}, endpoints: {endpoints}, sticky: {{}}");
    Yaml::new(&shop).route(HEDGE).workers(1)
}

fn ask_with(client: &mut Client, path: &str, value: &str) {
    client.send(format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\ncookie: tillgate={value}\r\n\r\n"));
}

#[test]
fn the_cookie_names_the_endpoint_that_answered_when_the_first_copy_wins() {
    let gate = Gate::default();
    let (slow, other) = (held("slow", &gate), stalling("other"));
    let proxy = sticky(&[&slow, &other]).start();
    let (path, elsewhere) = (stalled_at(&proxy, &slow), stalled_at(&proxy, &other));
    let mut client = proxy.client();
    ask(&mut client, "GET", &path);
    wait_for_stalled(&other, 1);
    gate.open();
    let answer = client.response();
    assert_eq!(answer.text(), "slow");
    let value = cookie(&answer, "tillgate").expect("a cookie");
    // By its path, the other one would get it.
    ask_with(&mut client, elsewhere.trim_end_matches("?stall"), &value);
    let answer = client.response();
    assert_eq!((answer.text().as_str(), cookie(&answer, "tillgate")), ("slow", None));
}

#[test]
fn the_cookie_names_the_endpoint_that_answered_when_the_second_copy_wins() {
    let (slow, other) = (stalling("slow"), quick("other"));
    let proxy = sticky(&[&slow, &other]).start();
    let path = stalled_at(&proxy, &slow);
    let mut client = proxy.client();
    let answer = client.get(&path);
    let value = cookie(&answer, "tillgate").expect("a cookie");
    ask_with(&mut client, path.trim_end_matches("?stall"), &value);
    assert_eq!((answer.text().as_str(), client.response().text().as_str()), ("other", "other"));
}

#[test]
fn a_client_that_stays_with_an_endpoint_is_not_hedged() {
    let gate = Gate::default();
    let (slow, other) = (held("slow", &gate), quick("other"));
    let proxy = sticky(&[&slow, &other]).start();
    let path = stalled_at(&proxy, &slow);
    let mut kept = proxy.client();
    let value = cookie(&kept.get(path.trim_end_matches("?stall")), "tillgate").expect("a cookie");
    ask_with(&mut kept, &path, &value);
    wait_for_stalled(&slow, 1);
    // One without the cookie is, with the same delay, after it.
    assert_eq!(proxy.get(&path).text(), "other");
    once_hedged(&proxy, 1, 0, 0);
    gate.open();
    let answer = kept.response();
    assert_eq!((answer.text().as_str(), cookie(&answer, "tillgate")), ("slow", None));
    assert_eq!(stalled(&other).len(), 1);
}
