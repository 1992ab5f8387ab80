//! Clients that send much and want nothing: each is stopped, and the others are served meanwhile.

use std::net::TcpStream;

use super::shop;
use crate::support::frames::{
    self, ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, Frames, GOAWAY,
    HEADERS, PING, PRIORITY, PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, field, frame, get,
    post, reset, window,
};
use crate::support::{Gate, Origin, Proxy, Yaml, eventually};

/// Writes of a hundred frames each.
const MOST: usize = 100_000;

/// Sends the same bytes until the connection is ended. What it ends with.
fn flood(proxy: &Proxy, begin: &[u8], bytes: &[u8]) -> Frame {
    let mut client = Frames::connect(proxy.web());
    client.send(begin);
    let socket: TcpStream = client.stream().try_clone().expect("clone");
    let again = bytes.repeat(100);
    let flooding = std::thread::spawn(move || {
        use std::io::Write;
        let mut socket = socket;
        // Ten million frames at most: more than any allowance and any buffer.
        (0..MOST).take_while(|_| socket.write_all(&again).is_ok()).count()
    });
    let goodbye = client.goodbye().expect("a GOAWAY before the end");
    drop(client);
    let sent = flooding.join().expect("no panic");
    assert!(sent < MOST, "it was never stopped");
    assert_eq!(proxy.get("/").status(), 200, "others are served");
    goodbye
}

fn stopped(proxy: &Proxy, cause: &str) {
    let labels = [("listener", "web"), ("cause", cause)];
    proxy.metrics_when(|metrics| metrics.count("tillgate_http2_connections_ended_total", &labels) == 1);
}

#[test]
fn a_flood_of_pings_is_ended() {
    let (_origin, proxy) = shop();
    let goodbye = flood(&proxy, &[], &frame(PING, 0, 0, [0; 8]));
    assert_eq!((goodbye.code(), &goodbye.payload[8..]), (ENHANCE_YOUR_CALM, &b"too many control frames"[..]));
    stopped(&proxy, "control_frames");
}

