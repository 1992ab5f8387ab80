//! What goes out again after a failure, what never does, and what the client is told (design, section 9).

mod killed;
mod policies;
mod posts;
mod stale;

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;

pub use killed::Mortal;

use crate::support::{Message, OK, Origin, Proxy, Refuser, Visit, Yaml, ok_with};

/// An origin that reads a request and closes or resets.
fn resetting() -> Origin {
    Origin::start(|visit| {
        if visit.request().is_some() {
            reset(visit);
        }
    })
}

fn reset(visit: &Visit) {
    SockRef::from(&visit.stream).set_linger(Some(Duration::ZERO)).expect("linger");
}

/// One worker that asks `first`, then `second`, then `first` again; `route` is more of the route.
fn before(addresses: &[String], route: &str) -> Yaml {
    let endpoints = addresses.join("\", \"");
    let shop = format!("strategy: consistent_hash, hash: {{ on: path }}, endpoints: [\"{endpoints}\"]");
    Yaml::new(&shop).route(route).workers(1)
}

fn address(origin: &Origin) -> String {
    origin.address().to_string()
}

/// A path that hashes to the first of two endpoints: the one that `proxy`, which fails nobody, sends to `wanted`.
fn path_to(wanted: &Origin, other: &Origin) -> String {
    let proxy = before(&[address(wanted), address(other)], "retry: off").start();
    let mut client = proxy.client();
    let goes = |path: &String| {
        let count = wanted.requests().len();
        drop(client.get(path));
        wanted.requests().len() > count
    };
    (0..64).map(|number| format!("/{number}")).find(goes).expect("one of 64 paths")
}

fn failed(response: &Message, reason: &str, sent: &str) {
    assert_eq!((response.status() / 100, response.reason()), (5, reason), "{}", response.head);
    assert_eq!(response.header("x-tillgate-upstream-sent"), Some(sent), "{}", response.head);
}

/// Two endpoints in turn: requests 1, 3, 5 begin at the first.
fn in_turn(first: SocketAddr, second: SocketAddr, route: &str) -> Proxy {
    // Each gets its turns, whatever it answers.
    let shop =
        format!("strategy: round_robin, outlier_detection: off, endpoints: [\"{first}\", \"{second}\"]");
    Yaml::new(&shop).route(route).workers(1).start()
}

#[test]
fn a_refused_request_of_any_method_is_sent_to_another_endpoint_exactly_once() {
    let (nobody, origin) = (Refuser::bind(), Origin::answering(OK));
    let proxy = in_turn(nobody.address(), origin.address(), "max_body: 1MiB");
    let mut client = proxy.client();
    for number in 0..4 {
        assert_eq!(client.get(&format!("/get/{number}")).status(), 200);
        assert_eq!(client.post(&format!("/post/{number}"), "hello").status(), 200);
    }
    let requests = origin.requests();
    assert_eq!(requests.len(), 8, "{requests:?}");
    assert!(
        requests.iter().filter(|request| request.asks().starts_with("POST")).all(|r| r.text() == "hello")
    );
    let figures = proxy.endpoints_when("shop", |all| all[0]["failures"].as_u64() >= Some(3));
    assert_eq!((&figures[0]["requests"], &figures[1]["failures"]), (&figures[0]["failures"], &0.into()));
    assert!(figures.iter().all(|endpoint| endpoint["in_flight"] == 0), "{figures:?}");
    let metrics = proxy.metrics();
    let labels = [("upstream", "shop"), ("reason", "connect_failure")];
    assert_eq!(Some(metrics.count("tillgate_retries_total", &labels)), figures[0]["failures"].as_u64());
    assert_eq!(metrics.count("tillgate_retries_refused_total", &[("upstream", "shop")]), 0);
}

