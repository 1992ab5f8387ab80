//! Connections on both sides: kept, reused, replaced, bounded and given up when they should be.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, DEADLINE, OK, Origin, Proxy, Visit, Yaml, eventually, ok_with};

const GET: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n";

/// Answers with the number of the connection that the request came on.
fn numbering() -> Origin {
    Origin::start(
        |visit| while visit.request().is_some() && visit.send(ok_with(&visit.number.to_string())) {},
    )
}

/// Answers each request once the test says so.
fn on_command() -> (Origin, Sender<()>) {
    let (go, told) = channel();
    let told = Mutex::new(told);
    let origin = Origin::start(move |visit| answer_when_told(visit, &told));
    (origin, go)
}

fn answer_when_told(visit: &mut Visit, told: &Mutex<Receiver<()>>) {
    while visit.request().is_some() {
        if told.lock().expect("lock").recv_timeout(DEADLINE).is_err() || !visit.send(OK) {
            return;
        }
    }
}

/// Waits until no request is in flight.
fn wait_until_idle(proxy: &Proxy) {
    proxy.endpoints_when("shop", |endpoints| endpoints.iter().all(|endpoint| endpoint["in_flight"] == 0));
}

#[test]
fn one_upstream_connection_serves_many_requests_of_one_client() {
    let origin = numbering();
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = proxy.client();
    for _ in 0..50 {
        assert_eq!(client.get("/").text(), "1");
        assert_eq!(client.post("/", "hello").text(), "1");
    }
}

#[test]
fn one_upstream_connection_serves_many_clients_in_turn() {
    let origin = numbering();
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    for _ in 0..50 {
        assert_eq!(proxy.get("/").text(), "1");
    }
}

#[test]
fn of_two_idle_upstream_connections_the_one_used_last_is_used_next() {
    let (first, second) = (channel::<()>(), channel::<()>());
    let gates = [Mutex::new(first.1), Mutex::new(second.1)];
    let origin = Origin::start(move |visit| {
        // The first request of either connection waits for the test.
        visit.request();
        let _ = gates[visit.number - 1].lock().expect("lock").recv_timeout(DEADLINE);
        visit.send(ok_with(&visit.number.to_string()));
        while visit.request().is_some() && visit.send(ok_with(&visit.number.to_string())) {}
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let (mut one, mut two) = (proxy.client(), proxy.client());
    one.send(format!("{GET}\r\n"));
    origin.wait_for(1);
    two.send(format!("{GET}\r\n"));
    origin.wait_for(2);
    second.0.send(()).expect("the origin waits");
    assert_eq!(two.response().text(), "2");
    first.0.send(()).expect("the origin waits");
    assert_eq!(one.response().text(), "1");
    for _ in 0..5 {
        assert_eq!(proxy.get("/").text(), "1");
    }
}

#[test]
fn an_upstream_connection_is_closed_after_its_idle_timeout() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).workers(1).connection("idle_timeout: 200ms").start();
    let start = Instant::now();
    proxy.get("/");
    origin.wait_for_ends(1);
    assert!(start.elapsed().as_millis() >= 200, "closed after {:?}", start.elapsed());
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn no_more_upstream_connections_are_kept_than_allowed() {
    let (origin, go) = on_command();
    let proxy = Yaml::before(&[&origin]).workers(1).connection("max_idle: 1").start();
    let mut clients: Vec<Client> = (0..3).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(format!("{GET}\r\n"));
    }
    origin.wait_for(3);
    for _ in &clients {
        go.send(()).expect("the origin waits");
    }
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
    origin.wait_for_ends(2);
}