#[test]
fn a_flood_of_answers_to_pings_is_ended() {
    let (_origin, proxy) = shop();
    assert_eq!(flood(&proxy, &[], &frame(PING, ACK, 0, [0; 8])).code(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_flood_of_settings_is_ended() {
    let (_origin, proxy) = shop();
    assert_eq!(flood(&proxy, &[], &frame(SETTINGS, 0, 0, [])).code(), ENHANCE_YOUR_CALM);
    stopped(&proxy, "control_frames");
}

#[test]
fn settings_of_a_thousand_entries_count_for_many() {
    let (_origin, proxy) = shop();
    let goodbye = flood(&proxy, &[], &frame(SETTINGS, 0, 0, [0, 0x99, 0, 0, 0, 1].repeat(1000)));
    assert_eq!(goodbye.code(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_flood_of_priorities_is_ended() {
    let (_origin, proxy) = shop();
    assert_eq!(flood(&proxy, &[], &frame(PRIORITY, 0, 1, [0, 0, 0, 0, 1])).code(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_flood_of_unknown_frames_is_ended() {
    let (_origin, proxy) = shop();
    assert_eq!(flood(&proxy, &[], &frame(0xee, 0, 0, b"?")).code(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_flood_of_window_updates_is_ended() {
    let (_origin, proxy) = shop();
    assert_eq!(flood(&proxy, &window(0, 1), &window(0, 1)).code(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_flood_of_empty_data_is_ended() {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    gate.open();
    assert_eq!(flood(&proxy, &post(1, "/"), &frame(DATA, 0, 1, [])).code(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_flood_of_data_that_is_all_padding_is_ended() {
    let (_origin, proxy) = shop();
    const PADDED: u8 = 8;
    let padding = [&[254][..], &[0; 254]].concat();
    assert_eq!(flood(&proxy, &post(1, "/"), &frame(DATA, PADDED, 1, padding)).code(), ENHANCE_YOUR_CALM);
}

#[test]
fn a_header_block_without_end_is_ended() {
    let (origin, proxy) = shop();
    let begin = frame(HEADERS, END_STREAM, 1, block("GET", "/", &[]));
    for more in [vec![], field("x-more", "and more")] {
        let goodbye = flood(&proxy, &begin, &frame(CONTINUATION, 0, 1, more));
        assert_eq!(goodbye.code(), ENHANCE_YOUR_CALM);
    }
    assert!(origin.requests().iter().all(|request| request.all("x-more").is_empty()));
}

#[test]
fn a_header_block_that_unfolds_to_more_than_allowed_is_refused() {
    let (origin, proxy) = shop();
    let mut client = Frames::connect(proxy.web());
    // A field of 4,000 bytes goes into the table once, and is named a thousand times by one byte each.
    let value = vec![b'a'; 4000];
    let entry = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &value].concat();
    let bomb = [block("GET", "/", &[]), entry, vec![0xbe; 1000]].concat();
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, bomb));
    assert_eq!(client.goodbye().expect("a GOAWAY").code(), ENHANCE_YOUR_CALM);
    assert_eq!(origin.requests().len(), 0);
    assert_eq!(proxy.get("/").status(), 200);
}

#[test]
fn a_head_larger_than_allowed_is_answered_431_and_the_connection_goes_on() {
    let origin = Origin::answering(crate::support::OK);
    let proxy = Yaml::before(&[&origin]).limits("max_header_bytes: 8KiB").start();
    let mut client = Frames::connect(proxy.web());
    let more: Vec<(String, String)> =
        (0..100).map(|number| (format!("x-{number}"), "v".repeat(100))).collect();
    let more: Vec<(&str, &str)> = more.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block("GET", "/", &more)));
    assert_eq!(client.status(1), 431);
    client.send(get(3, "/"));
    assert_eq!(client.status(3), 200);
}

/// An origin that holds its requests, and how many it has had in all.
fn holding() -> (Gate, Origin, Proxy) {
    let gate = Gate::default();
    let origin = Origin::behind(&gate);
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    (gate, origin, proxy)
}

#[test]
fn requests_that_are_cancelled_at_once_are_stopped_before_they_flood_the_endpoint() {
    let (gate, origin, proxy) = holding();
    let mut client = Frames::connect(proxy.web());
    let mut sent = 0u32;
    while sent < 2000 {
        let stream = 2 * sent + 1;
        // Each pair in a write of its own, as an attacker does who knows what is counted within one read.
        if !client.try_send([get(stream, "/"), reset(stream, CANCEL)].concat()) {
            break;
        }
        sent += 1;
        if sent.is_multiple_of(8) {
            // The proxy has seen them by the time it answers: they do not arrive in one read.
            if !client.try_send(frame(PING, 0, 0, [0; 8])) || client.next_of(PING).is_none() {
                break;
            }
        }
    }
    assert!(sent < 2000, "it was never stopped");
    stopped(&proxy, "cancelled_requests");
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 0);
    assert!(origin.connections() < 400, "{} connections", origin.connections());
    gate.open();
    assert_eq!(proxy.get("/").status(), 200);
}

#[test]
fn requests_that_are_cancelled_in_the_read_they_came_in_never_reach_the_endpoint() {
    let (gate, origin, proxy) = holding();
    let mut client = Frames::connect(proxy.web());
    let flood: Vec<u8> = (0..1000u32)
        .flat_map(|number| [get(2 * number + 1, "/"), reset(2 * number + 1, CANCEL)].concat())
        .collect();
    client.try_send(flood);
    assert_eq!(client.goodbye().expect("a GOAWAY").code(), ENHANCE_YOUR_CALM);
    assert!(origin.connections() < 400, "{} connections", origin.connections());
    gate.open();
    assert_eq!(proxy.get("/").status(), 200);
}

/// CVE-2025-8671: the client makes the server reset its streams.
#[test]
fn resets_that_the_client_provokes_are_cancelled_requests_too() {
    type Provoke = fn(u32) -> Vec<u8>;
    let provocations: [(&str, Provoke); 3] = [
        ("a window of nothing", |stream| window(stream, 0)),
        ("a window too large", |stream| [window(stream, 0x7fff_ffff), window(stream, 0x7fff_ffff)].concat()),
        ("a priority on itself", |stream| {
            frame(PRIORITY, 0, stream, [&stream.to_be_bytes()[..], &[1]].concat())
        }),
    ];
    for (what, provoke) in provocations {
        let (gate, origin, proxy) = holding();
        let mut client = Frames::connect(proxy.web());
        let mut number = 0;
        let end = loop {
            let stream = 2 * number + 1;
            if number == 2000 || !client.try_send([get(stream, "/"), provoke(stream)].concat()) {
                break client.goodbye();
            }
            number += 1;
            match client.next() {
                Some(frame) if frame.kind == GOAWAY => break Some(frame),
                Some(_) => {}
                None => break None,
            }
        };
        assert!(number < 2000, "{what}: never stopped");
        if let Some(goodbye) = end {
            assert!([ENHANCE_YOUR_CALM, PROTOCOL_ERROR].contains(&goodbye.code()), "{what}: {goodbye:?}");
        }
        proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 0);
        assert!(origin.connections() < 1100, "{what}: {} connections", origin.connections());
        gate.open();
        assert_eq!(proxy.get("/").status(), 200, "{what}");
    }
}

#[test]
fn a_client_that_leaves_a_page_may_cancel_all_that_it_has_under_way() {
    let (gate, _origin, proxy) = holding();
    let mut client = Frames::connect(proxy.web());
    let streams = || (0..100u32).map(|number| 2 * number + 1);
    client.send(streams().flat_map(|stream| get(stream, "/")).collect::<Vec<_>>());
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 100);
    client.send(streams().flat_map(|stream| reset(stream, CANCEL)).collect::<Vec<_>>());
    proxy.endpoints_when("shop", |endpoints| endpoints[0]["in_flight"] == 0);
    gate.open();
    client.send(get(201, "/"));
    assert_eq!(client.status(201), 200);
}

#[test]
fn more_streams_than_allowed_are_refused_and_may_be_asked_again() {
    let (gate, origin, proxy) = holding();
    let proxy = {
        drop(proxy);
        Yaml::before(&[&origin]).limits("max_streams: 3").workers(1).start()
    };
    let mut client = Frames::connect(proxy.web());
    for stream in [1, 3, 5, 7] {
        client.send(get(stream, "/"));
    }
    let refused = client.next_of(RST_STREAM).expect("one too many");
    const REFUSED_STREAM: u32 = 7;
    assert_eq!((refused.stream, refused.code()), (7, REFUSED_STREAM));
    gate.open();
    let answered: usize = std::iter::from_fn(|| client.next_of(HEADERS)).take(3).count();
    assert_eq!(answered, 3);
    client.send(get(9, "/"));
    assert_eq!(client.status(9), 200);
    assert_eq!(origin.requests().len(), 4);
}

#[test]
fn what_a_client_may_have_unread_is_said_in_the_settings() {
    let (_origin, proxy) = shop();
    let mut client = Frames::connect(proxy.web());
    let settings = client.next_of(SETTINGS).expect("settings");
    let value = |name: u16| {
        let pairs = settings.payload.chunks(6);
        let mut found = pairs.filter(|pair| pair[..2] == name.to_be_bytes());
        found.next().map(|pair| u32::from_be_bytes(pair[2..].try_into().expect("four bytes")))
    };
    let (table, streams, stream_window, header_list) = (1, 3, 4, 6);
    assert_eq!((value(streams), value(stream_window)), (Some(128), Some(262_144)));
    assert_eq!((value(header_list), value(table).unwrap_or(4096)), (Some(65_536), 4096));
    let update = client.next_of(WINDOW_UPDATE).expect("the window of the connection");
    let more = u32::from_be_bytes(update.payload[..4].try_into().expect("four bytes"));
    assert_eq!((update.stream, more + 65_535), (0, 1 << 20));
}

#[test]
fn a_client_whose_windows_follow_each_piece_is_no_flood() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 6000000\r\n\r\n");
        visit.send(vec![b'x'; 6_000_000]);
        visit.closes();
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    // Frames of 1 KiB each, and two updates for each of them: 12,000 control frames.
    let mut client = Frames::with(proxy.web(), &[(4, 1024)]);
    client.send(get(1, "/"));
    let mut read = 0;
    while read < 6_000_000 {
        let frame = client.next_on(1).expect("the connection goes on");
        if frame.kind == DATA && !frame.payload.is_empty() {
            let length = u32::try_from(frame.payload.len()).expect("short");
            read += length;
            client.send([frames::window(1, length), frames::window(0, length)].concat());
        }
    }
    let name = "tillgate_http2_connections_ended_total";
    eventually("metrics", || Some(proxy.metrics().count(name, &[])).filter(|count| *count == 0));
}
