//! gRPC through the proxy, with tonic at both ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::net::TcpListener;
use tonic::{Code, Request};

use crate::support::{Calls, Echo, Origin, Proxy, Yaml, ask_patiently, calling, eventually, free_address};

/// Servers in turn, over HTTP/2.
fn shop(servers: &[&Echo], route: &str) -> Proxy {
    let addresses: Vec<_> = servers.iter().map(|server| format!("\"{}\"", server.address)).collect();
    let shop = format!("strategy: round_robin, protocol: h2, endpoints: [{}]", addresses.join(", "));
    Yaml::new(&shop).routes(&format!("{{ name: all, upstream: shop{route} }}")).start()
}

#[test]
fn one_connection_of_a_client_is_spread_over_all_endpoints() {
    let servers = [Echo::start(), Echo::start(), Echo::start()];
    let proxy = shop(&servers.each_ref(), "");
    calling(async {
        let mut calls = Calls::connect(proxy.web()).await;
        for number in 0..30 {
            let answer = calls.unary(format!("call {number}")).await.expect("an answer");
            assert_eq!(answer.into_inner(), format!("call {number}"));
        }
    });
    assert_eq!(servers.each_ref().map(Echo::calls), [10; 3]);
}

#[test]
fn a_thousand_calls_at_once_are_answered_each_with_its_own() {
    let servers = [Echo::start(), Echo::start()];
    let proxy = shop(&servers.each_ref(), "");
    calling(async {
        let calls = Calls::connect(proxy.web()).await;
        let all: Vec<_> = (0..1000)
            .map(|number| {
                let mut calls = calls.clone();
                tokio::spawn(async move {
                    let answer = calls.unary(format!("call {number}")).await.expect("an answer");
                    assert_eq!(answer.into_inner(), format!("call {number}"));
                })
            })
            .collect();
        for one in all {
            one.await.expect("an answer");
        }
    });
    assert_eq!(servers.iter().map(Echo::calls).sum::<usize>(), 1000);
}

#[test]
fn a_message_of_four_mebibytes_goes_both_ways() {
    let server = Echo::start();
    let proxy = shop(&[&server], "");
    let large = Bytes::from(vec![7; 4 << 20]);
    let answer = calling(async { Calls::connect(proxy.web()).await.unary(large.clone()).await });
    assert_eq!(answer.expect("an answer").into_inner(), large);
}

#[test]
fn streams_of_either_side_pass() {
    let server = Echo::start();
    let proxy = shop(&[&server], "");
    calling(async {
        let mut calls = Calls::connect(proxy.web()).await;
        let mut counted = calls.count(100).await.expect("a stream");
        for number in 0..100 {
            let message = counted.message().await.expect("well").expect("a message");
            assert_eq!(message, number.to_string());
        }
        assert_eq!(counted.message().await.expect("well"), None);
        let gathered = calls.gather(vec![Bytes::from_static(b"12345"); 100]).await;
        assert_eq!(gathered.expect("an answer"), "500");
    });
}

#[test]
fn messages_go_both_ways_before_either_side_has_ended() {
    let server = Echo::start();
    let proxy = shop(&[&server], "");
    calling(async {
        let mut calls = Calls::connect(proxy.web()).await;
        let (say, mut hear) = calls.converse().await;
        for word in ["one", "two", "three"] {
            say.send(Bytes::from(word)).await.expect("an open stream");
            assert_eq!(hear.message().await.expect("well").expect("an answer"), word);
        }
        say.send(Bytes::from("fail 9")).await.expect("an open stream");
        assert_eq!(hear.message().await.expect_err("as asked").code(), Code::FailedPrecondition);
    });
    eventually("the trailers are counted", || {
        let labels = [("route", "all"), ("grpc_status", "FAILED_PRECONDITION")];
        (proxy.metrics().count("tillgate_grpc_requests_total", &labels) == 1).then_some(())
    });
}

#[test]
fn an_error_without_an_answer_passes_as_it_is() {
    let server = Echo::start();
    let proxy = shop(&[&server], "");
    calling(async {
        let mut calls = Calls::connect(proxy.web()).await;
        for code in [Code::NotFound, Code::Unauthenticated, Code::DataLoss] {
            let status = calls.unary(format!("fail {}", code as i32)).await.expect_err("as asked");
            assert_eq!((status.code(), status.message()), (code, "as asked"));
        }
    });
}

