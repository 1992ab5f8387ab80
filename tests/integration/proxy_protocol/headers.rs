//! The header itself on the wire: in pieces, too late, too long, broken.

use std::time::{Duration, Instant};

use super::{GET, forwarded_for, line, optional, reading, rejected, rejected_at_all, requiring};
use crate::support::{Client, OK, Origin, eventually};

/// A header of version 2 with this much behind its length.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("a length").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length, block].concat()
}

/// The addresses of a client, of a server, and their ports.
const BLOCK: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xDC, 0x04, 0x01, 0xBB];

/// One value behind the addresses.
fn value(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a length").to_be_bytes();
    [[kind].as_slice(), &length, bytes].concat()
}

fn good() -> Vec<Vec<u8>> {
    let values = [value(0x02, b"shop.example"), value(0x04, &[0; 300])].concat();
    vec![
        line("192.0.2.7").into_bytes(),
        binary(0x21, 0x11, &BLOCK),
        binary(0x21, 0x11, &[BLOCK.as_slice(), &values].concat()),
    ]
}

#[test]
fn a_header_may_come_with_the_request_in_one_piece() {
    for header in good() {
        let origin = Origin::answering(OK);
        let proxy = requiring(&origin);
        let both = [header.as_slice(), GET.as_bytes()].concat();
        assert_eq!(proxy.exchange(both).status(), 200);
        assert_eq!(forwarded_for(&origin), "192.0.2.7");
    }
}

#[test]
fn a_header_may_come_byte_by_byte() {
    for header in good() {
        let origin = Origin::answering(OK);
        for proxy in [requiring(&origin), optional(&origin)] {
            let mut client = proxy.client();
            for byte in [header.as_slice(), GET.as_bytes()].concat() {
                client.send([byte]);
            }
            assert_eq!(client.response().status(), 200);
        }
        assert!(origin.requests().iter().all(|one| one.header("x-forwarded-for") == Some("192.0.2.7")));
    }
}

#[test]
fn a_header_may_be_cut_anywhere() {
    let origin = Origin::answering(OK);
    let proxy = requiring(&origin);
    for header in &good()[..2] {
        let both = [header.as_slice(), GET.as_bytes()].concat();
        for cut in 1..header.len() + 2 {
            let mut client = proxy.client();
            client.send(&both[..cut]).send(&both[cut..]);
            assert_eq!(client.response().status(), 200, "{cut}");
        }
    }
    assert!(origin.requests().iter().all(|one| one.header("x-forwarded-for") == Some("192.0.2.7")));
}

#[test]
fn a_large_request_right_behind_a_header_is_whole() {
    let origin = Origin::answering(OK);
    let proxy = requiring(&origin);
    let body = "x".repeat(300_000);
    let post = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    assert_eq!(proxy.exchange(line("192.0.2.7") + &post).status(), 200);
    assert_eq!(origin.request().body.len(), body.len());
}

/// Of a proxy itself, or of somebody without an address.
fn naming_nobody() -> [Vec<u8>; 6] {
    [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
        binary(0x20, 0x00, &[]),
        binary(0x20, 0x11, &BLOCK),
        binary(0x21, 0x00, &[1, 2, 3]),
        binary(0x21, 0x31, &[0; 216]),
    ]
}

#[test]
fn a_proxys_own_connections_and_other_families_are_served_as_the_peers() {
    for header in naming_nobody() {
        let origin = Origin::answering(OK);
        let proxy = requiring(&origin);
        assert_eq!(proxy.exchange([header.as_slice(), GET.as_bytes()].concat()).status(), 200);
        assert_eq!(forwarded_for(&origin), "127.0.0.1");
    }
}

