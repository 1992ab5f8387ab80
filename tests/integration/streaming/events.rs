//! Events, each of which is read before the next is sent.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use crate::support::{Client, DEADLINE, Gate, OK, Origin, Proxy, Yaml};

const ASK: &str = "GET /events HTTP/1.1\r\nhost: shop.example\r\naccept: text/event-stream\r\n\r\n";

/// Answers with an event stream, framed so, and sends what it is told to, until there is no more.
fn telling(framing: &'static str) -> (Origin, Sender<&'static str>) {
    let (say, says) = channel();
    let says = Mutex::new(says);
    let origin = Origin::start(move |visit| {
        let says = says.lock().expect("events");
        if visit.request().is_none() {
            return;
        }
        visit.send(format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{framing}\r\n"));
        let chunked = !framing.is_empty();
        while let Ok(event) = says.recv_timeout(DEADLINE) {
            let event: String = event;
            let bytes = if chunked { format!("{:x}\r\n{event}\r\n", event.len()) } else { event };
            if !visit.send(bytes) {
                return;
            }
        }
    });
    let (tell, told) = channel::<&'static str>();
    std::thread::spawn(move || {
        while let Ok(event) = told.recv() {
            let _ = say.send(event.to_owned());
        }
    });
    (origin, tell)
}

/// A client of HTTP/2, which prints what comes as it comes.
fn curl(proxy: &Proxy) -> Child {
    Command::new("curl")
        .args(["-sSN", "--compressed", "--http2-prior-knowledge", "--max-time", "20"])
        .arg(format!("http://{}/events", proxy.web()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl runs")
}

/// Reads until the end of what is expected.
fn read_to(client: &mut Client, end: &str) {
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains(end) {
        let more = client.read_some(1000);
        assert!(!more.is_empty(), "the end, after {:?}", String::from_utf8_lossy(&got));
        got.extend(more);
    }
}

#[test]
fn each_event_arrives_before_the_next_is_sent() {
    // Also where the route compresses: not this.
    for (framing, compress) in
        [("transfer-encoding: chunked\r\n", "off"), ("", "off"), ("transfer-encoding: chunked\r\n", "on")]
    {
        let (origin, tell) = telling(framing);
        let proxy = Yaml::before(&[&origin]).line(&format!("compress: {compress}")).start();
        let mut client = proxy.client();
        client.send(ASK.replace("\r\n\r\n", "\r\naccept-encoding: gzip, br, zstd\r\n\r\n"));
        let head = client.head();
        assert_eq!(
            (head.header("content-type"), head.header("content-encoding")),
            (Some("text/event-stream"), None)
        );
        for event in ["data: 1\n\n", ": still here\n\n", "data: 3\n\n"] {
            tell.send(event).expect("the origin listens");
            read_to(&mut client, event);
        }
    }
}

#[test]
fn each_event_arrives_before_the_next_is_sent_over_http_2() {
    for compress in ["off", "{ types: [text/event-stream], algorithms: [gzip] }"] {
        let (origin, tell) = telling("transfer-encoding: chunked\r\n");
        let proxy = Yaml::before(&[&origin]).line(&format!("compress: {compress}")).start();
        let mut curl = curl(&proxy);
        let mut read = BufReader::new(curl.stdout.take().expect("its output"));
        for event in ["data: 1\n", "data: 2\n", "data: 3\n"] {
            tell.send(event).expect("the origin listens");
            let mut line = String::new();
            read.read_line(&mut line).expect("a line");
            assert_eq!(line, event);
        }
        curl.kill().expect("curl is killed");
        curl.wait().expect("curl ends");
    }
}

#[test]
fn a_long_poll_is_answered_when_there_is_something_to_say() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(ASK);
    origin.wait_for(1);
    gate.open();
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn a_stream_that_is_silent_for_longer_than_idle_is_ended_and_one_that_is_not_goes_on() {
    let (origin, tell) = telling("transfer-encoding: chunked\r\n");
    let proxy = Yaml::before(&[&origin]).route("timeouts: { idle: 2s }").start();
    let mut client = proxy.client();
    client.send(ASK);
    // Longer than idle, but never silent for as long.
    for _ in 0..6 {
        tell.send(": still here\n\n").expect("the origin listens");
        read_to(&mut client, ": still here\n\n");
        std::thread::sleep(std::time::Duration::from_millis(400));
    }
    let rest = client.rest();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "no end that a client could take for one");
}

#[test]
fn a_client_that_leaves_ends_the_stream_at_the_endpoint() {
    let (gone, is_gone) = channel();
    let origin = Origin::start(move |visit| {
        visit.request();
        visit
            .send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        let _ = gone.send(visit.closes());
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(ASK).head();
    drop(client);
    assert!(is_gone.recv_timeout(DEADLINE).expect("the end of the request"));
}

#[test]
fn a_client_that_leaves_a_long_poll_ends_it_at_the_endpoint() {
    let (gone, is_gone) = channel();
    let origin = Origin::start(move |visit| {
        visit.request();
        let _ = gone.send(visit.closes());
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(ASK);
    origin.wait_for(1);
    drop(client);
    assert!(is_gone.recv_timeout(DEADLINE).expect("the end of the request"));
}

#[test]
fn a_client_of_http_2_that_leaves_ends_the_stream_at_the_endpoint() {
    let (gone, is_gone) = channel();
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
        let _ = gone.send(visit.closes());
    });
    let proxy = Proxy::before(&[&origin]);
    let mut curl = curl(&proxy);
    let mut byte = [0];
    curl.stdout.take().expect("its output").read_exact(&mut byte).expect("the first event");
    curl.kill().expect("curl is killed");
    curl.wait().expect("curl ends");
    assert!(is_gone.recv_timeout(DEADLINE).expect("the end of the request"));
}

#[test]
fn an_endpoint_that_is_gone_ends_the_stream_where_the_client_sees_it() {
    let origin = Origin::start(|visit| {
        if visit.number == 1 && visit.request().is_some() {
            visit.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
        } else if visit.request().is_some() {
            visit.send(OK);
        }
    });
    let proxy = Proxy::before(&[&origin]);
    let answer = proxy.exchange(ASK);
    assert!(answer.truncated, "{answer:?}");
    assert_eq!((answer.text().as_str(), origin.requests().len()), ("a", 1), "and it is not asked again");
}
