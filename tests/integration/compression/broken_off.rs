//! A response that stops early is seen to have stopped early.

use super::{ALL, asking, before, decoder, page};
use crate::support::Origin;

#[test]
fn a_response_that_breaks_off_never_ends_well() {
    let chunk = format!("{:x}\r\n{}\r\n", 5000, page(5000));
    for start in [
        format!("content-length: 10000\r\n\r\n{}", page(5000)),
        format!("transfer-encoding: chunked\r\n\r\n{chunk}"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{start}");
        let origin = Origin::start(move |visit| {
            visit.request();
            visit.send(&head);
        });
        for coding in ALL {
            let proxy = before(&origin, "on");
            let mut client = proxy.client();
            let answer = client.send(asking(coding)).response();
            assert_eq!(answer.header("content-encoding"), Some(coding), "{}", answer.head);
            assert!(answer.truncated, "{coding}: no last chunk may come");
            client.expect_closed();
            let mut text = String::new();
            let read = decoder(coding, std::io::Cursor::new(answer.body)).read_to_string(&mut text);
            assert!(read.is_err() || text.is_empty(), "{coding}: the stream has no end either");
            let broken =
                proxy.metrics_when(|metrics| metrics.count("tillgate_responses_truncated_total", &[]) == 1);
            assert_eq!(broken.count("tillgate_compressed_responses_total", &[("algorithm", coding)]), 1);
        }
    }
}

#[test]
fn an_endpoint_that_falls_silent_is_given_up() {
    let origin = Origin::start(|visit| {
        visit.request();
        visit.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9000\r\n\r\n{}",
            page(5000)
        ));
        visit.closes();
    });
    let proxy =
        crate::support::Yaml::before(&[&origin]).route("compress: on, timeouts: { idle: 300ms }").start();
    let answer = proxy.exchange(asking("gzip"));
    assert!(answer.truncated && answer.status() == 200, "{answer:?}");
}