#[test]
fn what_a_call_ends_with_is_counted_and_judged() {
    let server = Echo::start();
    let proxy = shop(&[&server], "");
    calling(async {
        let mut calls = Calls::connect(proxy.web()).await;
        for message in ["well", "fail 5", "fail 5", "fail 14"] {
            drop(calls.unary(message).await);
        }
    });
    let count = |code: &str| {
        let labels = [("route", "all"), ("grpc_status", code)];
        proxy.metrics().count("tillgate_grpc_requests_total", &labels)
    };
    eventually("four calls are counted", || {
        let counts = ["OK", "NOT_FOUND", "UNAVAILABLE"].map(count);
        (counts == [1, 2, 1]).then_some(())
    });
    let failures = proxy.metrics().count("tillgate_endpoint_failures_total", &[]);
    assert_eq!(failures, 1, "what is not found is no failure of the endpoint");
}

#[test]
fn a_call_that_no_endpoint_answers_is_told_so_in_grpc() {
    let proxy = Yaml::before_address(free_address()).start();
    let status = calling(async { Calls::connect(proxy.web()).await.unary("hello").await });
    let status = status.expect_err("nobody is there");
    assert_eq!(status.code(), Code::Unavailable);
    let told = |name: &str| status.metadata().get(name).map(|value| value.to_str().expect("text").to_owned());
    assert_eq!(told("x-tillgate-reason").as_deref(), Some("connect_failed"));
    assert_eq!(told("x-tillgate-upstream-sent").as_deref(), Some("none"));
}

#[test]
fn a_method_that_no_route_takes_is_unimplemented() {
    let server = Echo::start();
    let proxy = shop(&[&server], ", match: { path_prefix: /other }");
    let status = calling(async { Calls::connect(proxy.web()).await.unary("hello").await });
    assert_eq!(status.expect_err("no route").code(), Code::Unimplemented);
}

#[test]
fn a_call_to_a_route_that_redirects_is_unimplemented_and_told_where_to() {
    let server = Echo::start();
    let route = "{ name: all, match: { path_prefix: / }, redirect: { host: other.example } }";
    let proxy = Yaml::before_address(server.address).routes(route).start();
    let status = calling(async { Calls::connect(proxy.web()).await.unary("hello").await });
    let status = status.expect_err("a redirect");
    let told = |name: &str| status.metadata().get(name).map(|value| value.to_str().expect("text").to_owned());
    assert_eq!(
        (status.code(), told("x-tillgate-reason").as_deref()),
        (Code::Unimplemented, Some("redirect"))
    );
    assert!(told("location").is_some_and(|place| place.starts_with("http://other.example")), "{status:?}");
}

#[test]
fn a_call_is_given_up_when_its_client_would_be() {
    let silent = Origin::start(|visit| while visit.sends() {});
    let shop = format!("protocol: h2, endpoints: [\"{}\"]", silent.address());
    let proxy = Yaml::new(&shop).start();
    let (status, headers) = calling(ask_patiently(proxy.web(), "hello", "300m"));
    assert_eq!((status, &headers["grpc-status"]), (200, &HeaderValue::from_static("4")), "{headers:?}");
    assert_eq!(headers["x-tillgate-reason"], "request_timeout");
    let failures = proxy.metrics().count("tillgate_endpoint_failures_total", &[]);
    assert_eq!(failures, 0, "the deadline is the client's own");
}

#[test]
fn an_endpoint_is_told_what_is_left_of_the_deadline() {
    let server = Echo::start();
    let proxy = shop(&[&server], "");
    let (_, headers) = calling(ask_patiently(proxy.web(), "hello", "20S"));
    assert_eq!(headers.get("grpc-status"), None, "the end of an answer is in its trailers");
    let told = server.metadata().remove(0);
    let told = told.get("grpc-timeout").expect("a timeout").to_str().expect("text").to_owned();
    let micros: u64 = told.strip_suffix('u').expect("microseconds").parse().expect("a number");
    assert!((1..20_000_000).contains(&micros), "{told}");
}

