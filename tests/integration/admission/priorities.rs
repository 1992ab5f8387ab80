//! Who is served first, and who makes room.

use super::{ask, shop, turned_away, when};
use crate::support::{Gate, Origin, Proxy};

const ROUTES: &str = "{ name: pay, match: { path_prefix: /pay }, upstream: shop, priority: critical }, \
     { name: shop, match: { path_prefix: / }, upstream: shop }, \
     { name: look, match: { path_prefix: /look }, upstream: shop, priority: sheddable }";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n")
}

fn held(gate: &Gate, waiting: u32) -> (Origin, Proxy) {
    let origin = Origin::behind(gate);
    let queue = format!("queue: {{ max_in_flight: 1, max_waiting: {waiting}, timeout: 20s }}");
    let proxy = shop(&origin, &queue).routes(ROUTES).workers(1).start();
    (origin, proxy)
}

#[test]
fn the_important_are_served_before_those_who_came_before_them() {
    let gate = Gate::default();
    let (origin, proxy) = held(&gate, 10);
    let mut clients = vec![ask(&proxy, &get("/first"))];
    origin.wait_for(1);
    for (waiting, path) in (1..).zip(["/look", "/shop", "/pay"]) {
        clients.push(ask(&proxy, &get(path)));
        when(&proxy, 1, waiting);
    }
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status(), 200));
    let asked: Vec<String> = origin.requests().iter().map(|request| request.asks().to_owned()).collect();
    assert_eq!(asked, ["GET /first", "GET /pay", "GET /shop", "GET /look"]);
}

#[test]
fn who_waits_in_a_full_queue_makes_room_for_the_more_important() {
    let gate = Gate::default();
    let (origin, proxy) = held(&gate, 2);
    let mut first = ask(&proxy, &get("/first"));
    origin.wait_for(1);
    let mut look = ask(&proxy, &get("/look"));
    when(&proxy, 1, 1);
    let mut shop = ask(&proxy, &get("/shop"));
    when(&proxy, 1, 2);
    let mut pay = ask(&proxy, &get("/pay/1"));
    turned_away(&look.response(), "queue_full");
    let mut pay_more = ask(&proxy, &get("/pay/2"));
    turned_away(&shop.response(), "queue_full");
    when(&proxy, 1, 2);
    turned_away(&proxy.get("/pay/3"), "queue_full");
    gate.open();
    assert!([&mut first, &mut pay, &mut pay_more].iter_mut().all(|client| client.response().status() == 200));
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn who_waits_on_another_worker_makes_room_for_the_more_important_too() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let queue = "queue: { max_in_flight: 1, max_waiting: 1, timeout: 20s }";
    let proxy = shop(&origin, queue).routes(ROUTES).workers(4).start();
    let mut first = ask(&proxy, &get("/first"));
    origin.wait_for(1);
    // Often enough that some of them meet on different workers.
    for _ in 0..12 {
        // Not a sheddable one: of those, some are turned away at random while others were turned away before.
        let mut shop = ask(&proxy, &get("/shop"));
        when(&proxy, 1, 1);
        let pay = ask(&proxy, &get("/pay"));
        turned_away(&shop.response(), "queue_full");
        when(&proxy, 1, 1);
        turned_away(&proxy.get("/pay/more"), "queue_full");
        drop(pay);
        when(&proxy, 1, 0);
    }
    gate.open();
    assert_eq!(first.response().status(), 200);
    assert_eq!(origin.requests().len(), 1);
}
