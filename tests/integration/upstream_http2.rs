//! HTTP/2 to endpoints: what goes through, who shares a connection, and what is safe to send again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::support::peer::{self, Peer};
use crate::support::{Client, Gate, LARGE, Origin, Proxy, Shop, Yaml, ask2, eventually, http1_shop, ok_with};

/// One worker, so that there is one pool, before these endpoints in turn.
fn shop(addresses: &[SocketAddr], more: &str) -> Yaml {
    let addresses: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    let endpoints = addresses.join(", ");
    // Long enough for a busy machine.
    let patient = if more.contains("connection:") { "" } else { ", connection: { connect_timeout: 10s }" };
    Yaml::new(&format!("strategy: round_robin, protocol: h2, endpoints: [{endpoints}]{more}{patient}"))
        .workers(1)
}

fn before(shops: &[&Shop]) -> Proxy {
    let addresses: Vec<SocketAddr> = shops.iter().map(|shop| shop.address()).collect();
    shop(&addresses, "").start()
}

/// What a message came to, whichever version it was asked in.
#[derive(Debug, PartialEq)]
struct Came {
    status: u16,
    bytes: usize,
    trailer: Option<String>,
    broken: bool,
}

fn ask1(address: SocketAddr, method: &str, path: &str, body: Option<&str>, trailer: bool) -> Came {
    let mut client = Client::connect(address);
    let framing = match (body, trailer) {
        (Some(_), true) => "transfer-encoding: chunked\r\ntrailer: x-sum\r\n".to_owned(),
        (Some(body), false) => format!("content-length: {}\r\n", body.len()),
        (None, _) => String::new(),
    };
    let body = match (body, trailer) {
        (Some(body), true) => format!("{:x}\r\n{body}\r\n0\r\nx-sum: 5\r\n\r\n", body.len()),
        (body, _) => body.unwrap_or_default().to_owned(),
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: shop.example\r\nte: trailers\r\nconnection: te\r\n{framing}\r\n"
    );
    // The endpoint may answer before it has all.
    client.try_send(head + &body);
    let message = client.response_to(method).expect("a head");
    let trailer = message.trailers.iter().find_map(|line| line.strip_prefix("x-sum: "));
    Came {
        status: message.status(),
        bytes: message.body.len(),
        trailer: trailer.map(str::to_owned),
        broken: message.truncated,
    }
}

fn asked2(address: SocketAddr, method: &str, path: &str, body: Option<&str>, trailer: bool) -> Came {
    let trailers = trailer
        .then(|| HeaderMap::from_iter([("x-sum".parse().expect("a name"), "5".parse().expect("a value"))]));
    let came = ask2(address, method, path, body.map(|body| body.as_bytes().to_vec()), trailers);
    let trailer = came.trailers.get("x-sum").and_then(|value| value.to_str().ok()).map(str::to_owned);
    Came { status: came.status, bytes: came.body.len(), trailer, broken: came.broken }
}

