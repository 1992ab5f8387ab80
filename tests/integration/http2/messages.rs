//! Messages on their way between an HTTP/2 client and an HTTP/1 endpoint: nothing is lost, and nothing of one connection
//! shows on the other.

use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::shop;
use crate::support::http2::{Http2, request};
use crate::support::{Origin, Proxy, Yaml, eventually, ok_with};

#[test]
fn cookies_that_came_one_by_one_reach_the_endpoint_in_one_line() {
    let (origin, proxy) = shop();
    let asked =
        request("GET", "/").header("cookie", "a=1").header("cookie", "b=2; c=3").header("cookie", "d=4");
    assert_eq!(Http2::connect(proxy.web()).ask(asked).status, 200);
    assert_eq!(origin.request().all("cookie"), ["a=1; b=2; c=3; d=4"]);
}

#[test]
fn the_endpoint_is_told_who_asked_for_what() {
    let (origin, proxy) = shop();
    Http2::connect(proxy.web()).get("/a?b=c");
    let request = origin.request();
    assert_eq!(request.start_line(), "GET /a?b=c HTTP/1.1");
    assert_eq!(request.all("host"), ["shop.example"]);
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert_eq!(request.header("x-forwarded-host"), Some("shop.example"));
    assert_eq!((request.header("transfer-encoding"), request.header("content-length")), (None, None));
}

#[test]
fn what_belongs_to_the_endpoint_s_connection_stays_on_it() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-private\r\nkeep-alive: timeout=5\r\nx-private: 1\r\n\
         proxy-connection: keep-alive\r\nupgrade: h2c\r\ntransfer-encoding: chunked\r\nx-shown: 1\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let proxy = Proxy::before(&[&origin]);
    let answer = Http2::connect(proxy.web()).get("/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    for name in
        ["connection", "keep-alive", "x-private", "proxy-connection", "upgrade", "transfer-encoding", "te"]
    {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("x-shown"), Some("1"));
}

#[test]
fn an_answer_of_tillgate_s_own_says_why_and_closes_nothing() {
    let (origin, _) = shop();
    let proxy = Yaml::before(&[&origin]).routes("{ match: { path_prefix: /shop }, upstream: shop }").start();
    let mut client = Http2::connect(proxy.web());
    for _ in 0..3 {
        let answer = client.get("/elsewhere");
        assert_eq!((answer.status, answer.reason(), answer.header("connection")), (404, "no_route", None));
    }
    assert_eq!(client.get("/shop").status, 200);
}

#[test]
fn trailers_of_the_endpoint_arrive() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n",
    );
    let proxy = Proxy::before(&[&origin]);
    let answer = Http2::connect(proxy.web()).ask(request("GET", "/").header("te", "trailers"));
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.trailers.expect("trailers").get("x-sum"), Some(&HeaderValue::from_static("42")));
    assert_eq!(origin.request().header("te"), Some("trailers"));
}

#[test]
fn trailers_that_the_client_announced_reach_the_endpoint() {
    let (origin, proxy) = shop();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("42"));
    let asked = request("POST", "/").header("trailer", "x-sum");
    assert_eq!(Http2::connect(proxy.web()).send(asked, "hello", Some(trailers)).status, 200);
    let request = origin.request();
    assert_eq!(
        (request.text().as_str(), request.trailers.as_slice()),
        ("hello", &["x-sum: 42".to_owned()][..])
    );
}

#[test]
fn what_a_client_may_not_say_in_a_header_it_may_not_say_in_a_trailer() {
    let (origin, proxy) = shop();
    let mut trailers = HeaderMap::new();
    for name in ["x-sum", "x-forwarded-for", "x-forwarded-client-cert", "x_real_ip", "host"] {
        trailers.insert(name, HeaderValue::from_static("42"));
    }
    let announced = "x-forwarded-for, x-sum, x-forwarded-client-cert, x_real_ip, host";
    let asked = request("POST", "/").header("trailer", announced);
    assert_eq!(Http2::connect(proxy.web()).send(asked, "hello", Some(trailers)).status, 200);
    let request = origin.request();
    assert_eq!(
        (request.header("trailer"), request.trailers.as_slice()),
        (Some("x-sum"), &["x-sum: 42".to_owned()][..])
    );
}

