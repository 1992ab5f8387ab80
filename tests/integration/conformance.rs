//! What others say of Tillgate's HTTP/2: h2spec, case by case, the clients of nghttp2, and gRPC as Go speaks it. None of them is
//! a relative of the library that Tillgate stands on.
//!
//! Ignored until they are asked for, since h2spec and grpcurl are in no package of Debian: `make conformance` builds them
//! and asks.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Echo, Origin, Proxy, Yaml, ok_with};

mod report;

use report::Report;

/// Where `scripts/conformance.sh` put h2spec and grpcurl.
const TOOLS: &str = "TILLGATE_CONFORMANCE_TOOLS";

/// Seconds that h2spec waits for an answer; its own 2 are few on a machine that is busy with other tests.
const PATIENCE: &str = "10";

#[test]
#[ignore = "needs h2spec: make conformance"]
fn h2spec_finds_no_fault_with_http2_without_tls() {
    let shop = Shop::open(None);
    let report = h2spec(&shop.proxy, &[]);
    assert_eq!(report.failed(), KNOWN, "{report}");
}

/// What h2spec holds against Tillgate. Bytes that are no preface are taken for HTTP/1.1 where a listener speaks both, so they
/// are answered with a 400 in HTTP/1.1 and then the connection is closed; h2spec wants it closed without a word, which RFC
/// 9113, section 3.4, does not.
const KNOWN: [&str; 1] = ["http2/3.5: Sends invalid connection preface"];

#[test]
#[ignore = "needs h2spec: make conformance"]
fn h2spec_finds_no_fault_with_http2_through_tls() {
    let shop = Shop::open(Some(Certificate::new()));
    let report = h2spec(&shop.proxy, &["--tls", "--insecure"]);
    assert_eq!(report.failed(), [""; 0], "{report}");
}

#[test]
#[ignore = "needs nghttp2-client: make conformance"]
fn h2load_is_answered_on_every_stream() {
    for shop in [Shop::open(None), Shop::open(Some(Certificate::new()))] {
        let said = output("h2load", &["-n2000", "-c4", "-m16", &shop.url()]);
        assert!(said.contains("Application protocol: h2"), "{said}");
        assert!(said.contains("2000 succeeded, 0 failed, 0 errored"), "{said}");
        assert!(said.contains("2000 2xx"), "{said}");
    }
}

#[test]
#[ignore = "needs nghttp2-client: make conformance"]
fn nghttp_gets_the_body_that_it_asks_for() {
    for shop in [Shop::open(None), Shop::open(Some(Certificate::new()))] {
        assert_eq!(output("nghttp", &["--no-verify-peer", &shop.url()]), BODY);
    }
}

#[test]
#[ignore = "needs grpcurl: make conformance"]
fn grpc_of_go_gets_its_messages_back() {
    let schema = tempfile::tempdir().expect("a directory");
    fs::write(schema.path().join("echo.proto"), SCHEMA).expect("write the schema");
    let folder = schema.path().to_str().expect("a path in UTF-8");
    for (shop, transport) in
        [(Shop::of_grpc(None), "-plaintext"), (Shop::of_grpc(Some(Certificate::new())), "-insecure")]
    {
        let to = shop.proxy.web().to_string();
        let call = |messages: &str, method: &str| {
            let schema = ["-import-path", folder, "-proto", "echo.proto", "-format", "text"];
            output(tool("grpcurl"), &[&[transport][..], &schema, &["-d", messages, &to, method]].concat())
        };
        assert_eq!(call("text: \"one\"", "shop.Echo/Unary"), "text: \"one\"\n");
        let two = call("text: \"one\"\u{1e}text: \"two\"", "shop.Echo/Converse");
        assert_eq!(two.matches("text:").count(), 2, "{two}");
    }
}

/// Of [`Echo`], which has none and takes any bytes.
const SCHEMA: &str = "syntax = \"proto3\";
package shop;
message Said { string text = 1; }
service Echo {
  rpc Unary(Said) returns (Said);
  rpc Converse(stream Said) returns (stream Said);
}
";

/// More than the window of one byte with which h2spec begins in some cases.
const BODY: &str = "what the shop has\n";

/// A proxy, and what stands behind it.
struct Shop<B> {
    proxy: Proxy,
    scheme: &'static str,
    _behind: B,
    _certificate: Option<Certificate>,
}

impl Shop<Origin> {
    /// Always answers with the same; without TLS on a listener that speaks HTTP/1.1 too.
    fn open(certificate: Option<Certificate>) -> Self {
        let origin = Origin::answering(ok_with(BODY));
        Self::start(Yaml::before(&[&origin]), origin, certificate)
    }
}

impl Shop<Echo> {
    /// Sends back what it is sent.
    fn of_grpc(certificate: Option<Certificate>) -> Self {
        let echo = Echo::start();
        let shop = format!("strategy: round_robin, protocol: h2, endpoints: [\"{}\"]", echo.address);
        Self::start(Yaml::new(&shop), echo, certificate)
    }
}

impl<B> Shop<B> {
    fn start(yaml: Yaml, behind: B, certificate: Option<Certificate>) -> Self {
        let (scheme, tls) = certificate.as_ref().map_or(("http", String::new()), |one| ("https", one.yaml()));
        let proxy = yaml.listeners(&format!("web: {{ address: \"127.0.0.1:0\"{tls} }}")).start();
        Self { proxy, scheme, _behind: behind, _certificate: certificate }
    }

    fn url(&self) -> String {
        format!("{}://{}/", self.scheme, self.proxy.web())
    }
}

/// One that nobody trusts, in files.
struct Certificate(TempDir);

impl Certificate {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        fs::write(directory.path().join("cert.pem"), made.cert.pem()).expect("write the certificate");
        fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).expect("write the key");
        Self(directory)
    }

    /// What makes a listener speak TLS.
    fn yaml(&self) -> String {
        let folder = self.0.path().display();
        format!(", tls: {{ certificates: [{{ cert: {folder}/cert.pem, key: {folder}/key.pem }}] }}")
    }
}

/// Every case, those of `--strict` too.
fn h2spec(proxy: &Proxy, more: &[&str]) -> Report {
    let directory = tempfile::tempdir().expect("a directory");
    let report = directory.path().join("report.xml");
    let (host, port) = (proxy.web().ip().to_string(), proxy.web().port().to_string());
    let mut command = Command::new(tool("h2spec"));
    command.args(["--strict", "--timeout", PATIENCE, "--host", &host, "--port", &port]).args(more);
    let output = command.arg("--junit-report").arg(&report).output().expect("run h2spec");
    Report::read(&report, &String::from_utf8_lossy(&output.stdout))
}

fn tool(name: &str) -> PathBuf {
    let folder = std::env::var_os(TOOLS).unwrap_or_else(|| panic!("{TOOLS} has to say where {name} is"));
    PathBuf::from(folder).join(name)
}

/// What a program writes, which must not fail.
fn output(program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}