#[test]
fn what_a_client_that_the_header_does_not_name_says_of_itself_is_not_believed() {
    let claimed = "GET / HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-for: 203.0.113.9\r\n\
                   x-forwarded-proto: https\r\nx-request-id: mine\r\n\r\n";
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    let logged = format!("access_log: {{ path: \"{}\", format: json }}", log.display());
    let proxy = reading(&origin, "optional", "").line(&logged).start();
    for header in naming_nobody() {
        assert_eq!(proxy.exchange([header.as_slice(), claimed.as_bytes()].concat()).status(), 200);
    }
    for got in origin.requests() {
        assert_eq!(got.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(got.header("x-forwarded-proto"), Some("http"));
        assert_ne!(got.header("x-request-id"), Some("mine"));
    }
    // Without a header, the peer speaks for itself.
    assert_eq!(proxy.exchange(claimed).status(), 200);
    let last = origin.requests().pop().expect("a request");
    assert_eq!(last.header("x-forwarded-for"), Some("203.0.113.9, 127.0.0.1"));
    let text = eventually("seven lines", || {
        std::fs::read_to_string(&log).ok().filter(|text| text.lines().count() == 7)
    });
    let named = |client: &str| text.matches(&format!("\"client\":\"{client}\"")).count();
    assert_eq!((named("127.0.0.1"), named("203.0.113.9")), (6, 1), "{text}");
}

#[test]
fn the_address_of_a_proxy_explains_nothing_to_a_client_that_its_header_does_not_name() {
    let origin = Origin::answering(OK);
    let yaml = reading(&origin, "optional", "").line("explain_header: { addresses: [127.0.0.0/8] }");
    let proxy = yaml.start();
    for header in naming_nobody() {
        let got = proxy.exchange([header.as_slice(), GET.as_bytes()].concat());
        assert_eq!((got.status(), got.header("x-tillgate-endpoint")), (200, None));
    }
    assert!(proxy.get("/").header("x-tillgate-endpoint").is_some());
}

#[test]
fn a_client_that_the_header_does_not_name_chooses_no_route_by_its_scheme() {
    let origin = Origin::answering(OK);
    let routes = "{ match: { path_prefix: /, scheme: https }, upstream: shop }";
    let proxy = reading(&origin, "optional", "").routes(routes).start();
    let claimed = "GET / HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-proto: https\r\n\r\n";
    assert_eq!(proxy.exchange(claimed).status(), 200);
    for header in naming_nobody() {
        assert_eq!(proxy.exchange([header.as_slice(), claimed.as_bytes()].concat()).status(), 404);
    }
}

#[test]
fn an_ipv6_client_is_told_of_and_one_that_stands_for_ipv4_is_that() {
    for (client, told) in [("2001:db8::7", "2001:db8::7"), ("::ffff:192.0.2.7", "192.0.2.7")] {
        let origin = Origin::answering(OK);
        let proxy = requiring(&origin);
        let header = format!("PROXY TCP6 {client} 2001:db8::1 56324 443\r\n");
        assert_eq!(proxy.exchange(header + GET).status(), 200);
        assert_eq!(forwarded_for(&origin), told);
    }
}

#[test]
fn a_broken_header_closes_the_connection_and_is_counted_by_what_is_wrong() {
    let origin = Origin::answering(OK);
    for proxy in [requiring(&origin), optional(&origin)] {
        let wrong_sum = [BLOCK.as_slice(), &value(0x03, &[1, 2, 3, 4])].concat();
        let cases = [
            ("proxy_malformed", b"PROXY TCP4 192.0.2.7\r\n".to_vec()),
            ("proxy_malformed", b"PROXY TCP4 192.0.2.7 198.51.100.1 +5 443\r\n".to_vec()),
            ("proxy_malformed", binary(0x31, 0x11, &BLOCK)),
            ("proxy_malformed", binary(0x21, 0x11, &BLOCK[..8])),
            ("proxy_too_long", format!("PROXY UNKNOWN {}", "x".repeat(93)).into_bytes()),
            ("proxy_too_long", binary(0x21, 0x11, &[0; 5000])[..16].to_vec()),
            ("proxy_checksum", binary(0x21, 0x11, &wrong_sum)),
        ];
        for (cause, bytes) in &cases {
            let before = rejected(&proxy, cause);
            proxy.client().send(bytes).expect_closed();
            assert_eq!(rejected(&proxy, cause), before + 1, "{cause}");
        }
        assert_eq!(rejected_at_all(&proxy), 7);
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_header_of_4096_bytes_is_read() {
    let origin = Origin::answering(OK);
    let proxy = requiring(&origin);
    let block = [BLOCK.as_slice(), &value(0x04, &[0; 4096 - 16 - 12 - 3])].concat();
    let both = [binary(0x21, 0x11, &block), GET.into()].concat();
    assert_eq!(proxy.exchange(both).status(), 200);
    assert_eq!(forwarded_for(&origin), "192.0.2.7");
}

#[test]
fn a_connection_that_ends_within_its_header_is_counted_and_one_without_a_byte_is_not() {
    let origin = Origin::answering(OK);
    for proxy in [requiring(&origin), optional(&origin)] {
        // As a check does that only asks whether somebody accepts.
        proxy.client().finish().expect_closed();
        assert_eq!(rejected_at_all(&proxy), 0);
        proxy.client().send("PROXY TCP4 192").finish().expect_closed();
        assert_eq!(rejected(&proxy, "proxy_incomplete"), 1);
        assert_eq!(rejected_at_all(&proxy), 1);
    }
}

#[test]
fn a_header_has_to_be_there_within_the_header_timeout() {
    let origin = Origin::answering(OK);
    let proxy = reading(&origin, "require", "header_timeout: 300ms").start();
    let start = Instant::now();
    proxy.client().expect_closed();
    proxy.client().send("PROXY TCP4 ").expect_closed();
    assert!(start.elapsed() < Duration::from_secs(20), "not the idle timeout");
    assert_eq!(rejected(&proxy, "proxy_timeout"), 2);
}

#[test]
fn a_header_that_trickles_in_does_not_gain_time_by_it() {
    let origin = Origin::answering(OK);
    for mode in ["require", "optional"] {
        let proxy = reading(&origin, mode, "header_timeout: 300ms").start();
        let mut client = proxy.client();
        let trickle = std::iter::repeat_n(b"x", 60);
        client.send("PROXY UNKNOWN ");
        let taken = trickle.take_while(|byte| {
            std::thread::sleep(Duration::from_millis(20));
            client.try_send(byte)
        });
        assert!(taken.count() < 60, "{mode}");
        assert_eq!(rejected(&proxy, "proxy_timeout"), 1, "{mode}");
    }
}

#[test]
fn who_need_not_send_a_header_may_wait_as_long_as_any_client() {
    let origin = Origin::answering(OK);
    let listener = "idle_timeout: 300ms, header_timeout: 60s";
    let yaml = reading(&origin, "optional", "").to_string().replace("idle_timeout: 60s, ", listener);
    let proxy = crate::support::Proxy::start(&yaml);
    proxy.client().expect_closed();
    assert_eq!(rejected_at_all(&proxy), 0);
}

#[test]
fn who_need_not_send_a_header_is_served_after_a_quiet_while() {
    let origin = Origin::answering(OK);
    let proxy = optional(&origin);
    let mut clients = [GET.to_owned(), line("192.0.2.7") + GET].map(|begin| (proxy.client(), begin));
    // Longer than it takes a connection to rest.
    std::thread::sleep(Duration::from_secs(2));
    for (client, begin) in &mut clients {
        assert_eq!(client.send(&*begin).response().status(), 200, "{begin}");
    }
    assert_eq!(rejected_at_all(&proxy), 0);
}

#[test]
fn a_connection_that_waits_for_its_header_does_not_hold_up_a_drain() {
    let origin = Origin::answering(OK);
    for mode in ["require", "optional"] {
        let yaml = reading(&origin, mode, "header_timeout: 60s");
        let proxy = yaml.clone().drain_timeout("15s").start();
        let mut waiting = [(); 8].map(|()| proxy.client());
        for client in &mut waiting {
            client.send("PROXY TCP4");
        }
        let moved = yaml.to_string().replace("web:", "other:");
        assert_eq!(proxy.reload(&moved).status(), 200);
        waiting.iter_mut().for_each(Client::expect_closed);
    }
}