#[test]
fn trailers_of_the_endpoint_say_nothing_that_is_said_here() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, x-tillgate-endpoint\r\n\r\n\
         5\r\nhello\r\n0\r\nx-tillgate-endpoint: forged\r\nx-forwarded-client-cert: forged\r\nx-sum: 42\r\n\r\n",
    );
    let proxy = Proxy::before(&[&origin]);
    let answer = Http2::connect(proxy.web()).ask(request("GET", "/").header("te", "trailers"));
    let trailers = answer.trailers.expect("trailers");
    assert_eq!(trailers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-sum"]);
}

#[test]
fn a_body_is_framed_as_its_length_is_known_or_not() {
    let (origin, proxy) = shop();
    let mut client = Http2::connect(proxy.web());
    client.send(request("POST", "/"), "hello", None);
    client.send(request("POST", "/").header("content-length", "5"), "hello", None);
    client.ask(request("POST", "/"));
    let framed: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| {
            let own = |name| request.header(name).map(str::to_owned);
            (request.text(), own("transfer-encoding"), own("content-length"))
        })
        .collect();
    assert_eq!(framed[0], ("hello".into(), Some("chunked".into()), None));
    assert_eq!(framed[1], ("hello".into(), None, Some("5".into())));
    assert!(framed[2].0.is_empty() && framed[2].1.is_none(), "{framed:?}");
}

#[test]
fn a_body_of_another_length_than_it_says_is_refused() {
    for length in ["3", "9"] {
        let origin = Origin::answering(crate::support::OK);
        let proxy = Proxy::before(&[&origin]);
        let mut client = Http2::connect(proxy.web());
        let asked = request("POST", "/").header("content-length", length);
        let answer = client.send(asked, "hello", None);
        assert!(answer.reset.is_some() || answer.status == 400, "{length}: {answer:?}");
        assert!(
            origin.requests().iter().all(|request| request.truncated),
            "{length}: {:?}",
            origin.requests()
        );
        assert_eq!(client.get("/").status, 200);
    }
}

#[test]
fn responses_without_a_body_have_none() {
    let origin = Origin::start(|visit| {
        while let Some(request) = visit.request() {
            let answer = match request.asks() {
                "HEAD /" => "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
                "GET /204" => "HTTP/1.1 204 No Content\r\n\r\n",
                _ => "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n",
            };
            visit.send(answer);
        }
    });
    let proxy = Proxy::before(&[&origin]);
    let mut client = Http2::connect(proxy.web());
    let head = client.ask(request("HEAD", "/"));
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("1000"), 0));
    assert_eq!((client.get("/204").status, client.get("/304").status), (204, 304));
}

#[test]
fn large_bodies_arrive_whole_in_both_directions() {
    let origin = Origin::start(|visit| {
        while let Some(request) = visit.request() {
            visit.send(ok_with(&request.text()));
        }
    });
    let proxy = Proxy::before(&[&origin]);
    let body: String = (0..400_000).map(|number| format!("{number:07}\n")).collect();
    let path = "/";
    let answer = upload(&mut Http2::connect(proxy.web()), path, &body);
    assert!(answer == body, "{} bytes of {}", answer.len(), body.len());
}

/// Sends a body that is larger than any window, and reads what comes back.
fn upload(client: &mut Http2, path: &str, body: &str) -> String {
    client.send(request("POST", path), body, None).text()
}

#[test]
fn the_access_log_names_the_version() {
    let origin = Origin::answering(crate::support::OK);
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    let line = format!("access_log: {{ path: \"{}\", format: json }}", log.display());
    let proxy = Yaml::before(&[&origin]).line(&line).start();
    Http2::connect(proxy.web()).get("/a");
    let text =
        eventually("a line", || std::fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n')));
    let logged: Value = serde_json::from_str(text.trim()).expect("JSON");
    assert_eq!((&logged["protocol"], &logged["host"]), (&"HTTP/2.0".into(), &"shop.example".into()));
    assert_eq!(logged["target"], "/a");
}
