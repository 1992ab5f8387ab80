//! The clients that people have.

use std::process::Command;

use super::shop;
use crate::support::{Origin, Proxy, ok_with};

fn run(command: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(command).args(arguments).output().unwrap_or_else(|error| panic!("{command}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn url(proxy: &Proxy, path: &str) -> String {
    format!("http://{}{path}", proxy.web())
}

#[test]
fn curl_by_prior_knowledge() {
    let origin = Origin::start(|visit| {
        while let Some(request) = visit.request() {
            visit.send(ok_with(&request.text()));
        }
    });
    let proxy = Proxy::before(&[&origin]);
    let told = ["-sS", "--http2-prior-knowledge", "-d", "an order", "-w", " %{http_version} %{http_code}"];
    assert_eq!(run("curl", &[&told[..], &[&url(&proxy, "/")]].concat()), "an order 2 200");
}

#[test]
fn curl_that_would_upgrade_is_served_by_http_1() {
    let (_origin, proxy) = shop();
    let told = ["-sS", "--http2", "-w", " %{http_version} %{http_code}"];
    assert_eq!(run("curl", &[&told[..], &[&url(&proxy, "/")]].concat()), "ok 1.1 200");
}

#[test]
fn nghttp_with_priorities() {
    let (origin, proxy) = shop();
    let page = url(&proxy, "/a");
    let text = run("nghttp", &["-nsv", &page, &url(&proxy, "/b"), &url(&proxy, "/c")]);
    assert!(text.contains(":status: 200"), "{text}");
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn h2load_with_many_streams() {
    let origin = Origin::answering(ok_with(&"x".repeat(5000)));
    let proxy = Proxy::before(&[&origin]);
    let text = run("h2load", &["-n", "3000", "-c", "10", "-m", "50", &url(&proxy, "/")]);
    assert!(text.contains("3000 succeeded, 0 failed, 0 errored"), "{text}");
}
