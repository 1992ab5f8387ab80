//! What is in flight and what waits outlives a reload.

use super::{GET, ask, asking, bounded, shop, turned_away, when};
use crate::support::{Gate, Origin};

#[test]
fn a_reload_forgets_neither_who_is_served_nor_who_waits() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let yaml = |most: u32, waiting: u32| {
        let queue = format!("queue: {{ max_in_flight: {most}, max_waiting: {waiting}, timeout: 20s }}");
        shop(&origin, &queue).to_string()
    };
    let proxy = shop(&origin, "queue: { max_in_flight: 2, max_waiting: 2, timeout: 20s }").start();
    let mut clients = asking(&proxy, 4);
    when(&proxy, 2, 2);
    assert_eq!(proxy.reload(&yaml(2, 3)).status(), 200);
    when(&proxy, 2, 2);
    clients.push(ask(&proxy, GET));
    when(&proxy, 2, 3);
    turned_away(&proxy.get("/"), "queue_full");
    assert_eq!(proxy.reload(&yaml(4, 3)).status(), 200);
    when(&proxy, 4, 1);
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().status() == 200));
    when(&proxy, 0, 0);
}

#[test]
fn a_queue_that_is_taken_away_lets_in_who_waited() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = shop(&origin, "queue: { max_in_flight: 1, timeout: 20s }").start();
    let mut clients = asking(&proxy, 3);
    when(&proxy, 1, 2);
    assert_eq!(proxy.reload(&shop(&origin, "queue: off").to_string()).status(), 200);
    origin.wait_for(3);
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().status() == 200));
}

#[test]
fn the_bound_of_an_endpoint_changes_with_the_file() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = bounded(&origin, 1, "").start();
    let mut clients = asking(&proxy, 1);
    origin.wait_for(1);
    turned_away(&proxy.get("/"), "upstream_full");
    assert_eq!(proxy.reload(&bounded(&origin, 2, "").to_string()).status(), 200);
    clients.push(ask(&proxy, GET));
    origin.wait_for(2);
    turned_away(&proxy.get("/"), "upstream_full");
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().status() == 200));
}
