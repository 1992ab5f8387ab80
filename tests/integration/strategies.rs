//! Every strategy over real connections and both workers: who gets which requests.

use std::thread;
use std::time::Duration;

use crate::support::{Client, Gate, OK, Origin, Proxy, Yaml, eventually};

/// Requests of a spread; on connections enough that both workers have some.
const REQUESTS: usize = 300;
const CONNECTIONS: usize = 12;

fn three() -> [Origin; 3] {
    [(); 3].map(|()| Origin::answering(OK))
}

fn start(strategy: &str, origins: &[Origin; 3]) -> Proxy {
    Yaml::of(strategy, &[&origins[0], &origins[1], &origins[2]]).start()
}

/// Three endpoints with weights.
fn weighted(strategy: &str, origins: &[Origin; 3], weights: [u32; 3]) -> String {
    let endpoints: Vec<String> = origins
        .iter()
        .zip(weights)
        .map(|(origin, weight)| format!("{{ address: \"{}\", weight: {weight} }}", origin.address()))
        .collect();
    Yaml::new(&format!("strategy: {strategy}, endpoints: [{}]", endpoints.join(", "))).to_string()
}

fn counts(origins: &[Origin; 3]) -> [usize; 3] {
    [0, 1, 2].map(|index| origins[index].requests().len())
}

/// Sends what `head` makes of each number, and returns how many more each origin got.
fn spread_of(proxy: &Proxy, origins: &[Origin; 3], head: impl Fn(usize) -> String) -> [usize; 3] {
    let before = counts(origins);
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| proxy.client()).collect();
    for number in 0..REQUESTS {
        let response = clients[number % CONNECTIONS].send(head(number)).response();
        assert_eq!(response.status(), 200, "{}", response.head);
    }
    let after = counts(origins);
    [0, 1, 2].map(|index| after[index] - before[index])
}

fn plain(_: usize) -> String {
    "GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n".into()
}

fn spread(proxy: &Proxy, origins: &[Origin; 3]) -> [usize; 3] {
    spread_of(proxy, origins, plain)
}

/// A request under way at the origin behind the gate, and the others idle. Some pick takes it there in the end.
fn occupy(proxy: &Proxy, held: &Origin) -> Vec<Client> {
    let mut clients = Vec::new();
    eventually("a request at the origin that is held", || {
        let mut client = proxy.client();
        client.send(plain(0));
        clients.push(client);
        (!held.requests().is_empty()).then_some(())
    });
    proxy.endpoints_when("shop", |all| {
        all.iter()
            .all(|one| one["in_flight"] == u32::from(one["address"] == held.address().to_string().as_str()))
    });
    clients
}

#[test]
fn round_robin_takes_even_turns_on_each_worker() {
    let origins = three();
    let counts = spread(&start("round_robin", &origins), &origins);
    assert_eq!(counts.iter().sum::<usize>(), REQUESTS);
    // Each worker has turns of its own, which end unevenly by one at most.
    assert!(counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0) <= 2, "{counts:?}");
}

#[test]
fn weighted_gives_each_its_share() {
    let origins = three();
    let proxy = Proxy::start(&weighted("weighted", &origins, [1, 2, 3]));
    let counts = spread(&proxy, &origins);
    // Each worker is at most one round of six turns away from the exact shares.
    for (count, share) in counts.iter().zip([50, 100, 150]) {
        assert!(count.abs_diff(share) <= 6, "{counts:?}");
    }
}

#[test]
fn random_gives_each_about_its_share() {
    let origins = three();
    let proxy = Proxy::start(&weighted("random", &origins, [1, 2, 3]));
    let counts = spread(&proxy, &origins);
    // Six standard deviations and more: not once in a hundred million runs.
    for (count, share) in counts.iter().zip([50, 100, 150]) {
        assert!(count.abs_diff(share) <= 55, "{counts:?}");
    }
}

#[test]
fn least_connections_and_p2c_spread_over_idle_endpoints() {
    for strategy in ["least_connections", "p2c"] {
        let origins = three();
        let counts = spread(&start(strategy, &origins), &origins);
        assert!(counts.iter().all(|count| (50..=150).contains(count)), "{strategy}: {counts:?}");
    }
}

