//! Responses that are compressed on their way, read with the decoders that clients have.

use std::io::Read;

use crate::support::{Message, Origin, Proxy, Yaml};

mod broken_off;
mod clients;
mod heads;
mod left_alone;
mod limits;
mod streams;

/// What the config calls them, in the order in which they are wanted.
const ALL: [&str; 3] = ["zstd", "br", "gzip"];

/// A page worth compressing, of that many bytes.
fn page(length: usize) -> String {
    "It is a truth universally acknowledged. ".chars().cycle().take(length).collect()
}

/// A response with these header lines, and its length.
fn response(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// One of 5000 bytes of text.
fn text(headers: &str) -> String {
    response(&format!("content-type: text/html\r\n{headers}"), &page(5000))
}

/// A proxy that compresses what it is told to, before `origin`.
fn before(origin: &Origin, compress: &str) -> Proxy {
    Yaml::before(&[origin]).route(&format!("compress: {compress}")).workers(1).start()
}

/// A GET that accepts this.
fn get(proxy: &Proxy, accepts: &str) -> Message {
    proxy.exchange(asking(accepts))
}

fn asking(accepts: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: shop.example\r\naccept-encoding: {accepts}\r\n\r\n")
}

/// What reads it as a client would.
fn decoder(coding: &str, bytes: impl Read + 'static) -> Box<dyn Read> {
    match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "br" => Box::new(brotli::Decompressor::new(bytes, 4096)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(bytes).expect("a decoder")),
        other => panic!("{other} is not known"),
    }
}

/// The body as it was before, whatever it says that it is encoded with.
fn decoded(message: &Message) -> String {
    let Some(coding) = message.header("content-encoding") else { return message.text() };
    let mut text = String::new();
    let bytes = std::io::Cursor::new(message.body.clone());
    decoder(coding, bytes).read_to_string(&mut text).expect("a whole stream");
    text
}

#[test]
fn a_page_arrives_in_the_coding_that_the_client_accepts() {
    let origin = Origin::answering(text(""));
    let proxy = before(&origin, "on");
    let accepted = [("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip, deflate, br, zstd", "zstd")];
    for (accepts, coding) in accepted.into_iter().chain([("gzip;q=1, br;q=0.5", "gzip"), ("gzip, br", "br")])
    {
        let answer = get(&proxy, accepts);
        assert_eq!(answer.header("content-encoding"), Some(coding), "{accepts}");
        assert_eq!(decoded(&answer), page(5000));
        assert!(answer.body.len() < 500 && !answer.truncated, "{} bytes", answer.body.len());
    }
    let passed: Vec<_> =
        origin.requests().iter().map(|one| one.header("accept-encoding").map(str::to_owned)).collect();
    assert_eq!(passed[0].as_deref(), Some("gzip"), "the endpoint is told what the client accepts");
    assert_eq!(origin.connections(), 1, "its connection goes on");
}

#[test]
fn nothing_is_compressed_where_nobody_asked_for_it() {
    let origin = Origin::answering(text(""));
    for route in ["max_body: 1MiB", "compress: off"] {
        let proxy = Yaml::before(&[&origin]).route(route).line("compress: off").start();
        let answer = get(&proxy, "gzip");
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None));
        assert_eq!((answer.header("content-length"), answer.text()), (Some("5000"), page(5000)));
    }
}

#[test]
fn the_file_says_it_for_all_routes_and_a_route_for_itself() {
    let origin = Origin::answering(text(""));
    let routes = "{ name: all, match: { path_prefix: / }, upstream: shop },
        { name: raw, match: { path_prefix: /raw }, upstream: shop, compress: off },
        { name: old, match: { path_prefix: /old }, upstream: shop, compress: { algorithms: [gzip] } }";
    let proxy = Yaml::before(&[&origin]).routes(routes).line("compress: { algorithms: [br, gzip] }").start();
    for (path, coding) in [("/", Some("br")), ("/raw", None), ("/old", Some("gzip"))] {
        let request = asking("gzip, br, zstd").replace("GET /", &format!("GET {path}"));
        assert_eq!(proxy.exchange(request).header("content-encoding"), coding, "{path}");
    }
}

#[test]
fn a_reload_begins_and_ends_it() {
    let origin = Origin::answering(text(""));
    let yaml = |compress: &str| Yaml::before(&[&origin]).line(&format!("compress: {compress}")).to_string();
    let proxy = Proxy::start(&yaml("off"));
    let mut client = proxy.client();
    for (compress, coding) in [("off", None), ("on", Some("gzip")), ("off", None)] {
        assert_eq!(proxy.reload(&yaml(compress)).status(), 200);
        assert_eq!(client.send(asking("gzip")).response().header("content-encoding"), coding);
    }
}

#[test]
fn every_size_arrives_as_it_was() {
    let bodies: Vec<String> = [1, 2, 999, 16_384, 16_385, 65_536, 65_537, 1_000_003].map(page).into();
    for (number, body) in bodies.iter().enumerate() {
        let origin = Origin::answering(response("content-type: text/plain\r\n", body));
        let proxy = before(&origin, "{ min_size: 0 }");
        for coding in ALL {
            let answer = get(&proxy, coding);
            assert_eq!(answer.header("content-encoding"), Some(coding));
            assert!(decoded(&answer) == *body, "{coding} of body {number}");
        }
    }
}
