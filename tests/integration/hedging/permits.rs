//! Copies on an upstream that bounds what it has in flight: each has a permit, and none where anybody waits for one.

use super::limits::refused;
use super::*;

const ADMISSION: &str = "/api/v1/upstreams";

/// Each endpoint with a bound of its own, and more of the upstream.
fn bounded(origins: &[&Origin], most: u32, more: &str) -> Yaml {
    let one = |origin: &&Origin| format!("{{ address: \"{}\", max_connections: {most} }}", origin.address());
    let endpoints: Vec<String> = origins.iter().map(one).collect();
    let shop = format!(
        "strategy: consistent_hash, hash: {{ on: path }}, endpoints: [{}], {more}",
        endpoints.join(", ")
    );
    Yaml::new(&shop).route(HEDGE).workers(1)
}

fn when(proxy: &Proxy, in_flight: u64, waiting: u64) {
    proxy.admin_when(ADMISSION, |page| {
        let admission = &page["upstreams"][0]["admission"];
        admission["in_flight"] == in_flight && admission["waiting"] == waiting
    });
}

#[test]
fn a_request_waits_in_the_queue_while_a_second_copy_has_the_last_place() {
    let gate = Gate::default();
    let (slow, other) = (held("slow", &gate), stalling("other"));
    let proxy = bounded(&[&slow, &other], 1, "queue: { max_waiting: 100, timeout: 20s }").start();
    let path = stalled_at(&proxy, &slow);
    let (mut read, mut post) = (proxy.client(), proxy.client());
    ask(&mut read, "GET", &path);
    wait_for_stalled(&other, 1);
    when(&proxy, 2, 0);
    post.send("POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 2\r\n\r\nhi");
    when(&proxy, 2, 1);
    gate.open();
    assert_eq!((read.response().status(), post.response().status()), (200, 200));
    once_hedged(&proxy, 0, 1, 0);
    when(&proxy, 0, 0);
}

#[test]
fn the_permit_of_a_second_copy_comes_back_once_whichever_copy_wins_or_fails() {
    let broken = origin("broken", |_| false);
    let (slow, other) = (stalling("slow"), quick("other"));
    let queue = "queue: { max_in_flight: 3, max_waiting: 100, timeout: 20s }";
    // The second copy wins.
    let proxy = bounded(&[&slow, &other], 9, queue).start();
    let path = stalled_at(&proxy, &slow);
    for _ in 0..3 {
        assert_eq!(proxy.get(&path).text(), "other");
    }
    once_hedged(&proxy, 3, 0, 0);
    when(&proxy, 0, 0);
    // The second copy fails, and the first has one permit from then on.
    let proxy = bounded(&[&slow, &broken], 9, queue).start();
    let path = stalled_at(&proxy, &slow);
    let mut client = proxy.client();
    ask(&mut client, "GET", &path);
    once_hedged(&proxy, 0, 0, 1);
    when(&proxy, 1, 0);
    // The client goes away.
    drop(client);
    when(&proxy, 0, 0);
}

#[test]
fn no_second_copy_is_sent_while_somebody_waits() {
    let gate = Gate::default();
    let (slow, other) = (held("slow", &gate), quick("other"));
    let queue = "queue: { max_in_flight: 1, max_waiting: 9, timeout: 20s }";
    let proxy = bounded(&[&slow, &other], 9, queue).start();
    let path = stalled_at(&proxy, &slow);
    let mut clients = [(); 2].map(|()| proxy.client());
    clients.iter_mut().for_each(|client| ask(client, "GET", &path));
    proxy.metrics_when(|metrics| refused(metrics, "busy") == 4);
    when(&proxy, 1, 1);
    assert_eq!((stalled(&slow).len(), stalled(&other).len()), (1, 0));
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().status() == 200));
}
