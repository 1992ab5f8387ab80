//! Bodies pass byte for byte, are never gathered, and what was cut short never looks whole.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::support::{Client, DEADLINE, Message, OK, Origin, Program, Proxy, Refuser, Visit, Yaml, ok_with};

/// Answers each request with its own body, by length.
fn echoing() -> Origin {
    Origin::start(|visit| {
        while let Some(request) = visit.request() {
            visit.send(ok_with(&request.text()));
        }
    })
}

/// Answers one request with these bytes, then closes.
fn closing_after(response: impl Into<Vec<u8>>) -> Origin {
    let response = response.into();
    Origin::start(move |visit| {
        visit.request();
        visit.send(&response);
    })
}

fn chunked(pieces: &[&str]) -> String {
    let chunks: String = pieces.iter().map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).collect();
    format!("{chunks}0\r\n\r\n")
}

const POST: &str = "POST / HTTP/1.1\r\nhost: shop.example\r\n";
const CHUNKED_POST: &str = "POST / HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n";

#[test]
fn a_sized_upload_arrives_byte_for_byte_with_its_length() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let body: String = ('a'..='z').cycle().take(200_000).collect();
    let response = proxy.client().post("/", &body);
    assert_eq!(response.text(), body);
    assert_eq!(origin.request().header("content-length"), Some("200000"));
    assert_eq!(origin.request().all("transfer-encoding"), [""; 0]);
}

#[test]
fn every_byte_value_passes_in_both_directions() {
    let all: Vec<u8> = (0..=255).collect();
    let answer = [b"HTTP/1.1 200 OK\r\ncontent-length: 256\r\n\r\n".as_slice(), &all].concat();
    let origin = Origin::answering(answer);
    let proxy = Proxy::before(&[&origin]);
    let response = proxy.exchange([format!("{POST}content-length: 256\r\n\r\n").as_bytes(), &all].concat());
    assert_eq!(response.body, all);
    assert_eq!(origin.request().body, all);
}

#[test]
fn a_chunked_upload_stays_chunked_and_arrives_byte_for_byte() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let response = proxy.exchange(format!("{CHUNKED_POST}\r\n{}", chunked(&["hello ", "wor", "ld"])));
    assert_eq!(response.text(), "hello world");
    let request = origin.request();
    assert_eq!(request.all("transfer-encoding"), ["chunked"]);
    assert_eq!(request.all("content-length"), [""; 0]);
}

#[test]
fn an_upload_streams_while_it_is_still_being_sent() {
    let (heard, first) = channel();
    let origin = Origin::start(move |visit| {
        visit.request_head();
        let mut piece = [0; 5];
        visit.reader.read_exact(&mut piece).expect("the first piece");
        heard.send(piece).expect("the test waits");
        visit.reader.read_exact(&mut piece).expect("the second piece");
        visit.send(OK);
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 10\r\n\r\nfirst"));
    assert_eq!(&first.recv_timeout(DEADLINE).expect("the first piece before the second is sent"), b"first");
    assert_eq!(client.send("later").response().status(), 200);
}

#[test]
fn a_response_streams_while_it_is_still_being_made() {
    let (go_on, told) = channel();
    let told = std::sync::Mutex::new(told);
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst");
        told.lock().expect("lock").recv_timeout(DEADLINE).expect("the client has the first piece");
        visit.send("later");
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    let mut got = Vec::new();
    while !got.ends_with(b"first") {
        got.extend(client.read_some(100));
    }
    go_on.send(()).expect("the origin waits");
    while !got.ends_with(b"firstlater") {
        got.extend(client.read_some(100));
    }
}

#[test]
fn a_chunked_response_stays_chunked_and_its_trailers_arrive() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
         5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 42\r\n\r\n",
    );
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    // A server may only send trailers to a client that says it takes them (RFC 9110 section 6.5.1).
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: te\r\nte: trailers\r\n\r\n");
    let response = client.response();
    assert_eq!(response.all("transfer-encoding"), ["chunked"]);
    assert_eq!(response.header("trailer"), Some("x-sum"));
    assert_eq!(
        (response.text().as_str(), response.trailers.as_slice()),
        ("hello world", &["x-sum: 42".into()][..])
    );
    assert_eq!(client.get("/").text(), "hello world", "the connection goes on");
}