#[test]
fn least_connections_leaves_a_busy_endpoint_alone() {
    let gate = Gate::default();
    let origins = [Origin::answering(OK), Origin::behind(&gate), Origin::answering(OK)];
    let proxy = start("least_connections", &origins);
    let _held = occupy(&proxy, &origins[1]);
    let counts = spread(&proxy, &origins);
    assert_eq!(counts[1], 0, "{counts:?}");
    assert!(counts[0] > 50 && counts[2] > 50, "{counts:?}");
    gate.open();
}

#[test]
fn p2c_all_but_leaves_a_busy_endpoint_alone() {
    let gate = Gate::default();
    let origins = [Origin::answering(OK), Origin::behind(&gate), Origin::answering(OK)];
    let proxy = start("p2c", &origins);
    let _held = occupy(&proxy, &origins[1]);
    // One pick in 243 draws the busy one five times running, and then has no choice: that client waits for the gate.
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let (before, mut client) = (counts(&origins), proxy.client());
        client.send(plain(0));
        eventually("the request at an origin", || (counts(&origins) != before).then_some(()));
        match counts(&origins)[1] == before[1] {
            true => assert_eq!(client.response().status(), 200),
            false => waiting.push(client),
        }
    }
    assert!(waiting.len() < 10, "{} of 100 went to the busy endpoint", waiting.len());
    gate.open();
}

/// Sends each key twice, on different connections, and returns the share of each origin.
fn sticks(yaml: &str, origins: &[Origin; 3], head: impl Fn(usize) -> String) {
    let proxy = Proxy::start(yaml);
    let first = spread_of(&proxy, origins, &head);
    assert!(first.iter().all(|count| *count > 30), "{first:?}");
    // The next connections may come to the other worker: it has the same table.
    for _ in 0..2 {
        assert_eq!(spread_of(&proxy, origins, &head), first);
    }
    let seen = [0, 1, 2].map(|index| sent_to(&origins[index]));
    for key in &seen[0] {
        assert!(!seen[1].contains(key) && !seen[2].contains(key), "{key} came to two endpoints");
    }
}

/// The heads an origin was sent, without what differs for each request.
fn sent_to(origin: &Origin) -> std::collections::HashSet<String> {
    let head = |message: &crate::support::Message| {
        let lines = message.head.lines().filter(|line| !line.starts_with("x-request-id"));
        lines.collect::<Vec<_>>().join("\n")
    };
    origin.requests().iter().map(head).collect()
}

fn hashed(on: &str, origins: &[Origin; 3]) -> Yaml {
    let strategy = format!("consistent_hash, hash: {{ {on} }}");
    Yaml::of(&strategy, &[&origins[0], &origins[1], &origins[2]])
}

fn with_header(line: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: shop.example\r\n{line}\r\n\r\n")
}

#[test]
fn consistent_hash_sticks_by_cookie() {
    let origins = three();
    sticks(&hashed("on: cookie, name: cart", &origins).to_string(), &origins, |n| {
        with_header(&format!("cookie: a=1; cart=c{n}"))
    });
}

#[test]
fn consistent_hash_sticks_by_header() {
    let origins = three();
    sticks(&hashed("on: header, name: X-Shop", &origins).to_string(), &origins, |n| {
        with_header(&format!("x-shop: s{n}"))
    });
}

#[test]
fn consistent_hash_sticks_by_query() {
    let origins = three();
    sticks(&hashed("on: query, name: id", &origins).to_string(), &origins, |n| {
        format!("GET /?a=b&id={n} HTTP/1.1\r\nhost: shop.example\r\n\r\n")
    });
}

#[test]
fn consistent_hash_sticks_by_path() {
    let origins = three();
    sticks(&hashed("on: path", &origins).to_string(), &origins, |n| {
        format!("GET /p/{n} HTTP/1.1\r\nhost: shop.example\r\n\r\n")
    });
}

#[test]
fn consistent_hash_sticks_by_the_client_that_a_trusted_proxy_names() {
    let origins = three();
    let yaml = hashed("on: client_ip", &origins).line("trusted_proxies: [127.0.0.0/8]");
    sticks(&yaml.to_string(), &origins, |n| {
        with_header(&format!("x-forwarded-for: 192.0.{}.{}", n / 250, n % 250))
    });
}

