use std::time::Duration;

use super::{bad, good, route, upstream};
use crate::config::{AdaptiveConcurrency, Priority, Queue};

#[test]
fn nothing_is_bounded_shed_or_measured_unless_asked_for() {
    let config = good(&upstream("queue: off\nadaptive_concurrency: off")).config;
    assert_eq!((config.upstreams[0].queue, config.upstreams[0].adaptive_concurrency), (None, None));
    assert_eq!(config.upstreams[0].endpoints[0].max_connections, None);
    assert_eq!((config.routes[0].priority, config.routes[0].slo), (Priority::Normal, None));
    let same = good(&upstream("")).config;
    assert_eq!(config.upstreams, same.upstreams);
}

#[test]
fn a_queue_has_a_default_for_each_of_its_bounds() {
    let queue = |lines: &str| good(&upstream(lines)).config.upstreams[0].queue.expect("a queue");
    assert_eq!(queue("queue: {}"), Queue::default());
    let told = queue("queue: { max_in_flight: 5, max_waiting: 0, timeout: 50ms }");
    assert_eq!(told, Queue { max_in_flight: 5, max_waiting: 0, timeout: Duration::from_millis(50) });
}

#[test]
fn the_bounds_of_a_queue_are_bounded() {
    assert_eq!(
        bad(&upstream("queue: { max_in_flight: 0, max_waiting: -1, timeout: 2m, depth: 1 }")),
        [
            "5:29 `max_in_flight` must be a whole number from 1 to 1000000, found the number 0",
            "5:45 `max_waiting` must be a whole number from 0 to 1000000, found the number -1",
            "5:58 `timeout` must be a duration from 1ms to 1m, found `2m`",
            "5:62 unknown key `depth`",
        ]
    );
    let text = upstream("").replace("[\"127.0.0.1:7001\"]", "[{ address: a:1, max_connections: 0 }]");
    assert_eq!(
        bad(&text),
        ["5:50 `max_connections` must be a whole number from 1 to 1000000, found the number 0"]
    );
}

#[test]
fn an_adaptive_limit_has_bounds_in_the_right_order() {
    let adaptive =
        |lines: &str| good(&upstream(lines)).config.upstreams[0].adaptive_concurrency.expect("a limit");
    assert_eq!(adaptive("adaptive_concurrency: {}"), AdaptiveConcurrency::default());
    let low = adaptive("adaptive_concurrency: { max: 4 }");
    assert_eq!((low.min, low.max), (4, 4));
    let high = adaptive("adaptive_concurrency: { min: 2000 }");
    assert_eq!((high.min, high.max), (2000, 2000));
    assert_eq!(
        bad(&upstream("adaptive_concurrency: { min: 20, max: 10, tolerance_percent: 201 }")),
        [
            "5:43 `max` is lower than `min`, which is 20",
            "5:66 `tolerance_percent` must be a whole number from 0 to 200, found the number 201",
        ]
    );
}

#[test]
fn a_route_has_one_of_three_priorities_and_maybe_a_target() {
    let routes = good(&route("priority: sheddable\nslo: 200ms")).config.routes;
    assert_eq!((routes[0].priority, routes[0].slo), (Priority::Sheddable, Some(Duration::from_millis(200))));
    assert_eq!(good(&route("slo: off")).config.routes[0].slo, None);
    assert_eq!(
        bad(&route("priority: criticl\nslo: 0s")),
        [
            "7:15 `priority` must be one of critical, normal, sheddable, found `criticl`",
            "8:10 `slo` must be a duration from 1ms to 1m, found `0s`",
        ]
    );
}