/// Method, path, body, whether a trailer follows it; and what comes: status, bytes, trailer, whether it breaks off.
type Case<'a> = (&'a str, &'a str, Option<&'a str>, bool, (u16, usize, Option<&'a str>, bool));

#[test]
fn every_pairing_of_versions_passes_every_kind_of_message() {
    let large = "x".repeat(2 << 20);
    let cases: [Case<'_>; 12] = [
        ("GET", "/echo", None, false, (200, 0, None, false)),
        ("POST", "/echo", Some("hello"), false, (200, 5, None, false)),
        ("POST", "/echo", Some(""), false, (200, 0, None, false)),
        ("POST", "/echo", Some("hello"), true, (200, 5, Some("5"), false)),
        ("POST", "/echo", Some(&large), false, (200, 2 << 20, None, false)),
        ("GET", "/large", None, false, (200, LARGE, None, false)),
        ("HEAD", "/status/200", None, false, (200, 0, None, false)),
        ("GET", "/status/204", None, false, (204, 0, None, false)),
        ("GET", "/status/304", None, false, (304, 0, None, false)),
        ("GET", "/status/500", None, false, (500, 0, None, false)),
        ("GET", "/trailers", None, false, (200, 2, Some("5"), false)),
        ("GET", "/broken", None, false, (200, 4, None, true)),
    ];
    let (one, two) = (http1_shop(), Shop::start());
    let from_one = Yaml::before(&[&one]).workers(1).start();
    let from_two = before(&[&two]);
    for (method, path, body, trailer, (status, bytes, expected, broken)) in cases {
        let wanted = Came { status, bytes, trailer: expected.map(str::to_owned), broken };
        for (to, proxy) in [("http1", &from_one), ("h2", &from_two)] {
            let came = ask1(proxy.web(), method, path, body, trailer);
            assert_eq!(came, wanted, "{method} {path} from http1 to {to}");
            let came = asked2(proxy.web(), method, path, body, trailer);
            assert_eq!(came, wanted, "{method} {path} from h2 to {to}");
        }
    }
}

#[test]
fn a_trailer_that_nobody_announced_is_no_way_around_what_headers_may_not_say() {
    let two = Shop::start();
    let proxy = before(&[&two]);
    let names = ["x-sum", "x-forwarded-for", "x_real_ip", "cookie", "x-request-id"];
    let trailers = names.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("5")));
    let came =
        ask2(proxy.web(), "POST", "/echo", Some(b"hello".to_vec()), Some(HeaderMap::from_iter(trailers)));
    assert_eq!((came.status, came.body.as_slice()), (200, &b"hello"[..]));
    let echoed: Vec<_> = came.trailers.keys().map(HeaderName::as_str).collect();
    assert_eq!(echoed, ["x-sum"]);
}

#[test]
fn an_answer_that_comes_before_the_body_has_ended_goes_through() {
    let two = Shop::start();
    let proxy = before(&[&two]);
    let mut client = proxy.client();
    client.send("POST /early HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 1000\r\n\r\nhalf");
    let answer = client.response();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "early"));
    // Others on the connection to the endpoint are none the worse for it.
    assert_eq!(proxy.client().post("/echo", "hello").text(), "hello");
    assert_eq!(two.connections(), 1);
}

#[test]
fn a_head_is_said_in_the_words_of_http_2() {
    let two = Shop::start();
    let proxy = before(&[&two]);
    proxy.exchange("GET /status/200?a=b HTTP/1.1\r\nhost: shop.example:8080\r\nte: gzip, trailers\r\nconnection: te, keep-alive\r\nkeep-alive: 5\r\n\r\n");
    proxy.client().post("/echo", "hello");
    let chunked =
        "POST /echo HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    assert_eq!(proxy.exchange(chunked).text(), "a");
    assert_eq!(
        two.requests(),
        [
            "GET http://shop.example:8080/status/200?a=b; trailers; -",
            "POST http://shop.example/echo; -; 5",
            "POST http://shop.example/echo; -; -",
        ]
    );
}

/// Sends so many requests side by side, and hands their clients over.
fn together(proxy: &Proxy, count: usize, path: &str) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n"));
    }
    clients
}