#[test]
fn a_connection_that_the_origin_closed_while_it_lay_idle_is_replaced_unseen() {
    let origin = Origin::start(|visit| {
        if let Some(request) = visit.request() {
            visit.send(ok_with(&request.text()));
        }
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = proxy.client();
    for round in 0..50 {
        let body = format!("order {round}");
        let response = client.post("/", &body);
        assert_eq!((response.status(), response.text()), (200, body), "{}", response.head);
        // From here on it is closed as far as the proxy's kernel knows.
        origin.wait_for_ends(round + 1);
    }
    let seen: Vec<String> = origin.requests().iter().map(|request| request.text()).collect();
    let sent: Vec<String> = (0..50).map(|round| format!("order {round}")).collect();
    assert_eq!(seen, sent, "each exactly once");
}

#[test]
fn a_connection_that_the_origin_says_it_closes_is_not_used_again() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        // It leaves the closing to the proxy.
        visit.closes();
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = proxy.client();
    for number in 1..=5 {
        let response = client.post("/", "hello");
        assert_eq!((response.status(), response.header("connection")), (200, None));
        origin.wait_for_ends(number);
    }
    assert_eq!(origin.connections(), 5);
}

#[test]
fn an_origin_that_sends_more_than_its_response_does_not_answer_the_next_request_with_it() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send(
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        );
        visit.closes();
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = proxy.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "ok");
    }
}

#[test]
fn a_client_that_says_it_closes_is_told_so_and_closed() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    let response = client.send(format!("{GET}connection: close\r\n\r\n")).response();
    assert_eq!(response.header("connection"), Some("close"));
    client.expect_closed();
}

#[test]
fn a_head_that_does_not_arrive_in_time_is_answered_408() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).limits("header_timeout: 300ms").start();
    let mut client = proxy.client();
    let response = client.send(GET).response();
    assert_eq!((response.status(), response.reason()), (408, "header_timeout"));
    client.expect_closed();
}

#[test]
fn a_head_that_trickles_in_does_not_win_time() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).limits("header_timeout: 300ms").start();
    let mut client = proxy.client();
    client.send(GET).send("x-slow: ");
    let tick = std::time::Duration::from_millis(20);
    client.stream().set_read_timeout(Some(tick)).expect("timeout");
    let mut answer = [0; 12];
    eventually("an answer while bytes still trickle in", || {
        client.try_send("x");
        (client.stream().peek(&mut answer).ok()? == answer.len()).then_some(())
    });
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[test]
fn the_second_head_of_a_connection_has_its_time_too() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).limits("header_timeout: 300ms").start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(client.send(GET).response().reason(), "header_timeout");
}

#[test]
fn half_a_head_that_came_along_with_the_request_before_it_is_not_waited_for_longer_than_a_request() {
    // The library holds it already, so the socket cannot tell that a head has begun.
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).limits("idle_timeout: 300ms, header_timeout: 1h").start();
    let mut client = proxy.client();
    client.send(format!("{GET}\r\n{GET}"));
    assert_eq!(client.response().status(), 200);
    client.expect_closed();
}

#[test]
fn an_idle_client_is_closed_without_a_word() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).limits("idle_timeout: 300ms").start();
    proxy.client().expect_closed();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status(), 200);
    client.expect_closed();
}

#[test]
fn a_request_that_takes_longer_than_the_idle_timeout_is_not_idle() {
    let (origin, go) = on_command();
    let proxy = Yaml::before(&[&origin]).limits("idle_timeout: 200ms, header_timeout: 200ms").start();
    let (mut busy, mut idle) = (proxy.client(), proxy.client());
    busy.send(format!("{GET}\r\n"));
    // The idle one measures the time.
    idle.expect_closed();
    proxy.client().expect_closed();
    go.send(()).expect("the origin waits");
    assert_eq!(busy.response().status(), 200);
}

#[test]
fn a_listener_holds_no_more_connections_than_allowed() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).limits("max_connections: 2").start();
    let (mut one, mut two) = (proxy.client(), proxy.client());
    assert_eq!((one.get("/").status(), two.get("/").status()), (200, 200));
    let mut three = proxy.client();
    three.expect_closed();
    drop(one);
    eventually("a place for another", || {
        let mut client = proxy.client();
        client.try_send(format!("{GET}\r\n"));
        client.try_response().map(|response| assert_eq!(response.status(), 200))
    });
    assert_eq!(two.get("/").status(), 200);
}

#[test]
fn a_client_that_ends_its_side_between_requests_is_closed() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    assert_eq!(client.get("/").status(), 200);
    client.finish().expect_closed();
}

