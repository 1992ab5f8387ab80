//! `x-tillgate-endpoint`: told to those who may know, to nobody else, and by nobody but Tillgate.

use crate::support::{Gate, Message, OK, Origin, Proxy, Yaml, free_address};

const TOKEN: &str = "correct-horse-battery-staple";
const BY_TOKEN: &str = "explain_header: { token: correct-horse-battery-staple }";
const BY_ADDRESS: &str = "explain_header: { addresses: [127.0.0.0/8] }";

/// The answer to a GET with these lines in its head.
fn get(proxy: &Proxy, lines: &str) -> Message {
    proxy.exchange(format!("GET /a HTTP/1.1\r\nhost: shop.example\r\n{lines}\r\n"))
}

fn told(answer: &Message) -> Option<String> {
    answer.header("x-tillgate-endpoint").map(str::to_owned)
}

#[test]
fn nobody_is_told_unless_the_config_names_somebody() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    assert_eq!(told(&get(&proxy, &format!("x-tillgate-token: {TOKEN}\r\n"))), None);
    let elsewhere = "explain_header: { addresses: [203.0.113.0/24] }";
    let proxy = Yaml::of("random", &[&origin]).line(elsewhere).line("trusted_proxies: [127.0.0.0/8]").start();
    // Where a request says that it came from is not where it came from.
    assert_eq!(told(&get(&proxy, "x-forwarded-for: 203.0.113.9\r\n")), None);
}

#[test]
fn a_request_with_the_token_is_told_and_the_endpoint_never_sees_it() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).line(BY_TOKEN).start();
    let right = format!("x-tillgate-token: {TOKEN}\r\n");
    let endpoint = format!("{}; round_robin: turn, of 1", origin.address());
    assert_eq!(told(&get(&proxy, &right)), Some(endpoint.clone()));
    assert_eq!(
        told(&get(&proxy, &right.to_uppercase().replace(&TOKEN.to_uppercase(), TOKEN))),
        Some(endpoint)
    );
    for lines in [
        String::new(),
        "x-tillgate-token: correct-horse-battery-stapl\r\n".to_owned(),
        "x-tillgate-token: Correct-horse-battery-staple\r\n".to_owned(),
        "x-tillgate-token: ***\r\n".to_owned(),
        format!("{right}{right}"),
        format!("x-tillgate-token: no\r\n{right}"),
        format!("authorization: Bearer {TOKEN}\r\n"),
    ] {
        let answer = get(&proxy, &lines);
        assert_eq!((answer.status(), told(&answer)), (200, None), "{lines}");
    }
    let off = Yaml::before(&[&origin]).start();
    get(&off, &right);
    let sent = origin.requests();
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().all(|request| request.all("x-tillgate-token").is_empty()), "{sent:?}");
}

#[test]
fn a_peer_in_a_named_network_is_told_about_every_strategy() {
    let origins = [Origin::answering(OK), Origin::answering(OK)];
    let addresses = origins.each_ref().map(|origin| origin.address().to_string());
    let proxy = Yaml::before(&[&origins[0], &origins[1]]).line(BY_ADDRESS).start();
    for (strategy, why) in [
        ("round_robin", "round_robin: turn, of 2"),
        ("weighted", "weighted: turn, W 1, of 2"),
        ("random", "random: drawn, W 1, of 2"),
        ("least_connections", "least_connections: 0 in flight, W 1, of 2"),
        ("p2c", "p2c: 0 in flight, W 1, the less busy of two of 2"),
        ("consistent_hash, hash: { on: path }", "consistent_hash: hash "),
        ("consistent_hash, hash: { on: cookie, name: cart }", "consistent_hash: no key, so drawn, W 1, of 2"),
        ("least_response", "least_response: cost "),
    ] {
        let yaml = Yaml::of(strategy, &[&origins[0], &origins[1]]).line(BY_ADDRESS);
        assert_eq!(proxy.reload(&yaml.to_string()).status(), 200);
        let before = origins.each_ref().map(|origin| origin.requests().len());
        let told = told(&get(&proxy, "")).expect("a header");
        let (endpoint, rest) = told.split_once("; ").expect("an endpoint and a reason");
        let index = usize::from(origins[0].requests().len() == before[0]);
        assert_eq!(endpoint, addresses[index], "{told}");
        assert!(rest.starts_with(why), "{told}");
    }
}

