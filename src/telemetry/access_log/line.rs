//! The two shapes of a line.

use std::fmt::Write as _;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Version, header};
use serde::Serialize;

use crate::policy::head::authority_value;
use crate::telemetry::record::Record;

/// The words of a line, taken from the request while its head is at hand.
#[derive(Debug)]
pub struct Entry {
    /// When the head had arrived.
    pub time: SystemTime,
    /// After `trusted_proxies`.
    pub client: IpAddr,
    /// As sent.
    pub method: Method,
    /// As sent, with the query.
    pub target: String,
    /// As sent.
    pub version: Version,
    /// As sent.
    pub host: Option<HeaderValue>,
    /// As sent.
    pub referer: Option<HeaderValue>,
    /// As sent.
    pub user_agent: Option<HeaderValue>,
    /// Empty until the request has one.
    pub request_id: Option<HeaderValue>,
    /// The version of TLS that it came in by, as in `1.3`.
    pub tls: Option<&'static str>,
    /// The host that was asked for in the handshake.
    pub server_name: Option<Box<str>>,
    /// The route that took it.
    pub route: Option<Arc<str>>,
    /// Its upstream.
    pub upstream: Option<Arc<str>>,
    /// The endpoint it was sent to last.
    pub endpoint: Option<Arc<str>>,
}

impl Entry {
    /// What the head says.
    pub fn new(client: IpAddr, head: &Parts) -> Self {
        let get = |name: HeaderName| head.headers.get(name).cloned();
        Self {
            time: SystemTime::now(),
            client,
            method: head.method.clone(),
            target: target(head),
            version: head.version,
            host: authority_value(head),
            referer: get(header::REFERER),
            user_agent: get(header::USER_AGENT),
            request_id: None,
            tls: None,
            server_name: None,
            route: None,
            upstream: None,
            endpoint: None,
        }
    }

    /// A head that could not be read.
    pub fn unread(client: IpAddr) -> Self {
        let [host, referer, user_agent, request_id] = [const { None }; 4];
        let [route, upstream, endpoint] = [const { None }; 3];
        Self {
            time: SystemTime::now(),
            client,
            method: Method::from_bytes(b"-").expect("a token"),
            target: "-".into(),
            version: Version::HTTP_11,
            host,
            referer,
            user_agent,
            request_id,
            tls: None,
            server_name: None,
            route,
            upstream,
            endpoint,
        }
    }
}

/// What an HTTP/2 client has sent in pieces is put together as an HTTP/1 client would have sent it.
fn target(head: &Parts) -> String {
    match head.uri.path_and_query() {
        Some(target) if head.version == Version::HTTP_2 => target.to_string(),
        _ => head.uri.to_string(),
    }
}

#[derive(Serialize)]
struct Json<'a> {
    time: String,
    client: IpAddr,
    method: &'a str,
    host: Option<String>,
    target: &'a str,
    protocol: String,
    status: u16,
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_status: Option<&'static str>,
    route: Option<&'a str>,
    upstream: Option<&'a str>,
    endpoint: Option<&'a str>,
    tries: u8,
    request_id: Option<String>,
    bytes_in: u64,
    bytes_out: u64,
    latency_ms: Option<f64>,
    duration_ms: f64,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    referer: Option<String>,
    user_agent: Option<String>,
}

/// One JSON object and a line end.
pub(super) fn write_json(out: &mut Vec<u8>, entry: &Entry, record: &Record) {
    let json = Json {
        time: rfc3339(entry.time),
        client: entry.client,
        method: entry.method.as_str(),
        host: entry.host.as_ref().map(text),
        target: &entry.target,
        protocol: format!("{:?}", entry.version),
        status: record.status,
        reason: record.reason.map(|reason| reason.name()),
        grpc_status: record.grpc_status.map(|code| code.name()),
        route: entry.route.as_deref(),
        upstream: entry.upstream.as_deref(),
        endpoint: entry.endpoint.as_deref(),
        tries: record.tries,
        request_id: entry.request_id.as_ref().map(text),
        bytes_in: record.bytes_in,
        bytes_out: record.bytes_out,
        latency_ms: record.latency.map(|latency| millis(latency.as_secs_f64())),
        duration_ms: millis(record.total.as_secs_f64()),
        truncated: record.truncated,
        tls: entry.tls,
        server_name: entry.server_name.as_deref(),
        referer: entry.referer.as_ref().map(text),
        user_agent: entry.user_agent.as_ref().map(text),
    };
    // Writing plain fields into memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, &json);
    out.push(b'\n');
}

/// Apache's combined format: `host ident user [time] "request" status bytes "referer" "agent"`.
pub(super) fn write_combined(out: &mut Vec<u8>, entry: &Entry, record: &Record) {
    let request = quoted(format!("{} {} {:?}", entry.method, entry.target, entry.version).as_bytes());
    let referer = quoted(entry.referer.as_ref().map_or(b"-", HeaderValue::as_bytes));
    let agent = quoted(entry.user_agent.as_ref().map_or(b"-", HeaderValue::as_bytes));
    let time = clf_time(entry.time);
    let (status, bytes) = (record.status, record.bytes_out);
    let client = entry.client;
    // Writing into memory cannot fail.
    let _ = writeln!(out, "{client} - - [{time}] {request} {status} {bytes} {referer} {agent}");
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Milliseconds to three places.
fn millis(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}

/// In quotes; a quote, a backslash and whatever is not printable ASCII as `\xHH`, so that a line stays a line.
fn quoted(bytes: &[u8]) -> String {
    let mut quoted = String::with_capacity(bytes.len() + 2);
    quoted.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => drop(write!(quoted, "\\x{byte:02X}")),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => drop(write!(quoted, "\\x{byte:02X}")),
        }
    }
    quoted.push('"');
    quoted
}

fn rfc3339(time: SystemTime) -> String {
    let stamp = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{stamp:.3}")
}

fn clf_time(time: SystemTime) -> String {
    let stamp = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    stamp.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Id;

    fn entry(agent: &'static str) -> Entry {
        let request = http::Request::get("/p?q=1").header(header::USER_AGENT, agent).body(());
        let (head, ()) = request.expect("a request").into_parts();
        let mut entry = Entry::new(IpAddr::from([192, 0, 2, 7]), &head);
        entry.time = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(971_186_136_500);
        entry
    }

    fn record() -> Record {
        Record { status: 200, bytes_out: 2326, ..Record::new(Id::next()) }
    }

    #[test]
    fn a_combined_line_is_what_log_analysers_read() {
        let mut out = Vec::new();
        write_combined(&mut out, &entry("a\"b"), &record());
        let line = String::from_utf8(out).expect("ASCII");
        assert_eq!(
            line,
            "192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] \"GET /p?q=1 HTTP/1.1\" 200 2326 \"-\" \"a\\x22b\"\n"
        );
    }

    #[test]
    fn a_json_line_parses_and_carries_the_request() {
        let mut out = Vec::new();
        write_json(&mut out, &entry("a\"b"), &record());
        assert_eq!(out.pop(), Some(b'\n'));
        let json: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(json["time"], "2000-10-10T13:55:36.500Z");
        assert_eq!(json["status"], 200);
        assert_eq!(json["target"], "/p?q=1");
        assert_eq!(json["user_agent"], "a\"b");
    }
}
