//! How much is compressed at once, and what is counted.

use serde_json::Value;

use super::{asking, before, decoded, get, page, text};
use crate::support::{Gate, Origin, Yaml, eventually};

#[test]
fn more_than_may_be_compressed_at_once_goes_out_as_it_is() {
    let gate = Gate::default();
    let opened = gate.clone();
    let origin = Origin::start(move |visit| {
        while let Some(request) = visit.request() {
            let answer = text("");
            match request.asks() {
                "GET /slow" => {
                    visit.send(&answer[..answer.len() - 1]);
                    opened.pass();
                    visit.send(&answer[answer.len() - 1..]);
                }
                _ => drop(visit.send(answer)),
            }
        }
    });
    let proxy = before(&origin, "{ max_in_flight: 1 }");
    let mut slow = proxy.client();
    slow.send(asking("gzip").replace("GET /", "GET /slow"));
    proxy.metrics_when(|metrics| metrics.sum("tillgate_compression_in_flight", &[("route", "all")]) == 1.0);
    let plain = get(&proxy, "gzip");
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("Accept-Encoding")));
    assert_eq!((plain.header("content-length"), plain.text()), (Some("5000"), page(5000)));
    gate.open();
    assert_eq!(decoded(&slow.response()), page(5000));
    proxy.metrics_when(|metrics| metrics.sum("tillgate_compression_in_flight", &[]) == 0.0);
    assert_eq!(get(&proxy, "gzip").header("content-encoding"), Some("gzip"));
    assert_eq!(proxy.metrics().count("tillgate_compression_busy_total", &[("route", "all")]), 1);
}

#[test]
fn bytes_are_counted_on_both_sides_by_algorithm() {
    let origin = Origin::answering(text(""));
    let proxy = before(&origin, "{ algorithms: [br, gzip] }");
    let sent: usize = (0..3).map(|_| get(&proxy, "gzip").body.len()).sum();
    let metrics =
        proxy.metrics_when(|metrics| metrics.count("tillgate_compressed_responses_total", &[]) == 3);
    let gzip = [("route", "all"), ("algorithm", "gzip")];
    assert_eq!(metrics.count("tillgate_compression_in_bytes_total", &gzip), 15_000);
    assert_eq!(metrics.count("tillgate_compression_out_bytes_total", &gzip), sent as u64);
    assert_eq!(metrics.count("tillgate_compression_in_bytes_total", &[("algorithm", "br")]), 0);
    assert_eq!(metrics.count("tillgate_compression_in_bytes_total", &[("algorithm", "zstd")]), 0);
    let passed = proxy.metrics_when(|metrics| metrics.count("tillgate_response_body_bytes_total", &[]) > 0);
    assert_eq!(passed.count("tillgate_response_body_bytes_total", &[("route", "all")]), sent as u64);
}

#[test]
fn the_access_log_says_what_the_client_got() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    let origin = Origin::answering(text(""));
    let line = format!("access_log: {{ path: \"{}\", format: json }}", log.display());
    let proxy = Yaml::before(&[&origin]).line("compress: on").line(&line).start();
    let sent = get(&proxy, "zstd").body.len();
    let logged: Value =
        eventually("a line", || serde_json::from_str(&std::fs::read_to_string(&log).ok()?).ok());
    assert_eq!(logged["bytes_out"], sent);
}