#[test]
fn a_conversation_that_is_quiet_for_too_long_ends_on_both_sides() {
    let server = Echo::start();
    let proxy = shop(&[&server], ", timeouts: { idle: 1s }");
    calling(async {
        let mut calls = Calls::connect(proxy.web()).await;
        let (say, mut hear) = calls.converse().await;
        say.send(Bytes::from("hello")).await.expect("an open stream");
        assert_eq!(hear.message().await.expect("well").expect("an answer"), "hello");
        assert_eq!(hear.message().await.expect_err("too quiet").code(), Code::DeadlineExceeded);
        // The client could still say something, and nobody would have it.
        eventually("the endpoint is told", || (server.given_up() == 1).then_some(()));
        drop(say);
    });
}

#[test]
fn hurried_calls_cost_the_others_no_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.set_nonblocking(true).expect("a socket for an event loop");
    let address = listener.local_addr().expect("an address");
    let proxy = Yaml::new(&format!("protocol: h2, endpoints: [\"{address}\"]")).workers(1).start();
    let connections = Arc::new(AtomicUsize::new(0));
    calling(async {
        let listener = TcpListener::from_std(listener).expect("an event loop");
        tokio::spawn(hold_calls(listener, Arc::clone(&connections)));
        for _ in 0..5 {
            let (_, headers) = ask_patiently(proxy.web(), "hello", "150m").await;
            assert_eq!(headers["grpc-status"], "4", "{headers:?}");
        }
    });
    assert_eq!(connections.load(SeqCst), 1);
}

/// Takes every call and answers none.
async fn hold_calls(listener: TcpListener, connections: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, SeqCst);
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
            let mut held = Vec::new();
            while let Some(Ok(call)) = connection.accept().await {
                held.push(call);
            }
        });
    }
}

#[test]
fn a_client_that_gives_up_ends_the_call_at_the_endpoint() {
    let server = Echo::start();
    let proxy = shop(&[&server], "");
    calling(async {
        let mut calls = Calls::connect(proxy.web()).await;
        let hanging = tokio::time::timeout(Duration::from_millis(200), calls.unary("hang")).await;
        assert!(hanging.is_err(), "it hangs");
        assert_eq!(calls.unary("after").await.expect("the connection goes on").into_inner(), "after");
    });
    eventually("the endpoint is told", || (server.given_up() == 1).then_some(()));
}

#[test]
fn an_unavailable_call_is_made_again_only_where_the_route_says_that_it_may_be() {
    let routes = [
        (
            ", retry: { on: [grpc_unavailable], idempotent_calls: true, max_body: 1KiB, budget_percent: 100 }",
            true,
        ),
        (", retry: { on: [grpc_unavailable], max_body: 1KiB }", false),
        (", retry: { on: [connect_failure], idempotent_calls: true, max_body: 1KiB }", false),
    ];
    for (route, may_be) in routes {
        let (gone, well) = (Echo::ending(Code::Unavailable), Echo::start());
        let proxy = shop(&[&gone, &well], route);
        let mut failed = 0;
        calling(async {
            let mut calls = Calls::connect(proxy.web()).await;
            for _ in 0..8 {
                failed += usize::from(calls.unary("hello").await.is_err());
            }
        });
        let turned_away = gone.calls();
        assert!(turned_away > 0, "{route}");
        // Not always all: what came in two pieces was not kept.
        assert_eq!(failed < turned_away, may_be, "{failed} of {turned_away}: {route}");
    }
}

#[test]
fn metadata_passes_both_ways() {
    let server = Echo::start();
    let proxy = shop(&[&server], "");
    calling(async {
        let mut request = Request::new(Bytes::from("hello"));
        request.metadata_mut().insert("x-cart", "42".parse().expect("a value"));
        request
            .metadata_mut()
            .insert_bin("x-raw-bin", tonic::metadata::MetadataValue::from_bytes(&[0, 1, 255]));
        Calls::connect(proxy.web()).await.unary_with(request).await.expect("an answer");
    });
    let seen = server.metadata().remove(0);
    let names = ["x-cart", "te", "content-type"];
    let values: BTreeMap<_, _> = names.iter().map(|name| (*name, seen.get(*name).cloned())).collect();
    assert!(values.values().all(Option::is_some), "{values:?}");
    assert_eq!(seen.get_bin("x-raw-bin").expect("bytes").to_bytes().expect("base64"), &[0, 1, 255][..]);
}