#[test]
fn the_trailers_of_a_request_arrive() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let body = "5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n";
    let response = proxy.exchange(format!("{CHUNKED_POST}trailer: x-sum\r\n\r\n{body}"));
    assert_eq!(response.text(), "hello");
    let request = origin.request();
    assert_eq!(request.trailers, ["x-sum: 42"]);
    assert!(!request.truncated);
}

#[test]
fn a_response_to_head_has_its_length_and_no_body_and_the_connection_goes_on() {
    for framing in ["content-length: 1000", "transfer-encoding: chunked"] {
        let origin = Origin::answering(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
        let proxy = Yaml::before(&[&origin]).workers(1).start();
        let mut client = proxy.client();
        for _ in 0..3 {
            client.send("HEAD / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
            let response = client.response_to("HEAD").expect("a response");
            let length = framing.strip_prefix("content-length: ");
            assert_eq!(response.header("content-length"), length, "{}", response.head);
        }
        assert_eq!((origin.requests().len(), origin.connections()), (3, 1), "{framing}");
    }
}

#[test]
fn responses_that_have_no_body_have_none_whatever_they_say() {
    // RFC 9112 section 6.3, item 1.
    let heads = [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n",
    ];
    for head in heads {
        let origin = Origin::answering(head);
        let proxy = Yaml::before(&[&origin]).workers(1).start();
        let mut client = proxy.client();
        for _ in 0..3 {
            let response = client.get("/");
            assert_eq!(response.start_line(), head.lines().next().expect("a line"));
            assert_eq!(response.all("transfer-encoding"), [""; 0], "{head}");
        }
        assert_eq!((origin.requests().len(), origin.connections()), (3, 1), "{head}");
    }
}

#[test]
fn an_empty_response_keeps_its_length_of_zero() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let response = Proxy::before(&[&origin]).get("/");
    assert_eq!((response.header("content-length"), response.all("transfer-encoding").len()), (Some("0"), 0));
}

#[test]
fn an_empty_post_keeps_its_length_of_zero() {
    let origin = Origin::answering(OK);
    Proxy::before(&[&origin]).client().post("/", "");
    assert_eq!(origin.request().header("content-length"), Some("0"));
}

#[test]
fn a_get_without_a_body_says_nothing_of_one() {
    let origin = Origin::answering(OK);
    Proxy::before(&[&origin]).get("/");
    assert_eq!(origin.request().all("content-length"), [""; 0]);
    assert_eq!(origin.request().all("transfer-encoding"), [""; 0]);
}

#[test]
fn the_client_is_told_to_continue_once_an_endpoint_takes_its_request() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 5\r\nexpect: 100-continue\r\n\r\n"));
    assert_eq!(client.response().start_line(), "HTTP/1.1 100 Continue");
    assert_eq!(client.send("hello").response().text(), "hello");
    assert_eq!(client.post("/", "again").text(), "again", "the connection goes on");
    assert_eq!(origin.requests()[0].all("expect"), [""; 0], "the promise is the proxy's to keep");
}

#[test]
fn the_client_is_not_told_to_continue_when_no_endpoint_takes_its_request() {
    let nobody = Refuser::bind();
    let proxy = Yaml::before_address(nobody.address()).start();
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 5\r\nexpect: 100-continue\r\n\r\n"));
    let response = client.response();
    assert_eq!((response.status(), response.reason()), (502, "connect_failed"));
}

#[test]
fn the_client_is_not_told_to_continue_with_a_body_that_is_too_large() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("max_body: 4").start();
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 5\r\nexpect: 100-continue\r\n\r\n"));
    assert_eq!(client.response().status(), 413);
}