#[test]
fn consistent_hash_by_client_does_not_believe_a_stranger() {
    let origins = three();
    let proxy = hashed("on: client_ip", &origins).start();
    let counts =
        spread_of(&proxy, &origins, |n| with_header(&format!("x-forwarded-for: 192.0.2.{}", n % 250)));
    assert_eq!(counts.iter().filter(|count| **count == REQUESTS).count(), 1, "{counts:?}");
}

#[test]
fn consistent_hash_spreads_requests_that_have_no_key() {
    let origins = three();
    let proxy = hashed("on: cookie, name: cart", &origins).start();
    let counts = spread(&proxy, &origins);
    assert!(counts.iter().all(|count| (40..=160).contains(count)), "{counts:?}");
}

#[test]
fn least_response_moves_away_from_an_endpoint_that_answers_twenty_times_slower() {
    let slow = Origin::start(|visit| {
        while visit.request().is_some() {
            thread::sleep(Duration::from_millis(120));
            visit.send(OK);
        }
    });
    let quick = || {
        Origin::start(|visit| {
            while visit.request().is_some() {
                thread::sleep(Duration::from_millis(6));
                visit.send(OK);
            }
        })
    };
    let origins = [quick(), slow, quick()];
    let proxy = start("least_response, least_response: { min_samples: 20 }", &origins);
    // On a machine with more to do than it can, a round may find the quick ones slow.
    eventually("a round that all but leaves the slow endpoint alone, and figures that say why", || {
        let counts = spread(&proxy, &origins);
        let endpoints = proxy.endpoints_when("shop", |all| all.iter().all(|one| one["p99_ms"].is_number()));
        let number = |index: usize, key: &str| endpoints[index][key].as_f64().expect("a number");
        let is_slower = number(1, "p50_ms") > 5.0 * number(0, "p50_ms");
        let is_dearer = number(1, "cost_factor") > 2.0 * number(0, "cost_factor");
        (counts[1] <= REQUESTS / 20 && is_slower && is_dearer).then_some(())
    });
}

#[test]
fn least_response_leaves_no_equal_endpoint_out() {
    let origins = three();
    let counts = spread(&start("least_response", &origins), &origins);
    // How even it is depends on the machine: microseconds of a busy one differ by more than any strategy may ignore.
    assert!(counts.iter().all(|count| *count >= 5), "{counts:?}");
}

#[test]
fn weight_0_drains_an_endpoint_of_any_strategy() {
    let origins = three();
    let names = ["round_robin", "weighted", "random", "least_connections", "p2c", "least_response"];
    let hash = "consistent_hash, hash: { on: path }";
    let proxy = Proxy::start(&weighted("random", &origins, [1, 1, 1]));
    for strategy in names.into_iter().chain([hash]) {
        assert_eq!(proxy.reload(&weighted(strategy, &origins, [1, 0, 1])).status(), 200);
        let counts =
            spread_of(&proxy, &origins, |n| format!("GET /{n} HTTP/1.1\r\nhost: shop.example\r\n\r\n"));
        assert_eq!((counts[1], counts[0] + counts[2]), (0, REQUESTS), "{strategy}: {counts:?}");
        let states = proxy.endpoints_when("shop", |_| true);
        assert_eq!((&states[0]["state"], &states[1]["state"]), (&"up".into(), &"draining".into()));
    }
}

#[test]
fn an_edit_of_the_strategy_shows_in_the_next_requests() {
    let origins = three();
    let proxy = Proxy::start(&weighted("weighted", &origins, [1, 0, 0]));
    assert_eq!(spread(&proxy, &origins)[0], REQUESTS);
    assert_eq!(proxy.reload(&weighted("round_robin", &origins, [1, 1, 1])).status(), 200);
    let counts = spread(&proxy, &origins);
    assert!(counts.iter().all(|count| (98..=102).contains(count)), "{counts:?}");
    assert_eq!(
        proxy.reload(&weighted("consistent_hash, hash: { on: path }", &origins, [1, 1, 1])).status(),
        200
    );
    let counts = spread(&proxy, &origins);
    assert!(counts.contains(&REQUESTS), "{counts:?}");
}
