//! What others say of Tillgate's HTTP/2: h2spec, case by case, and the clients of nghttp2, which is no relative of the library
//! that Tillgate stands on.
//!
//! Ignored until they are asked for, since h2spec is in no package of Debian: `make conformance` builds it and asks.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Origin, Proxy, Yaml, ok_with};

mod report;

use report::Report;

/// Where `scripts/conformance.sh` put h2spec.
const H2SPEC: &str = "TILLGATE_H2SPEC";

/// Seconds that h2spec waits for an answer; its own 2 are few on a machine that is busy with other tests.
const PATIENCE: &str = "10";

#[test]
#[ignore = "needs h2spec: make conformance"]
fn h2spec_finds_no_fault_with_http2_without_tls() {
    let (_origin, proxy) = shop();
    let report = h2spec(proxy.web(), &[]);
    assert_eq!(report.failed(), KNOWN, "{report}");
}

/// What h2spec holds against Tillgate. Bytes that are no preface are taken for HTTP/1.1 where a listener speaks both, so they
/// are answered with a 400 in HTTP/1.1 and then the connection is closed; h2spec wants it closed without a word, which RFC
/// 9113, section 3.4, does not.
const KNOWN: [&str; 1] = ["http2/3.5: Sends invalid connection preface"];

#[test]
#[ignore = "needs nghttp2-client: make conformance"]
fn h2load_is_answered_on_every_stream_without_tls() {
    let (_origin, proxy) = shop();
    let url = format!("http://{}/", proxy.web());
    let said = output("h2load", &["-n2000", "-c4", "-m16", &url]);
    assert!(said.contains("2000 succeeded, 0 failed, 0 errored"), "{said}");
    assert!(said.contains("2000 2xx"), "{said}");
}

#[test]
#[ignore = "needs nghttp2-client: make conformance"]
fn nghttp_gets_the_body_that_it_asks_for_without_tls() {
    let (_origin, proxy) = shop();
    assert_eq!(output("nghttp", &[&format!("http://{}/", proxy.web())]), BODY);
}

/// More than the window of one byte with which h2spec begins in some cases.
const BODY: &str = "what the shop has\n";

fn shop() -> (Origin, Proxy) {
    let origin = Origin::answering(ok_with(BODY));
    let proxy = Yaml::before(&[&origin]).start();
    (origin, proxy)
}

/// Every case, those of `--strict` too.
fn h2spec(address: SocketAddr, more: &[&str]) -> Report {
    let path = std::env::var_os(H2SPEC).unwrap_or_else(|| panic!("{H2SPEC} has to say where h2spec is"));
    let directory = tempfile::tempdir().expect("a directory");
    let report = directory.path().join("report.xml");
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut command = Command::new(PathBuf::from(path));
    command.args(["--strict", "--timeout", PATIENCE, "--host", &host, "--port", &port]).args(more);
    let output = command.arg("--junit-report").arg(&report).output().expect("run h2spec");
    Report::read(&report, &String::from_utf8_lossy(&output.stdout))
}

/// What a program writes, which must not fail.
fn output(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}