#[test]
fn an_http_1_0_client_gets_one_response_and_the_end() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    let response = client.send("GET / HTTP/1.0\r\nhost: shop.example\r\n\r\n").response();
    assert_eq!(response.text(), "ok");
    client.expect_closed();
}

#[test]
fn an_http_1_0_client_that_asks_may_keep_its_connection() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    for _ in 0..3 {
        client.send("GET / HTTP/1.0\r\nhost: shop.example\r\nconnection: keep-alive\r\n\r\n");
        let response = client.response();
        assert_eq!((response.header("connection"), response.text().as_str()), (Some("keep-alive"), "ok"));
    }
}

#[test]
fn an_http_1_0_client_gets_a_chunked_response_without_chunks() {
    let answer =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", chunked(&["hello ", "world"]));
    let origin = Origin::answering(answer);
    let proxy = Proxy::before(&[&origin]);
    for connection in ["", "connection: keep-alive\r\n"] {
        let mut client = proxy.client();
        let response = client.send(format!("GET / HTTP/1.0\r\n{connection}\r\n")).response();
        assert_eq!(response.all("transfer-encoding"), [""; 0]);
        assert_eq!(response.text(), "hello world", "delimited by the end of the connection");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|visit| {
        while let Some(request) = visit.request() {
            visit.send(ok_with(&format!("{} {}", request.asks(), request.text())));
        }
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    let sized = "POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
    let streamed = "POST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nho\r\n0\r\n\r\n";
    let bare = "GET /3 HTTP/1.1\r\nhost: a\r\n\r\n";
    client.send([sized, streamed, bare, sized].concat());
    for expected in ["POST /1 hi", "POST /2 ho", "GET /3 ", "POST /1 hi"] {
        assert_eq!(client.response().text(), expected);
    }
}

#[test]
fn a_response_that_ends_with_its_connection_is_framed_anew() {
    let origin = closing_after("HTTP/1.1 200 OK\r\n\r\nhello");
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    let response = client.get("/");
    assert_eq!((response.text().as_str(), response.all("transfer-encoding")), ("hello", vec!["chunked"]));
    assert!(!response.truncated);
    assert_eq!(client.get("/").text(), "hello", "the client's connection goes on");
}

#[test]
fn a_response_that_comes_before_the_upload_ends_reaches_the_client() {
    let origin = Origin::start(|visit| {
        visit.request_head();
        visit.send("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
        // Reads on, so that nothing is reset, until the proxy has had enough.
        drop(std::io::copy(&mut visit.reader, &mut std::io::sink()));
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: 100000000\r\n\r\nbegun"));
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (401, "no"));
    // What is left of the upload can neither be skipped nor taken for a request.
    let _ = client.try_send("GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n");
    client.finish().expect_closed();
    origin.wait_for_ends(1);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_connection_with_half_an_upload_on_it_is_not_used_again() {
    let origin = Origin::start(|visit| {
        let head = visit.request_head();
        if head.is_some_and(|head| head.asks() == "POST /") {
            visit.send("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
            drop(std::io::copy(&mut visit.reader, &mut std::io::sink()));
        } else {
            visit.send(OK);
        }
    });
    let proxy = Yaml::before(&[&origin]).workers(1).start();
    let mut uploading = proxy.client();
    uploading.send(format!("{POST}content-length: 100000000\r\n\r\nbegun"));
    assert_eq!(uploading.response().status(), 401);
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(origin.connections(), 2);
}

/// Every way to cut this response short, and what the client makes of it.
fn cut_everywhere(response: &str, check: impl Fn(usize, &Message)) {
    let cut = Arc::new(AtomicU64::new(0));
    let (bytes, until) = (response.to_owned(), Arc::clone(&cut));
    let origin = Origin::start(move |visit| {
        visit.request();
        visit.send(&bytes.as_bytes()[..usize::try_from(until.load(Ordering::SeqCst)).expect("small")]);
    });
    let proxy = Proxy::before(&[&origin]);
    for length in 0..response.len() {
        cut.store(length as u64, Ordering::SeqCst);
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        check(length, &client.response());
    }
}

fn never_looks_whole(response: &str) {
    let head = response.find("\r\n\r\n").expect("the end of the head") + 4;
    cut_everywhere(response, |length, got| {
        if length < head {
            assert_eq!(got.status(), 502, "cut at {length}: {}", got.head);
            assert_ne!(got.reason(), "", "cut at {length}");
        } else {
            assert!(got.truncated, "cut at {length} and yet whole: {got:?}");
        }
    });
}

#[test]
fn a_sized_response_that_is_cut_anywhere_never_looks_whole() {
    never_looks_whole("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world");
}

#[test]
fn a_chunked_response_that_is_cut_anywhere_never_looks_whole() {
    never_looks_whole(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 1\r\n\r\n",
    );
}

#[test]
fn a_response_that_is_cut_does_not_look_whole_to_an_http_1_0_client_either() {
    // It has nothing but the end of the connection to go by, so that end has to be a reset.
    let origin = closing_after("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo");
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    let response = client.send("GET / HTTP/1.0\r\n\r\n").response();
    assert!(response.truncated, "{response:?}");
}

#[test]
fn a_chunked_response_that_is_malformed_never_looks_whole() {
    for body in
        ["zz\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"]
    {
        let origin = closing_after(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}"));
        let response = Proxy::before(&[&origin]).get("/");
        assert!(response.truncated || response.status() == 502, "{body}: {response:?}");
    }
}

#[test]
fn a_request_that_is_cut_anywhere_never_looks_whole_to_the_origin() {
    let request = format!("{CHUNKED_POST}\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 1\r\n\r\n");
    let origin = Origin::answering(OK);
    let proxy = Proxy::before(&[&origin]);
    for length in 0..request.len() {
        let mut client = proxy.client();
        client.send(&request[..length]).finish();
        drop(client.rest());
    }
    origin.wait_for_ends(origin.connections());
    for request in origin.requests() {
        assert!(request.truncated, "{request:?}");
    }
}

#[test]
fn a_body_larger_than_the_route_allows_is_refused_with_413_before_it_is_sent() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("max_body: 5").start();
    let mut client = proxy.client();
    assert_eq!(client.post("/", "hello").status(), 200, "as much as is allowed");
    let response = client.post("/", "hello!");
    assert_eq!((response.status(), response.reason()), (413, "body_too_large"));
    client.expect_closed();
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_chunked_body_larger_than_the_route_allows_is_refused_with_413_and_never_whole() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::before(&[&origin]).route("max_body: 5").workers(1).start();
    let mut client = proxy.client();
    let post = |pieces: &[&str]| format!("{CHUNKED_POST}\r\n{}", chunked(pieces));
    assert_eq!(client.send(post(&["hel", "lo"])).response().status(), 200, "as much as is allowed");
    let response = client.send(post(&["hel", "lo!"])).response();
    assert_eq!((response.status(), response.reason()), (413, "body_too_large"));
    client.expect_closed();
    origin.wait_for_ends(1);
    let requests = origin.requests();
    assert!(requests[1..].iter().all(|request| request.truncated), "{requests:?}");
}

const GIB: u64 = 1 << 30;
/// How much more memory than at rest the proxy may have had at its worst, whatever the size of a body.
const FLAT: u64 = 64 << 20;

/// The proxy as a process of its own, so that its memory is nobody else's.
fn program_before(origin: &Origin) -> (Program, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    std::fs::write(&path, Yaml::before(&[origin]).to_string()).expect("write the config");
    (Program::run(&path), directory)
}

/// Writes that many zeros in small pieces.
fn write_zeros(stream: &mut TcpStream, count: u64) -> std::io::Result<u64> {
    std::io::copy(
        &mut std::io::repeat(0).take(count),
        &mut std::io::BufWriter::with_capacity(1 << 16, stream),
    )
}

/// Reads and drops that many bytes.
fn drop_bytes(stream: &mut impl Read, count: u64) -> u64 {
    let mut read = 0;
    let mut piece = vec![0; 1 << 16];
    while read < count {
        let most = usize::try_from((count - read).min(1 << 16)).expect("small");
        match stream.read(&mut piece[..most]) {
            Ok(0) | Err(_) => break,
            Ok(got) => read += got as u64,
        }
    }
    read
}

#[test]
fn a_gibibyte_is_uploaded_in_flat_memory() {
    let origin = Origin::start(|visit: &mut Visit| {
        visit.request_head();
        let read = drop_bytes(&mut visit.reader, GIB);
        visit.send(ok_with(&read.to_string()));
    });
    let (program, _directory) = program_before(&origin);
    let mut client = Client::connect(program.web());
    let before = program.peak_memory();
    client.send(format!("{POST}content-length: {GIB}\r\n\r\n"));
    write_zeros(&mut client.stream().try_clone().expect("clone"), GIB).expect("upload");
    assert_eq!(client.response().text(), GIB.to_string());
    let grown = program.peak_memory() - before;
    assert!(grown < FLAT, "{} MiB more", grown >> 20);
}

#[test]
fn a_gibibyte_is_downloaded_in_flat_memory() {
    let origin = Origin::start(|visit: &mut Visit| {
        visit.request();
        visit.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {GIB}\r\n\r\n"));
        write_zeros(&mut visit.stream, GIB).expect("download");
    });
    let (program, _directory) = program_before(&origin);
    let mut client = Client::connect(program.web());
    let before = program.peak_memory();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    assert_eq!(client.drop_body(), GIB);
    let grown = program.peak_memory() - before;
    assert!(grown < FLAT, "{} MiB more", grown >> 20);
}

#[test]
fn a_client_that_reads_slowly_holds_back_its_origin() {
    const STALL: Duration = Duration::from_millis(500);
    let written = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&written);
    let origin = Origin::start(move |visit: &mut Visit| {
        visit.request();
        visit.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {GIB}\r\n\r\n"));
        visit.stream.set_write_timeout(Some(STALL)).expect("timeout");
        while let Ok(wrote @ 1..) = visit.stream.write(&[0; 1 << 16]) {
            count.fetch_add(wrote as u64, Ordering::SeqCst);
        }
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    origin.wait_for_ends(1);
    // The sockets' own buffers are some megabytes each.
    assert!(written.load(Ordering::SeqCst) < FLAT, "{} MiB", written.load(Ordering::SeqCst) >> 20);
}

#[test]
fn an_origin_that_reads_slowly_holds_back_its_client() {
    const STALL: Duration = Duration::from_millis(500);
    let (test_over, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |visit: &mut Visit| {
        visit.request_head();
        let _ = wait.lock().expect("lock").recv();
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = proxy.client();
    client.send(format!("{POST}content-length: {GIB}\r\n\r\n"));
    let mut stream = client.stream();
    stream.set_write_timeout(Some(STALL)).expect("timeout");
    let mut written = 0;
    while let Ok(wrote @ 1..) = stream.write(&[0; 1 << 16]) {
        written += wrote as u64;
    }
    assert!(written < FLAT, "{} MiB", written >> 20);
    drop(test_over);
}

#[test]
fn many_bodies_at_once_do_not_mix() {
    let origin = echoing();
    let proxy = Proxy::before(&[&origin]);
    let web = proxy.web();
    let talk = |number: usize| {
        let mut client = Client::connect(web);
        for round in 0..20 {
            let body = format!("{number}-{round};").repeat(1 + 997 * round);
            assert_eq!(client.post("/", &body).text(), body);
        }
    };
    thread::scope(|scope| (0..8).for_each(|number| drop(scope.spawn(move || talk(number)))));
    assert_eq!(origin.requests().len(), 8 * 20);
}