#[test]
fn the_first_requests_share_one_connection() {
    let two = Shop::start();
    let proxy = before(&[&two]);
    for mut client in together(&proxy, 50, "/status/200") {
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(two.connections(), 1);
}

#[test]
fn a_connection_that_is_full_gets_another_beside_it() {
    let two = Shop::start();
    let proxy = shop(&[two.address()], ", connection: { max_streams: 2, connect_timeout: 10s }").start();
    let held = together(&proxy, 5, "/hang");
    eventually("requests at the endpoint", || (two.requests().len() == 5).then_some(()));
    assert_eq!(two.connections(), 3);
    drop(held);
    two.wait_for_cancels(5);
    assert_eq!(proxy.get("/status/200").status(), 200);
    assert_eq!(two.connections(), 3, "one of them serves");
}

const MAX_CONCURRENT_STREAMS: u16 = 3;

#[test]
fn no_connection_gets_more_streams_than_the_endpoint_allows() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |visit| {
        let Some(mut peer) = Peer::begin(visit, &[(MAX_CONCURRENT_STREAMS, 1)]) else { return };
        while let Some(stream) = peer.request() {
            held.pass();
            peer.answer(stream);
        }
    });
    let proxy = shop(&[origin.address()], "").start();
    let clients = together(&proxy, 4, "/");
    eventually("connections", || (origin.connections() == 4).then_some(()));
    gate.open();
    for mut client in clients {
        assert_eq!(client.response().text(), "ok");
    }
}

