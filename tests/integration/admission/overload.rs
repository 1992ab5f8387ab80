//! More than an upstream can do: what matters most goes on as if nothing were.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{ADMISSION, admission, shop, turned_away};
use crate::support::{Client, DEADLINE, Message, OK, Origin, Proxy, eventually};

/// Requests that the origin works on at the same time, and how long each takes: a hundred a second.
const SERVERS: usize = 4;
const SERVICE: Duration = Duration::from_millis(40);
const CAPACITY: f64 = 100.0;

/// Works on so many requests at a time; more wait there.
fn of_fixed_capacity() -> Origin {
    let servers = Arc::new((Mutex::new(SERVERS), Condvar::new()));
    Origin::start(move |visit| {
        while visit.request().is_some() {
            let (free, freed) = &*servers;
            let free_now = free.lock().expect("servers");
            let (mut count, _) =
                freed.wait_timeout_while(free_now, DEADLINE, |count| *count == 0).expect("servers");
            *count -= 1;
            drop(count);
            thread::sleep(SERVICE);
            *free.lock().expect("servers") += 1;
            freed.notify_one();
            if !visit.send(OK) {
                return;
            }
        }
    })
}

/// One answer and how long it took.
struct Answer {
    response: Message,
    took: Duration,
}

/// Many clients that ask `per_second` times a second together, each on a connection of its own, and do not come later
/// because they were answered late, unless they are still waiting.
fn clients(proxy: &Proxy, request: &str, per_second: f64, count: usize, lasts: Duration) -> Vec<Answer> {
    let pause = Duration::from_secs_f64(count as f64 / per_second);
    let one = |number: usize| {
        let start = Instant::now();
        let mut next = start + pause.mul_f64(number as f64 / count as f64);
        let (mut client, mut answers) = (proxy.client(), Vec::new());
        while next < start + lasts {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let asked = Instant::now();
            let response = client.send(request).response();
            let took = asked.elapsed();
            if response.header("connection") == Some("close") {
                client = Client::connect(proxy.web());
            }
            answers.push(Answer { response, took });
            next += pause;
        }
        answers
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..count).map(|number| scope.spawn(move || one(number))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    })
}

fn p99(answers: &[Answer]) -> Duration {
    let mut all: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
    all.sort_unstable();
    all[(all.len() * 99).div_ceil(100) - 1]
}

const CHECKOUT: &str = "POST /checkout HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 5\r\n\r\nhello";
const BROWSE: &str = "GET /products HTTP/1.1\r\nhost: shop.example\r\n\r\n";

/// Both at once, so many times the capacity, a quarter of the capacity of it checkout at the least.
fn both(proxy: &Proxy, checkout: f64, browse: f64, lasts: Duration) -> (Vec<Answer>, Vec<Answer>) {
    thread::scope(|scope| {
        let checkout = scope.spawn(move || clients(proxy, CHECKOUT, checkout * CAPACITY, 10, lasts));
        let browse = scope.spawn(move || clients(proxy, BROWSE, browse * CAPACITY, 50, lasts));
        (checkout.join().expect("checkout"), browse.join().expect("browse"))
    })
}

#[test]
fn at_three_times_the_capacity_checkout_keeps_its_tail_and_browsing_is_shed() {
    let origin = of_fixed_capacity();
    let queue = format!("queue: {{ max_in_flight: {SERVERS}, max_waiting: 100, timeout: 1s }}");
    let routes = "{ name: checkout, match: { path_prefix: /checkout }, upstream: shop, priority: critical }, \
         { name: browse, match: { path_prefix: / }, upstream: shop, priority: sheddable }";
    let proxy = shop(&origin, &queue).routes(routes).start();
    let (calm, _) = both(&proxy, 0.25, 0.25, Duration::from_secs(3));
    let served = origin.requests().len();
    let lasts = Duration::from_secs(6);
    let (checkout, browse) = both(&proxy, 0.4, 2.6, lasts);

    let failed = checkout.iter().filter(|answer| answer.response.status() != 200).count();
    assert_eq!(failed, 0, "of {}", checkout.len());
    let (before, under_load) = (p99(&calm), p99(&checkout));
    assert!(under_load < before * 3, "{before:?} at half of the load, {under_load:?} at three times as much");

    let (good, shed): (Vec<_>, Vec<_>) = browse.iter().partition(|answer| answer.response.status() == 200);
    let overloaded: Vec<_> = shed.iter().filter(|one| one.response.reason() == "overloaded").collect();
    overloaded.iter().for_each(|one| turned_away(&one.response, "overloaded"));
    assert!(shed.iter().all(|one| one.response.header("retry-after").is_some()));
    assert!(overloaded.len() * 2 > browse.len(), "{} of {}", overloaded.len(), browse.len());
    let done = (origin.requests().len() - served) as f64 / lasts.as_secs_f64();
    assert!(!good.is_empty() && done > 0.6 * CAPACITY, "{done} a second of {CAPACITY}");

    let labels = [("route", "browse"), ("priority", "sheddable"), ("reason", "overloaded")];
    proxy.metrics_when(|now| now.count("tillgate_requests_shed_total", &labels) == overloaded.len() as u64);
    // The load has gone: everybody is let in again.
    proxy.admin_when(ADMISSION, |page| {
        admission(page)["admit_sheddable"] == 1.0 && admission(page)["admit_normal"] == 1.0
    });
    assert_eq!(proxy.get("/products").status(), 200);
}

/// So many clients at once, each asking again when it is answered. What they were not answered 200 for.
fn failures(proxy: &Proxy, count: usize, lasts: Duration) -> Vec<String> {
    let start = Instant::now();
    let one = || {
        let (mut client, mut failures) = (proxy.client(), Vec::new());
        while start.elapsed() < lasts {
            let response = client.get("/");
            if response.status() != 200 {
                failures.push(response.reason().to_owned());
            }
        }
        failures
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    })
}

#[test]
fn a_queue_within_its_limits_fails_nobody() {
    let origin = Origin::start(|visit| {
        while visit.request().is_some() {
            thread::sleep(Duration::from_millis(300));
            if !visit.send(OK) {
                return;
            }
        }
    });
    let proxy = shop(&origin, "queue: { max_in_flight: 4, max_waiting: 100, timeout: 3s }").start();
    // 16 of 100 wait, for 1.2 of 3 s.
    assert_eq!(failures(&proxy, 20, Duration::from_secs(6)), [""; 0]);
    assert_eq!(failures(&proxy, 4, Duration::from_secs(1)), [""; 0], "the load has gone");
}

#[test]
fn a_critical_route_that_misses_its_target_sheds_what_matters_less() {
    let origin = Origin::start(|visit| {
        while visit.request().is_some() {
            thread::sleep(Duration::from_millis(3));
            visit.send(OK);
        }
    });
    let routes = "{ name: checkout, match: { path_prefix: /checkout }, upstream: shop, priority: critical, slo: 1ms }, \
         { name: browse, match: { path_prefix: / }, upstream: shop, priority: sheddable }";
    let proxy = shop(&origin, "protocol: http1").routes(routes).start();
    let (mut checkout, mut browse) = (proxy.client(), proxy.client());
    let shed = eventually("a request that is shed", || {
        (0..50).for_each(|_| assert_eq!(checkout.send(CHECKOUT).response().status(), 200));
        Some(browse.send(BROWSE).response()).filter(|response| response.status() != 200)
    });
    turned_away(&shed, "overloaded");
    assert_eq!(admission(&proxy.admin_json(ADMISSION))["admit_normal"], 1.0);
}