#[test]
fn an_upload_that_still_streams_goes_to_another_endpoint_if_the_first_refuses() {
    let (nobody, origin) = (Refuser::bind(), Origin::answering(OK));
    let proxy = in_turn(nobody.address(), origin.address(), "max_body: 1MiB");
    for _ in 0..2 {
        let mut client = proxy.client();
        client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
        client.send("6\r\n world\r\n0\r\n\r\n");
        assert_eq!(client.response().status(), 200);
    }
    assert!(origin.requests().iter().all(|request| request.text() == "hello world"));
}

#[test]
fn a_get_that_is_reset_is_sent_again_and_a_post_is_not() {
    let (broken, good) = (resetting(), Origin::answering(OK));
    let proxy = in_turn(broken.address(), good.address(), "max_body: 1MiB");
    let mut client = proxy.client();
    let statuses: Vec<u16> = (0..4).map(|_| client.get("/").status()).collect();
    assert_eq!(statuses, [200; 4]);
    let (asked, answered) = (broken.requests().len(), good.requests().len());
    assert!(asked >= 1 && answered == 4, "{asked} and {answered}");
    let posts: Vec<Message> = (0..2).map(|number| client.post(&format!("/{number}"), "hello")).collect();
    let lost: Vec<&Message> = posts.iter().filter(|response| response.status() != 200).collect();
    assert_eq!(lost.len(), 1, "{posts:?}");
    failed(lost[0], "reset", "maybe");
    assert_eq!(broken.requests().len() + good.requests().len(), asked + answered + 2);
}

#[test]
fn half_a_response_head_is_a_reset() {
    let half = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-le");
    });
    let good = Origin::answering(OK);
    let proxy = in_turn(half.address(), good.address(), "max_body: 1MiB");
    assert_eq!([proxy.get("/").status(), proxy.get("/").status()], [200; 2]);
    let posts = [proxy.client().post("/", "hello"), proxy.client().post("/", "hello")];
    let lost = posts.iter().find(|response| response.status() == 502).expect("a lost one");
    failed(lost, "reset", "maybe");
}

#[test]
fn a_get_that_is_answered_with_what_is_not_http_is_sent_again_and_a_post_is_not() {
    let broken = Origin::start(|visit| {
        visit.request();
        visit.send("SSH-2.0-OpenSSH_9.7\r\n\r\n");
    });
    let good = Origin::answering(OK);
    let proxy = in_turn(broken.address(), good.address(), "max_body: 1MiB");
    assert_eq!([proxy.get("/").status(), proxy.get("/").status()], [200; 2]);
    let asked = broken.requests().len();
    let figures = proxy.endpoints_when("shop", |all| all[1]["requests"] == 2);
    assert_eq!((&figures[0]["failures"], &figures[1]["failures"]), (&asked.into(), &0.into()));
    let posts = [proxy.client().post("/", "hello"), proxy.client().post("/", "hello")];
    let lost = posts.iter().find(|response| response.status() == 502).expect("a lost one");
    failed(lost, "bad_response", "yes");
    assert_eq!(broken.requests().len() + good.requests().len(), asked + 2 + 2);
}

#[test]
fn an_answer_that_has_begun_is_never_asked_for_again() {
    let cut = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
    });
    let good = Origin::answering(OK);
    let proxy = in_turn(cut.address(), good.address(), "max_body: 1MiB");
    let responses = [proxy.get("/"), proxy.get("/")];
    assert_eq!(responses.iter().filter(|response| response.truncated).count(), 1, "{responses:?}");
    assert_eq!(good.requests().len(), 1);
}