#[test]
fn a_client_that_goes_away_takes_its_request_back() {
    let two = Shop::start();
    let proxy = before(&[&two]);
    let clients = together(&proxy, 3, "/hang");
    eventually("requests at the endpoint", || (two.requests().len() == 3).then_some(()));
    drop(clients);
    two.wait_for_cancels(3);
    assert_eq!(proxy.get("/status/200").status(), 200);
    assert_eq!(two.connections(), 1);
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_else() {
    let two = Shop::start();
    let proxy = before(&[&two]);
    let slow = together(&proxy, 5, "/large");
    eventually("slow requests", || (two.requests().len() == 5).then_some(()));
    assert_eq!(proxy.get("/large").body.len(), LARGE);
    assert_eq!(two.connections(), 1);
    for mut client in slow {
        assert_eq!(client.response().body.len(), LARGE);
    }
}

#[test]
fn a_response_that_is_given_up_without_an_error_is_not_taken_for_whole() {
    let origin = Origin::start(|visit| {
        let Some(mut peer) = Peer::begin(visit, &[]) else { return };
        while let Some(stream) = peer.request() {
            peer.head(stream, 0);
            peer.send(peer::DATA, 0, stream, b"half");
            peer.reset(stream, peer::NO_ERROR);
        }
    });
    let proxy = shop(&[origin.address()], "").start();
    let answer = proxy.get("/");
    assert_eq!((answer.status(), answer.truncated), (200, true), "{answer:?}");
}

/// An endpoint that treats each request as `treat` does, and counts them.
fn treating(treat: impl Fn(&mut Peer<'_>, u32) + Send + Sync + 'static) -> (Origin, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let origin = Origin::start(move |visit| {
        let Some(mut peer) = Peer::begin(visit, &[]) else { return };
        while let Some(stream) = peer.request() {
            counted.fetch_add(1, Ordering::SeqCst);
            treat(&mut peer, stream);
        }
    });
    (origin, count)
}

#[test]
fn a_post_that_was_refused_unseen_goes_to_another_endpoint() {
    for (what, treat) in [
        (
            "REFUSED_STREAM",
            (|peer, stream| {
                peer.reset(stream, peer::REFUSED_STREAM);
            }) as fn(&mut Peer<'_>, u32),
        ),
        ("GOAWAY below it", |peer, _| {
            peer.go_away(0, peer::NO_ERROR);
        }),
        ("GOAWAY below it, for an error", |peer, _| {
            peer.go_away(0, peer::INTERNAL_ERROR);
        }),
    ] {
        let (refusing, refused) = treating(treat);
        let two = Shop::start();
        let proxy = shop(&[refusing.address(), two.address()], "").start();
        let answers: Vec<String> = (0..2).map(|_| proxy.client().post("/echo", "order").text()).collect();
        assert_eq!(answers, ["order", "order"], "{what}");
        assert!(refused.load(Ordering::SeqCst) > 0, "{what}: none was refused");
        assert_eq!(two.requests().len(), 2, "{what}");
    }
}

#[test]
fn a_post_that_may_have_been_seen_is_not_sent_again() {
    for (what, treat) in [
        (
            "RST_STREAM",
            (|peer, stream| {
                peer.reset(stream, peer::INTERNAL_ERROR);
            }) as fn(&mut Peer<'_>, u32),
        ),
        ("RST_STREAM, cancelled", |peer, stream| {
            peer.reset(stream, peer::CANCEL);
        }),
        ("GOAWAY at it, then a reset", |peer, stream| {
            peer.go_away(stream, peer::NO_ERROR);
            peer.reset(stream, peer::INTERNAL_ERROR);
        }),
        ("a frame of nobody's", |peer, _| {
            peer.send(peer::DATA, 0, 0, b"x");
        }),
    ] {
        let (failing, failed) = treating(treat);
        let two = Shop::start();
        let proxy = shop(&[failing.address(), two.address()], "").start();
        let answers: Vec<_> = (0..2).map(|_| proxy.client().post("/echo", "order")).collect();
        let failure = answers.iter().find(|answer| answer.status() == 502).expect("a failure");
        assert!(matches!(failure.reason(), "reset" | "bad_response"), "{what}: {failure:?}");
        assert_ne!(failure.header("x-tillgate-upstream-sent"), Some("none"), "{what}");
        assert_eq!((failed.load(Ordering::SeqCst), two.requests().len()), (1, 1), "{what}");
    }
}

#[test]
fn after_goaway_what_runs_is_finished_and_what_comes_goes_elsewhere() {
    let gate = Gate::default();
    let (held, first) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    let origin = Origin::start(move |visit| {
        let number = visit.number;
        let Some(mut peer) = Peer::begin(visit, &[]) else { return };
        while let Some(stream) = peer.request() {
            if number == 1 {
                peer.go_away(stream, peer::NO_ERROR);
                first.fetch_add(1, Ordering::SeqCst);
                held.pass();
            }
            peer.answer(stream);
        }
    });
    let proxy = shop(&[origin.address()], "").start();
    let mut running = together(&proxy, 1, "/");
    eventually("a request", || (origin.connections() == 1).then_some(()));
    for _ in 0..3 {
        assert_eq!(proxy.client().post("/", "order").text(), "ok");
    }
    gate.open();
    assert_eq!(running[0].response().text(), "ok");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn an_endpoint_that_speaks_something_else_is_sent_nothing() {
    let origin = Origin::answering(ok_with("hello"));
    let proxy = shop(&[origin.address()], "").start();
    let answer = proxy.client().post("/", "order");
    assert_eq!((answer.status(), answer.reason()), (502, "connect_failed"));
    assert_eq!(answer.header("x-tillgate-upstream-sent"), Some("none"));
}

#[test]
fn an_endpoint_that_never_says_its_settings_is_given_up_in_time() {
    let origin = Origin::start(|visit| while visit.sends() {});
    let proxy = shop(&[origin.address()], ", connection: { connect_timeout: 300ms }").start();
    for mut client in together(&proxy, 5, "/") {
        let answer = client.response();
        assert_eq!((answer.status(), answer.reason()), (502, "connect_timeout"));
    }
    assert!(origin.connections() <= 2, "{} for five requests", origin.connections());
}

#[test]
fn a_connection_on_which_nothing_is_heard_is_left() {
    let origin = Origin::start(|visit| {
        let number = visit.number;
        let Some(mut peer) = Peer::begin(visit, &[]) else { return };
        while let Some(stream) = peer.request() {
            if number > 1 {
                peer.answer(stream);
            }
        }
    });
    let proxy = shop(&[origin.address()], "").route("retry: off, timeouts: { per_try: 200ms }").start();
    assert_eq!(proxy.get("/").reason(), "per_try_timeout");
    assert_eq!(proxy.get("/").text(), "ok");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_connection_that_gives_no_sign_of_life_ends_its_requests() {
    let origin = Origin::start(|visit| {
        let Some(mut peer) = Peer::begin(visit, &[]) else { return };
        while peer.frame().is_some() {}
    });
    let more = ", connection: { ping_interval: 1s, ping_timeout: 200ms }";
    let proxy = shop(&[origin.address()], more).route("retry: off").start();
    let answer = proxy.get("/");
    assert_eq!((answer.status(), answer.reason()), (502, "reset"));
}

#[test]
fn an_unused_connection_is_closed_after_the_idle_timeout() {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let origin = Origin::start(move |visit| {
        let Some(mut peer) = Peer::begin(visit, &[]) else { return };
        while let Some(stream) = peer.request() {
            peer.answer(stream);
        }
        count.fetch_add(1, Ordering::SeqCst);
    });
    let proxy = shop(&[origin.address()], ", connection: { idle_timeout: 200ms }").start();
    assert_eq!(proxy.get("/").text(), "ok");
    eventually("the end of the connection", || (closed.load(Ordering::SeqCst) == 1).then_some(()));
    assert_eq!(proxy.get("/").text(), "ok");
}

#[test]
fn the_copy_of_a_hedged_read_that_loses_is_taken_back() {
    let codes = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&codes);
    let hanging = Origin::start(move |visit| {
        let Some(mut peer) = Peer::begin(visit, &[]) else { return };
        while let Some(frame) = peer.next(peer::RST_STREAM) {
            seen.fetch_add(usize::try_from(frame.code()).expect("small"), Ordering::SeqCst);
        }
    });
    let two = Shop::start();
    let proxy = shop(&[hanging.address(), two.address()], "")
        .route("hedge: { after: 20ms, max_percent: 100 }")
        .start();
    for _ in 0..4 {
        assert_eq!(proxy.get("/status/200").status(), 200);
    }
    let cancel = usize::try_from(peer::CANCEL).expect("small");
    eventually("CANCEL", || (codes.load(Ordering::SeqCst) >= cancel).then_some(()));
}

#[test]
fn copies_of_a_mirror_go_over_http_2_too() {
    let (one, two) = (Origin::echoing("one"), Shop::start());
    let proxy = Yaml::before(&[&one])
        .upstream(&format!("next: {{ protocol: h2, endpoints: [\"{}\"] }}", two.address()))
        .route("mirror: { upstream: next }")
        .start();
    assert_eq!(proxy.client().post("/echo", "order").text(), "one /echo");
    eventually("a copy", || (two.requests().len() == 1).then_some(()));
}

#[test]
fn an_endpoint_is_checked_in_the_version_that_it_speaks() {
    let two = Shop::start();
    let check = ", health_check: { path: /status/200, interval: 100ms, timeout: 100ms, rise: 1, fall: 1 }";
    let proxy = shop(&[two.address()], check).start();
    let checked = proxy.endpoints_when("shop", |all| all[0]["health"]["checks"].as_u64() > Some(1));
    assert_eq!(
        (&checked[0]["state"], &checked[0]["health"]["last_error"]),
        (&"up".into(), &serde_json::Value::Null)
    );
    let page = proxy.admin_json("/api/v1/upstreams");
    assert_eq!(page["upstreams"][0]["protocol"], "h2");
}

#[test]
fn requests_go_on_while_endpoints_restart() {
    let origin = Origin::start(|visit| {
        let Some(mut peer) = Peer::begin(visit, &[]) else { return };
        for served in 0.. {
            let Some(stream) = peer.request() else { return };
            peer.answer(stream);
            if served == 20 {
                peer.go_away(stream, peer::NO_ERROR);
                return;
            }
        }
    });
    let proxy = shop(&[origin.address()], "").start();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = proxy.client();
                for number in 0..100 {
                    assert_eq!(client.get(&format!("/{number}")).text(), "ok");
                    thread::sleep(Duration::from_millis(1));
                }
            });
        }
    });
    assert!(origin.connections() >= 10);
}