#[test]
fn a_client_that_ends_its_side_while_it_waits_counts_as_gone() {
    // An end of the sending side alone looks the same as a closed connection, and those must not hold an endpoint.
    let origin = Origin::start(|visit| {
        visit.request();
        visit.closes();
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{GET}\r\n"));
    origin.wait_for(1);
    client.finish().expect_closed();
    origin.wait_for_ends(1);
    wait_until_idle(&proxy);
}

#[test]
fn a_client_that_goes_away_takes_its_request_with_it() {
    let (done, over) = channel();
    let origin = Origin::start(move |visit| {
        visit.request();
        done.send(visit.closes()).expect("the test waits");
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{GET}\r\n"));
    origin.wait_for(1);
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 1);
    drop(client);
    assert!(over.recv_timeout(DEADLINE).expect("the connection ends"), "closed by the proxy");
    wait_until_idle(&proxy);
}

#[test]
fn a_client_that_goes_away_while_it_uploads_takes_its_request_with_it() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 100\r\n\r\nbegun");
    eventually("the request at the origin", || (origin.connections() == 1).then_some(()));
    drop(client);
    origin.wait_for_ends(1);
    assert!(origin.request().truncated);
    wait_until_idle(&proxy);
}

#[test]
fn a_client_that_goes_away_while_it_downloads_frees_the_origin() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while visit.send("5\r\nhello\r\n") {}
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{GET}\r\n"));
    assert!(!client.read_some(1).is_empty());
    drop(client);
    origin.wait_for_ends(1);
    wait_until_idle(&proxy);
}

#[test]
fn a_client_that_does_not_read_its_response_is_given_up() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
        while visit.send([0; 1 << 16]) {}
    });
    let proxy = Yaml::before(&[&origin]).route("timeouts: { idle: 300ms }").start();
    let mut client = proxy.client();
    client.send(format!("{GET}\r\n"));
    let start = Instant::now();
    origin.wait_for_ends(1);
    assert!(start.elapsed() < DEADLINE / 2, "the origin gave up first");
    wait_until_idle(&proxy);
}

/// After a second a connection gives back what it does not need between requests.
const LONG_ENOUGH_TO_REST: Duration = Duration::from_millis(1500);

#[test]
fn a_connection_that_has_rested_serves_on() {
    let origin = Origin::echoing("a");
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    for path in ["/first", "/second", "/third"] {
        assert_eq!(client.get(path).status(), 200, "{path}");
        thread::sleep(LONG_ENOUGH_TO_REST);
    }
    let post = "POST /whole HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    let pipelined = format!("{post}GET /next HTTP/1.1\r\nhost: a\r\n\r\n");
    // Its first byte, alone, could begin HTTP/2 as well.
    let (first, rest) = pipelined.split_at(1);
    client.send(first);
    thread::sleep(LONG_ENOUGH_TO_REST);
    client.send(rest);
    assert_eq!([client.response().status(), client.response().status()], [200, 200]);
    let asked: Vec<String> = origin.requests().iter().map(|request| request.asks().to_owned()).collect();
    assert_eq!(asked, ["GET /first", "GET /second", "GET /third", "POST /whole", "GET /next"]);
}

/// What had come with the request before is part of the next one, however long the rest of it takes.
#[test]
fn the_beginning_of_a_head_outlives_a_rest() {
    let origin = Origin::echoing("a");
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send("GET /one HTTP/1.1\r\nhost: a\r\n\r\nGET /two HTTP/1.1\r\nhost: a\r\nx-pad: ");
    assert_eq!(client.response().status(), 200);
    thread::sleep(LONG_ENOUGH_TO_REST);
    client.send("GET /smuggled HTTP/1.1\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let asked: Vec<String> = origin.requests().iter().map(|request| request.asks().to_owned()).collect();
    assert_eq!(asked, ["GET /one", "GET /two"]);
}

#[test]
fn a_connection_that_rests_is_closed_when_its_time_is_over() {
    let origin = Origin::echoing("a");
    let proxy = Yaml::before(&[&origin]).limits("idle_timeout: 2s").start();
    let mut client = proxy.client();
    assert_eq!(client.get("/").status(), 200);
    assert!(client.rest().is_empty(), "closed without a word");
}
