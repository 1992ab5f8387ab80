//! How requests and connections end, and what the other side is told of it.

use std::sync::mpsc::channel;

use rustix::process::Signal;

use super::shop;
use crate::support::frames::{
    CANCEL, DATA, END_STREAM, Frames, GOAWAY, HEADERS, INTERNAL_ERROR, NO_ERROR, RST_STREAM, frame, get,
    post, reset,
};
use crate::support::{DEADLINE, Gate, OK, Origin, Program, Proxy, Yaml, eventually, refuses};

#[test]
fn a_request_that_the_client_resets_ends_at_the_endpoint_too() {
    let (done, over) = channel();
    let origin = Origin::start(move |visit| {
        visit.request();
        done.send(visit.closes()).expect("the test waits");
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = Frames::connect(proxy.web());
    client.send(get(1, "/"));
    origin.wait_for(1);
    client.send(reset(1, CANCEL));
    assert!(over.recv_timeout(DEADLINE).expect("the connection ends"), "closed by the proxy");
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 0);
}

#[test]
fn a_download_that_the_client_resets_ends_at_the_endpoint_too() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while visit.send("5\r\nhello\r\n") {}
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = Frames::connect(proxy.web());
    client.send(get(1, "/"));
    assert_eq!(client.next_on(1).expect("a head").kind, HEADERS);
    client.send(reset(1, CANCEL));
    origin.wait_for_ends(1);
}

#[test]
fn an_upload_that_the_client_resets_is_never_taken_for_a_whole_one() {
    for code in [NO_ERROR, CANCEL, INTERNAL_ERROR] {
        let origin = Origin::answering(OK);
        let proxy = Yaml::before(&[&origin]).workers(1).start();
        let mut client = Frames::connect(proxy.web());
        client.send([post(1, "/pay"), frame(DATA, 0, 1, b"half an ord")].concat());
        eventually("the request at the origin", || (origin.connections() == 1).then_some(()));
        client.send(reset(1, code));
        origin.wait_for_ends(1);
        assert!(origin.request().truncated, "code {code}: {:?}", origin.request());
        client.send(get(3, "/"));
        assert_eq!(client.status(3), 200);
    }
}

#[test]
fn half_an_upload_at_the_end_of_the_connection_is_never_taken_for_a_whole_one() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = Frames::connect(proxy.web());
    client.send([post(1, "/pay"), frame(DATA, 0, 1, b"half an ord")].concat());
    eventually("the request at the origin", || (origin.connections() == 1).then_some(()));
    drop(client);
    origin.wait_for_ends(1);
    assert!(origin.request().truncated);
}

#[test]
fn a_response_that_the_endpoint_breaks_off_is_reset_and_never_ended() {
    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let origin = Origin::start(move |visit| {
            visit.request();
            visit.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n"));
        });
        let proxy = Yaml::before(&[&origin]).workers(1).start();
        let mut client = Frames::connect(proxy.web());
        client.send(get(1, "/"));
        let end = loop {
            let frame = client.next_on(1).expect("an answer");
            assert!(frame.kind == RST_STREAM || frame.flags & END_STREAM == 0, "a clean end: {frame:?}");
            if frame.kind == RST_STREAM {
                break frame;
            }
        };
        assert_eq!(end.code(), INTERNAL_ERROR);
    }
}

#[test]
fn an_answer_before_the_upload_ends_is_whole_and_then_the_upload_is_refused() {
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
        visit.closes();
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = Frames::connect(proxy.web());
    client.send([post(1, "/"), frame(DATA, 0, 1, b"begun")].concat());
    assert_eq!(client.status(1), 403);
    let refused = client.next_on(1).expect("a reset");
    assert_eq!((refused.kind, refused.code()), (RST_STREAM, NO_ERROR));
    client.send([post(3, "/"), frame(DATA, END_STREAM, 3, b"whole")].concat());
    assert_eq!(client.status(3), 403);
}

#[test]
fn a_refusal_before_the_upload_ends_leaves_the_connection_open() {
    let (origin, _) = shop();
    let proxy = Yaml::before(&[&origin]).route("max_body: 10").workers(1).start();
    let mut client = Frames::connect(proxy.web());
    client.send([post(1, "/"), frame(DATA, 0, 1, [b'x'; 100])].concat());
    assert_eq!(client.status(1), 413);
    client.send([post(3, "/"), frame(DATA, END_STREAM, 3, b"fits")].concat());
    assert_eq!(client.status(3), 200);
}

/// A client with a request under way at an origin that waits for the gate.
fn busy() -> (Gate, Origin, Yaml) {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let yaml = Yaml::before(&[&origin]).workers(1);
    (gate, origin, yaml)
}

#[test]
fn sigterm_lets_streams_finish_and_says_which_ones_were_taken() {
    let (gate, origin, yaml) = busy();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    std::fs::write(&path, yaml.to_string()).expect("write");
    let program = Program::run(&path);
    let (web, _admin) = program.wait_until_listening();
    let mut client = Frames::connect(web);
    client.send(get(1, "/"));
    origin.wait_for(1);
    program.signal(Signal::TERM);
    let first = client.next_of(GOAWAY).expect("a GOAWAY");
    assert_eq!(
        (first.code(), first.last_stream()),
        (NO_ERROR, u32::MAX >> 1),
        "what is on its way is still taken"
    );
    client.send(get(3, "/"));
    let ping = client.next().expect("a PING");
    client.send(frame(ping.kind, 1, 0, &ping.payload));
    let second = client.next_of(GOAWAY).expect("another");
    assert_eq!((second.code(), second.last_stream()), (NO_ERROR, 3));
    client.send(get(5, "/"));
    eventually("the listener to close", || refuses(web).then_some(()));
    gate.open();
    let mut ended: Vec<u32> = std::iter::from_fn(|| client.next())
        .filter(|frame| frame.ends_stream())
        .map(|frame| frame.stream)
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, [1, 3], "and then the end of the connection");
    assert_eq!(program.exit_code(), Some(0));
    assert_eq!(origin.requests().len(), 2, "the third may be sent elsewhere");
}

#[test]
fn a_removed_listener_says_goodbye_to_idle_connections_and_lets_busy_ones_finish() {
    let (gate, origin, yaml) = busy();
    let both =
        yaml.clone().listeners("web: { address: \"127.0.0.1:0\" }, extra: { address: \"127.0.0.1:0\" }");
    let proxy = both.start();
    let extra = proxy.listener("extra").expect("the listener");
    let (mut idle, mut running) = (Frames::connect(extra), Frames::connect(extra));
    running.send(get(1, "/"));
    origin.wait_for(1);
    assert_eq!(proxy.reload(&yaml.to_string()).status(), 200);
    assert_eq!(idle.goodbye().expect("a GOAWAY").code(), NO_ERROR);
    running.next_of(GOAWAY).expect("a GOAWAY");
    gate.open();
    assert_eq!(running.status(1), 200);
    while running.next().is_some() {}
}

#[test]
fn a_client_that_goes_away_takes_all_its_requests_with_it() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.closes();
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = Frames::connect(proxy.web());
    client.send((0..10u32).flat_map(|number| get(2 * number + 1, "/")).collect::<Vec<_>>());
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 10);
    drop(client);
    origin.wait_for_ends(10);
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 0);
    nothing_is_open(&proxy);
}

fn nothing_is_open(proxy: &Proxy) {
    let labels = [("listener", "web")];
    proxy.metrics_when(|metrics| metrics.count("tillgate_connections", &labels) == 0);
}
