//! Requests that share a connection do not share their fate.

use super::shop;
use crate::support::frames::{CANCEL, DATA, END_STREAM, Frames, HEADERS, frame, get, post, reset, window};
use crate::support::{Gate, OK, Origin, Yaml};

#[test]
fn a_hundred_requests_are_under_way_at_once() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = Frames::connect(proxy.web());
    client.send((0..100u32).flat_map(|number| get(2 * number + 1, "/")).collect::<Vec<_>>());
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 100);
    gate.open();
    let heads = std::iter::from_fn(|| client.next_of(HEADERS)).take(100);
    assert!(heads.map(|head| head.status()).all(|status| status == 200));
}

#[test]
fn one_that_fails_ends_none_of_the_others() {
    let gate = Gate::default();
    let pass = gate.clone();
    let origin = Origin::start(move |visit| {
        while let Some(request) = visit.request() {
            match request.asks() {
                "GET /held" => pass.pass(),
                "GET /cut" => {
                    visit.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello");
                    return;
                }
                "GET /reset" => return,
                "GET /nonsense" => {
                    visit.send("nonsense\r\n\r\n");
                    return;
                }
                _ => {}
            }
            visit.send(OK);
        }
    });
    let proxy = Yaml::before(&[&origin]).route("retry: off").workers(1).start();
    let mut client = Frames::connect(proxy.web());
    client.send(get(1, "/held"));
    for (stream, path) in [(3, "/cut"), (5, "/reset"), (7, "/nonsense")] {
        client.send(get(stream, path));
        while !client.next_on(stream).expect("the connection goes on").ends_stream() {}
    }
    client.send([post(9, "/"), reset(9, CANCEL), get(11, "/")].concat());
    assert_eq!(client.status(11), 200);
    gate.open();
    assert_eq!(client.status(1), 200);
}

#[test]
fn one_that_is_not_read_holds_up_none_of_the_others() {
    let origin = Origin::start(|visit| {
        while let Some(request) = visit.request() {
            if request.asks() == "GET /large" {
                visit.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
                visit.send(vec![b'x'; 1_000_000]);
            } else {
                visit.send(OK);
            }
        }
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = Frames::connect(proxy.web());
    client.send([window(0, 10_000_000), get(1, "/large")].concat());
    let mut read = 0;
    while read < 65_535 {
        read += client.next_on(1).filter(|frame| frame.kind == DATA).map_or(0, |frame| frame.payload.len());
    }
    for stream in [3, 5, 7] {
        client.send(get(stream, "/"));
        assert_eq!(client.status(stream), 200);
    }
    client.send(window(1, 10_000_000));
    while read < 1_000_000 {
        read += client.next_on(1).expect("the rest").payload.len();
    }
}

#[test]
fn an_upload_that_its_endpoint_does_not_take_holds_up_none_of_the_others() {
    let gate = Gate::default();
    let pass = gate.clone();
    let origin = Origin::start(move |visit| {
        while let Some(head) = visit.request_head() {
            if head.asks() == "POST /held" {
                pass.pass();
                return;
            }
            visit.send(OK);
        }
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = Frames::connect(proxy.web()).settled();
    client.send(post(1, "/held"));
    // As much as the client may send of one stream: more than the sockets hold is not taken.
    client.send((0..16).flat_map(|_| frame(DATA, 0, 1, [0; 16_000])).collect::<Vec<_>>());
    client.send(get(3, "/"));
    assert_eq!(client.status(3), 200);
    gate.open();
    while !client.next_on(1).expect("an end").ends_stream() {}
}

#[test]
fn a_window_that_opens_byte_by_byte_is_served_byte_by_byte() {
    let (_origin, proxy) = shop();
    const INITIAL_WINDOW: u16 = 4;
    let mut client = Frames::with(proxy.web(), &[(INITIAL_WINDOW, 1)]);
    client.send(get(1, "/"));
    assert_eq!(client.next_on(1).expect("a head").status(), 200);
    assert_eq!(client.next_on(1).expect("a byte").payload, b"o");
    client.send(window(1, 1));
    let last = client.next_on(1).expect("a byte");
    assert_eq!((last.payload.as_slice(), last.flags & END_STREAM), (&b"k"[..], END_STREAM));
}