#[test]
fn a_route_s_own_strategy_is_the_one_that_is_told() {
    let origin = Origin::answering(OK);
    let route = "{ name: all, match: { path_prefix: / }, upstream: shop, strategy: p2c }";
    let proxy = Yaml::before(&[&origin]).routes(route).line(BY_ADDRESS).start();
    let told = told(&get(&proxy, "")).expect("a header");
    assert!(told.contains("; p2c: "), "{told}");
}

#[test]
fn the_cost_that_is_told_is_the_one_that_was_compared() {
    let gate = Gate::default();
    let held = Origin::behind(&gate);
    let proxy = Yaml::of("least_response", &[&held]).line(BY_ADDRESS).workers(1).start();
    let mut first = proxy.client();
    first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    held.wait_for(1);
    let mut second = proxy.client();
    second.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    held.wait_for(2);
    gate.open();
    let cold = told(&first.response()).expect("a header");
    assert!(cold.contains("cost 1.00 of 1 (") && cold.contains(" W 1, 0 in flight, cold)"), "{cold}");
    let busy = told(&second.response()).expect("a header");
    assert!(busy.contains(" W 1, 1 in flight, cold)"), "not counted itself: {busy}");
}

#[test]
fn an_answer_of_tillgate_s_own_names_the_endpoint_that_failed() {
    let nowhere = free_address();
    let proxy = Yaml::before_address(nowhere).line(BY_ADDRESS).start();
    let answer = get(&proxy, "");
    assert_eq!((answer.status(), answer.reason()), (502, "connect_failed"));
    assert_eq!(told(&answer), Some(format!("{nowhere}; round_robin: turn, of 1")));
    let unrouted =
        Yaml::before_address(nowhere).routes("{ match: { path: /b }, upstream: shop }").line(BY_ADDRESS);
    assert_eq!(told(&get(&unrouted.start(), "")), None, "none was picked");
}

#[test]
fn an_endpoint_s_own_header_of_this_name_goes_nowhere() {
    let forging = Origin::answering(
        "HTTP/1.1 200 OK\r\nX-Tillgate-Endpoint: forged\r\nx-tillgate-endpoint: again\r\ncontent-length: 0\r\n\r\n",
    );
    let off = Yaml::before(&[&forging]).start();
    assert!(get(&off, "").all("x-tillgate-endpoint").is_empty());
    let on = Yaml::before(&[&forging]).line(BY_ADDRESS).start();
    assert_eq!(told(&get(&on, "")), Some(format!("{}; round_robin: turn, of 1", forging.address())));
}

#[test]
fn the_token_is_not_shown_by_the_admin_server_nor_by_a_refusal() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::before(&[&origin]).line(BY_TOKEN);
    let proxy = yaml.start();
    let page = proxy.admin_json("/api/v1/config");
    assert_eq!(page["config"]["explain_header"]["token"], "***");
    assert!(!page.to_string().contains(TOKEN));
    // The page is no config to go on with: its token would be known to all.
    assert_eq!(proxy.reload(&page["config"].to_string()).status(), 422);
    let spaced = yaml.to_string().replace(TOKEN, "correct horse battery staple");
    let mistyped = yaml.to_string().replace("explain_header: {", "explain_header: { adresses: [], ");
    for broken in [spaced, mistyped] {
        let answer = proxy.reload(&broken);
        assert_eq!(answer.status(), 422);
        assert!(answer.text().contains("explain_header"), "the line is shown: {}", answer.text());
        assert!(!answer.text().contains("horse"), "{}", answer.text());
        assert!(!proxy.admin("GET", "/api/v1/status").text().contains("horse"));
    }
}
