//! How many copies there may be, and where there are none.

use super::*;

pub fn refused(metrics: &Metrics, cause: &str) -> u64 {
    metrics.count("tillgate_hedges_refused_total", &[("route", "all"), ("cause", cause)])
}

#[test]
fn no_more_copies_are_sent_than_the_budget_has_for_them() {
    let gate = Gate::default();
    let (slow, other) = (held("slow", &gate), quick("other"));
    let route = "hedge: { after: 10ms, max_percent: 50 }";
    let yaml = before(&[&slow, &other], route).workers(2);
    let path = stalled_at(&before(&[&slow, &other], "hedge: off").start(), &slow);
    let proxy = yaml.start();
    // Over both workers, and over a reload.
    let mut clients = [(); 8].map(|()| proxy.client());
    clients[..4].iter_mut().for_each(|client| ask(client, "GET", &path));
    wait_for_stalled(&slow, 4);
    assert_eq!(proxy.reload(&yaml.line("trusted_proxies: [10.0.0.0/8]").to_string()).status(), 200);
    clients[4..].iter_mut().for_each(|client| ask(client, "GET", &path));
    wait_for_stalled(&other, 4);
    // Four wait on, and each is looked at four times; the first look at the others came to nothing either.
    let metrics = proxy.metrics_when(|metrics| refused(metrics, "budget") >= 4 * 4 + 4);
    assert_eq!(hedges(&metrics, "won"), 4);
    gate.open();
    let answers = clients.map(|mut client| client.response().text());
    assert_eq!(answers.iter().filter(|answer| *answer == "slow").count(), 4, "{answers:?}");
    assert_eq!((stalled(&slow).len(), stalled(&other).len()), (8, 4));
    once_hedged(&proxy, 4, 0, 0);
}

#[test]
fn a_pool_that_lacks_more_than_a_quarter_is_left_alone() {
    let gate = Gate::default();
    let (slow, other, drained) = (held("slow", &gate), quick("other"), quick("drained"));
    let proxy = before(&[&slow, &other, &drained], HEDGE).start();
    let change = |what: &str| {
        let path = format!("/api/v1/upstreams/shop/endpoints/{}/{what}", drained.address());
        assert_eq!(proxy.admin("POST", &path).status(), 200);
    };
    change("drain");
    let path = stalled_at(&proxy, &slow);
    let mut client = proxy.client();
    ask(&mut client, "GET", &path);
    proxy.metrics_when(|metrics| refused(metrics, "unfit") == 4);
    gate.open();
    assert_eq!(client.response().text(), "slow");
    assert_eq!(stalled(&other).len() + stalled(&drained).len(), 0);
}

#[test]
fn with_nobody_else_to_ask_the_first_copy_is_waited_for() {
    let gate = Gate::default();
    let slow = held("slow", &gate);
    let proxy = before(&[&slow], HEDGE).start();
    let path = stalled_at(&proxy, &slow);
    let mut client = proxy.client();
    ask(&mut client, "GET", &path);
    proxy.metrics_when(|metrics| refused(metrics, "no_endpoint") == 4);
    gate.open();
    assert_eq!(client.response().text(), "slow");
    assert_eq!(stalled(&slow).len(), 1);
}

#[test]
fn a_measured_delay_is_known_after_a_hundred_reads_and_kept_over_a_reload() {
    let gate = Gate::default();
    let (slow, other) = (held("slow", &gate), quick("other"));
    let yaml = before(&[&slow, &other], "hedge: { after: p95, max_percent: 100 }");
    let proxy = yaml.start();
    let path = stalled_at(&proxy, &slow);
    let mut first = proxy.client();
    ask(&mut first, "GET", &path);
    wait_for_stalled(&slow, 1);
    let knows = |metrics: &Metrics| metrics.names().contains("tillgate_hedge_delay_seconds");
    assert!(!knows(&proxy.metrics()), "too little is known");
    let mut client = proxy.client();
    (0..100).for_each(|_| assert_eq!(client.get("/").status(), 200));
    let metrics = proxy.metrics_when(knows);
    let delay = metrics.sum("tillgate_hedge_delay_seconds", &[("route", "all")]);
    assert!((0.001..1.0).contains(&delay), "{delay}");
    assert_eq!(proxy.reload(&yaml.line("trusted_proxies: [10.0.0.0/8]").to_string()).status(), 200);
    assert!(knows(&proxy.metrics()));
    assert_eq!(client.get(&path).text(), "other");
    once_hedged(&proxy, 1, 0, 0);
    // The one that came too early has no second copy.
    gate.open();
    assert_eq!(first.response().text(), "slow");
    assert_eq!(stalled(&other).len(), 1);
}