#[test]
fn a_get_on_a_connection_that_its_only_endpoint_is_closing_is_sent_again_on_a_new_one() {
    let origin = Origin::start(|visit| {
        // The first request of a connection is answered, the second is not.
        if visit.request().is_some() && visit.send(OK) {
            visit.request();
        }
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut client = proxy.client();
    let asked = ["/1", "/2", "/3"].map(|path| client.get(path).status());
    assert_eq!(asked, [200; 3]);
    let seen: Vec<String> = origin.requests().iter().map(|request| request.asks().to_owned()).collect();
    assert_eq!(seen, ["GET /1", "GET /2", "GET /2", "GET /3", "GET /3"]);
}

#[test]
fn a_get_that_the_only_endpoint_resets_on_a_new_connection_is_not_sent_there_again() {
    let broken = resetting();
    failed(&Proxy::before(&[&broken]).get("/"), "reset", "maybe");
    assert_eq!(broken.requests().len(), 1);
}

#[test]
fn every_endpoint_is_asked_once_at_most_and_attempts_bound_how_many() {
    let origins = [(); 5].map(|()| resetting());
    let proxy = Yaml::before(&origins.each_ref()).route("retry: { attempts: 3 }").start();
    failed(&proxy.get("/"), "reset", "maybe");
    let mut asked: Vec<usize> = origins.iter().map(|origin| origin.requests().len()).collect();
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 1, 1, 1]);
    let three = [(); 3].map(|()| resetting());
    let proxy = Yaml::before(&three.each_ref()).route("retry: { attempts: 5 }").start();
    failed(&proxy.get("/"), "reset", "maybe");
    assert!(three.iter().all(|origin| origin.requests().len() == 1));
}

#[test]
fn when_all_endpoints_refuse_the_client_is_told_that_nothing_was_sent() {
    let nobody = [Refuser::bind(), Refuser::bind()];
    let proxy = in_turn(nobody[0].address(), nobody[1].address(), "max_body: 1MiB");
    failed(&proxy.client().post("/", "hello"), "connect_failed", "none");
    failed(&proxy.get("/"), "connect_failed", "none");
}

#[test]
fn what_is_told_is_the_worst_of_all_tries() {
    let (broken, nobody) = (resetting(), Refuser::bind());
    let route = "retry: { budget_percent: 100 }";
    let proxy = before(&[address(&broken), nobody.address().to_string()], route).start();
    let mut client = proxy.client();
    let told: Vec<Message> = (0..64).map(|path| client.get(&format!("/{path}"))).collect();
    // Whichever is asked first, one of the two may have seen it.
    assert!(told.iter().all(|response| response.header("x-tillgate-upstream-sent") == Some("maybe")));
    let reasons: std::collections::BTreeSet<&str> = told.iter().map(Message::reason).collect();
    assert!(reasons.into_iter().eq(["connect_failed", "reset"]), "the last failure is the one told");
}

#[test]
fn consistent_hash_moves_on_and_the_headers_name_the_last_endpoint() {
    let (good, other) = (Origin::answering(ok_with("good")), Origin::answering(ok_with("other")));
    let path = path_to(&other, &good);
    let other_address = address(&other);
    drop(other);
    let log = tempfile::NamedTempFile::new().expect("a file");
    let proxy = before(&[other_address, address(&good)], "max_body: 1MiB")
        .line("explain_header: { addresses: [127.0.0.0/8] }")
        .line(&format!("access_log: {{ path: {}, format: json }}", log.path().display()))
        .start();
    let response = proxy.get(&path);
    assert_eq!((response.status(), response.text().as_str()), (200, "good"));
    let told = response.header("x-tillgate-endpoint").expect("a header").to_owned();
    assert!(told.starts_with(&address(&good)), "{told}");
    let line = crate::support::eventually("a line", || {
        let text = std::fs::read_to_string(log.path()).expect("read");
        text.lines().next().map(str::to_owned)
    });
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["tries"], &line["status"]), (&2.into(), &200.into()));
    assert_eq!(line["endpoint"], address(&good));
}

#[test]
fn a_client_without_a_host_gives_each_endpoint_its_own() {
    let (nobody, origin) = (Refuser::bind(), Origin::answering(OK));
    let proxy = in_turn(nobody.address(), origin.address(), "max_body: 1MiB");
    for _ in 0..2 {
        assert_eq!(proxy.exchange("GET / HTTP/1.0\r\n\r\n").status(), 200);
    }
    let own = address(&origin);
    assert!(origin.requests().iter().all(|request| request.header("host") == Some(own.as_str())));
}
