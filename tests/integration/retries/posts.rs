//! Orders that must not be placed twice, behind endpoints that break at every stage of a request.

use std::collections::HashMap;
use std::io::Read;
use std::thread;

use super::{address, reset};
use crate::support::{Message, OK, Origin, Proxy, Refuser, Visit, Yaml};

const ORDERS: usize = 2000;
const CLIENTS: usize = 4;
const BODY: usize = 6000;

/// Breaks every fifth connection before it reads from it, and every request at a stage that its number decides.
fn brittle() -> Origin {
    Origin::start(|visit| {
        if visit.number.is_multiple_of(5) {
            return reset(visit);
        }
        while let Some(head) = visit.request_head() {
            if !serve(visit, number(&head)) {
                return;
            }
        }
    })
}

/// Whether the connection goes on.
fn serve(visit: &mut Visit, number: usize) -> bool {
    match number % 8 {
        // After the head.
        0 => reset(visit),
        // In the body.
        1 => {
            read(visit, BODY / 2);
            reset(visit);
        }
        // After the body.
        2 => {
            read(visit, BODY);
            reset(visit);
        }
        // Without a reset.
        3 => read(visit, BODY),
        // In the response head.
        4 => {
            read(visit, BODY);
            visit.send("HTTP/1.1 200 OK\r\ncontent-le");
        }
        // Once the response is sent: the next request may find the connection closed.
        5 => {
            read(visit, BODY);
            visit.send(OK);
        }
        _ => {
            read(visit, BODY);
            return visit.send(OK);
        }
    }
    false
}

fn read(visit: &mut Visit, bytes: usize) {
    let mut body = vec![0; bytes];
    // A client that was answered may have gone before the rest of its body.
    drop(visit.reader.read_exact(&mut body));
}

fn number(head: &Message) -> usize {
    head.header("x-order").and_then(|number| number.parse().ok()).expect("a number")
}

/// Places an order; every other one is sent in two pieces.
fn order(proxy: &Proxy, number: usize) -> Message {
    let head =
        format!("POST /orders HTTP/1.1\r\nhost: a\r\nx-order: {number}\r\ncontent-length: {BODY}\r\n\r\n");
    let request = head + &"x".repeat(BODY);
    let mut client = proxy.client();
    let (first, rest) = request.split_at(if number.is_multiple_of(2) { request.len() } else { 3000 });
    client.send(first);
    client.try_send(rest);
    client.try_response().expect("an answer, whatever happens")
}

#[test]
fn no_post_arrives_twice_and_every_loss_is_told() {
    let (origins, nobody) = ([brittle(), brittle()], Refuser::bind());
    let [first, second] = origins.each_ref().map(address);
    let endpoints = format!("[\"{first}\", \"{}\", \"{second}\"]", nobody.address());
    let route = "retry: { attempts: 5, on: [connect_failure, reset, timeout, 500, 502, 503, 504], \
                 budget_percent: 100, max_body: 64KiB }";
    let proxy = Yaml::new(&format!("strategy: round_robin, endpoints: {endpoints}")).route(route).start();
    let answers: Vec<(usize, Message)> = thread::scope(|scope| {
        let place = |client: usize| {
            let proxy = &proxy;
            scope.spawn(move || {
                let mine = (client..ORDERS).step_by(CLIENTS);
                mine.map(|number| (number, order(proxy, number))).collect::<Vec<_>>()
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(place).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let mut arrived = HashMap::<usize, usize>::new();
    for request in origins.iter().flat_map(Origin::requests) {
        *arrived.entry(number(&request)).or_default() += 1;
    }
    assert_eq!(answers.len(), ORDERS);
    assert!(arrived.values().all(|count| *count == 1), "{arrived:?}");
    let mut told = HashMap::<&str, usize>::new();
    for (number, answer) in &answers {
        let sent = answer.header("x-tillgate-upstream-sent").unwrap_or("answered");
        *told.entry(sent).or_default() += 1;
        let count = arrived.get(number).copied().unwrap_or(0);
        match sent {
            "answered" => assert_eq!((answer.status(), count), (200, 1), "{number}"),
            "none" => assert_eq!((answer.status(), count), (502, 0), "{number}: {}", answer.head),
            "maybe" => assert!(answer.status() >= 500 || answer.status() == 400, "{number}: {}", answer.head),
            other => panic!("{number}: {other}"),
        }
    }
    // A third begins at nobody's address, and three eighths are answered wherever they arrive.
    assert!(told["answered"] > ORDERS / 8 && told["maybe"] > ORDERS / 4, "{told:?}");
    let connects = [("upstream", "shop"), ("reason", "connect_failure")];
    proxy.metrics_when(|metrics| metrics.count("tillgate_retries_total", &connects) > 100);
    let resets = [("upstream", "shop"), ("reason", "reset")];
    assert_eq!(
        proxy.metrics().count("tillgate_retries_total", &resets),
        0,
        "no POST was sent again after a byte"
    );
}
