//! What operators and their tools are told.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Gate, OK, Origin, Program, Proxy, Yaml, eventually, ok_with};

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

pub fn has(value: &Value, wanted: &[&str]) {
    let found = keys(value);
    assert!(wanted.iter().all(|key| found.contains(key)), "{wanted:?} in {found:?}");
}

#[test]
fn upstreams_are_shown_with_every_key_that_tools_rely_on() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("p2c", &[&origin]).start();
    proxy.get("/");
    let endpoint = &proxy.endpoints_when("shop", |all| all[0]["requests"] == 1)[0];
    has(
        endpoint,
        &["address", "state", "weight", "in_flight", "requests", "failures", "p50_ms", "p90_ms", "p99_ms"],
    );
    assert_eq!(endpoint["address"], origin.address().to_string());
    assert_eq!((&endpoint["state"], &endpoint["weight"]), (&json!("up"), &json!(1)));
    assert_eq!((&endpoint["in_flight"], &endpoint["failures"]), (&json!(0), &json!(0)));
    let upstream = &proxy.admin_json("/api/v1/upstreams")["upstreams"][0];
    has(upstream, &["name", "strategy", "endpoints"]);
    assert_eq!((&upstream["name"], &upstream["strategy"]), (&json!("shop"), &json!("p2c")));
}

#[test]
fn percentiles_are_null_without_a_sample_and_in_order_with_some() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    let quiet = &proxy.endpoints_when("shop", |_| true)[0];
    assert_eq!((&quiet["p50_ms"], &quiet["p99_ms"]), (&Value::Null, &Value::Null));
    let mut client = proxy.client();
    (0..50).for_each(|_| drop(client.get("/")));
    let busy = &proxy.endpoints_when("shop", |all| all[0]["samples"] == 50)[0];
    let [p50, p90, p99] = ["p50_ms", "p90_ms", "p99_ms"].map(|key| busy[key].as_f64().expect("a number"));
    assert!(0.0 < p50 && p50 <= p90 && p90 <= p99 && p99 < 20_000.0, "{busy}");
}

#[test]
fn a_request_that_hangs_is_in_flight_until_its_client_goes_away() {
    let origin = Origin::behind(&Gate::default());
    let proxy = Yaml::of("random", &[&origin]).start();
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    proxy.endpoints_when("shop", |all| all[0]["in_flight"] == 1 && all[0]["requests"] == 0);
    assert_eq!(proxy.metrics().sum("tillgate_endpoint_in_flight", &[("upstream", "shop")]), 1.0);
    drop(client);
    let endpoint =
        &proxy.endpoints_when("shop", |all| all[0]["in_flight"] == 0 && all[0]["requests"] == 1)[0];
    assert_eq!(endpoint["failures"], 0, "the client's doing, not the endpoint's");
    proxy.metrics_when(|metrics| metrics.sum("tillgate_requests_total", &[("code", "closed")]) == 1.0);
}

#[test]
fn failures_are_those_of_the_endpoint() {
    let origin = Origin::start(|visit| {
        while let Some(request) = visit.request() {
            let status = request.start_line().split(['/', ' ']).nth(2).unwrap_or("").to_owned();
            if status == "reset" {
                return;
            }
            visit.send(format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n"));
        }
    });
    let proxy = Yaml::of("random", &[&origin]).route("retry: off").start();
    for (sent, (path, failures)) in [
        ("/404", 0),
        ("/500", 1),
        ("/502", 2),
        ("/503", 3),
        ("/504", 4),
        ("/429", 5),
        ("/reset", 6),
        ("/201", 6),
    ]
    .into_iter()
    .enumerate()
    {
        proxy.get(path);
        let endpoint = &proxy.endpoints_when("shop", |all| all[0]["requests"] == sent + 1)[0];
        assert_eq!(endpoint["failures"], failures, "{path}");
    }
}

#[test]
fn the_config_is_shown_with_its_defaults_spelled_out() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    let page = proxy.admin_json("/api/v1/config");
    assert_eq!(page["generation"], 1);
    let config = &page["config"];
    let limits = json!({
        "max_connections": 10000, "max_connections_per_client": "off", "max_header_bytes": "64KiB",
        "max_streams": 128, "header_timeout": "10s", "idle_timeout": "75s",
    });
    assert_eq!(config["listeners"]["web"]["limits"], limits);
    let shop = &config["upstreams"]["shop"];
    assert_eq!(shop["strategy"], "random");
    let connection = json!({
        "connect_timeout": "1s", "idle_timeout": "4s", "max_idle": 256, "max_streams": 100,
        "ping_interval": "20s", "ping_timeout": "10s",
    });
    assert_eq!(shop["connection"], connection);
    assert_eq!(
        shop["least_response"],
        json!({ "quantile": 0.99, "window": "30s", "min_samples": 300, "normalize": "route" })
    );
    assert_eq!(config["access_log"], "off");
    assert_eq!(config["routes"][0]["upstream"], "shop");
}

#[test]
fn the_config_as_shown_is_a_config() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    let page = proxy.admin_json("/api/v1/config");
    // JSON is YAML.
    assert_eq!(proxy.reload(&page["config"].to_string()).status(), 200);
    assert_eq!(proxy.admin_json("/api/v1/config")["config"], page["config"]);
}

#[test]
fn status_says_what_runs() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    let _open = proxy.client();
    let status = proxy.admin_when("/api/v1/status", |status| status["listeners"][0]["connections"] == 1);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], std::process::id());
    assert_eq!((&status["ready"], &status["workers"]), (&json!(true), &json!(2)));
    assert_eq!((&status["generation"], &status["reloads"]), (&json!(1), &json!(0)));
    assert_eq!((&status["reloads_refused"], &status["last_refusal"]), (&json!(0), &Value::Null));
    assert_eq!(status["listeners"][0]["name"], "web");
    assert_eq!(status["listeners"][0]["address"], proxy.web().to_string());
    assert!(status["uptime_seconds"].as_f64().is_some_and(|up| up >= 0.0));
}

#[test]
fn health_and_readiness_are_plain_text() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = proxy.admin("GET", path);
        assert_eq!((answer.status(), answer.text().as_str()), (200, text));
    }
}

#[test]
fn an_unknown_page_is_404_and_a_wrong_method_405() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    assert_eq!(proxy.admin("GET", "/api/v1/nothing").status(), 404);
    assert_eq!(proxy.admin("POST", "/metrics").status(), 405);
    let answer = proxy.admin("GET", "/api/v1/reload");
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("POST")));
    assert_eq!(proxy.generation(), 1);
}

#[test]
fn a_name_that_anybodys_dns_can_point_here_is_misdirected() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    let port = proxy.admin_address().expect("an admin address").port();
    for path in ["/api/v1/config", "/api/v1/upstreams", "/nothing"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: rebound.example:{port}\r\n\r\n");
        let answer = proxy.admin_exchange(&request);
        assert_eq!(answer.status(), 421, "{path}");
        assert!(answer.text().contains("`localhost`"), "{}", answer.text());
    }
    assert_eq!(proxy.admin_exchange("GET /api/v1/status HTTP/1.1\r\n\r\n").status(), 421);
    assert_eq!(proxy.admin_exchange("GET /api/v1/status HTTP/1.0\r\n\r\n").status(), 200);
    for host in ["127.0.0.1", "[::1]:80", "localhost"] {
        let request = format!("GET /api/v1/status HTTP/1.1\r\nhost: {host}\r\n\r\n");
        assert_eq!(proxy.admin_exchange(&request).status(), 200, "{host}");
    }
    // Scrapers and orchestrators ask by the name of a service.
    for path in ["/metrics", "/healthz", "/readyz"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: tillgate.svc:{port}\r\n\r\n");
        assert_eq!(proxy.admin_exchange(&request).status(), 200, "{path}");
    }
}

#[test]
fn a_page_of_another_site_cannot_order_a_reload() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("random", &[&origin]);
    let proxy = yaml.start();
    let address = proxy.admin_address().expect("an admin address");
    let order = |lines: &str| {
        let request =
            format!("POST /api/v1/reload HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n{lines}\r\n");
        proxy.admin_exchange(&request).status()
    };
    proxy.edit(&Yaml::of("p2c", &[&origin]).to_string());
    for lines in ["origin: http://evil.example\r\n", "origin: null\r\n", "sec-fetch-site: cross-site\r\n"] {
        assert_eq!(order(lines), 403, "{lines}");
    }
    assert_eq!(proxy.generation(), 1);
    let own = format!("origin: http://{address}\r\nsec-fetch-site: same-origin\r\n");
    assert_eq!((order(&own), proxy.generation()), (200, 2));
}

#[test]
fn no_listener_serves_the_admin_pages() {
    let origin = Origin::answering(ok_with("the shop"));
    let proxy = Yaml::of("random", &[&origin]).start();
    assert_eq!(proxy.get("/api/v1/config").text(), "the shop");
}

#[test]
fn metrics_are_openmetrics_with_bounded_labels() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    proxy.get("/");
    // None of what a client sends may become a label.
    proxy.exchange("GET /secret-path HTTP/1.1\r\nhost: evil\r\nuser-agent: evil\r\n\r\n");
    proxy.exchange("BREW / HTTP/1.1\r\nhost: a b\r\n\r\n");
    let answer = proxy.admin("GET", "/metrics");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(kind));
    assert!(!answer.text().contains("secret-path") && !answer.text().contains("evil"));
    let metrics = proxy.metrics();
    let labels = ["cause", "code", "endpoint", "le", "listener", "reason", "route", "upstream"];
    assert!(metrics.labels().iter().all(|label| labels.contains(label)), "{:?}", metrics.labels());
    for (family, kind) in &metrics.families {
        assert!(family.starts_with("tillgate_"), "{family}");
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(["counter", "histogram", "gauge"].contains(&kind.as_str()), "{family} is a {kind}");
        let samples = metrics.names().into_iter().filter(|name| belongs(name, family, &metrics));
        for name in samples {
            assert!(suffixes.contains(&&name[family.len()..]), "{name} of the {kind} {family}");
        }
    }
    let known = |name: &&str| metrics.families.keys().any(|family| name.starts_with(family.as_str()));
    assert!(metrics.names().iter().all(known), "{:?}", metrics.names());
}

/// Whether `family` is the longest that `name` begins with.
fn belongs(name: &str, family: &str, metrics: &crate::support::Metrics) -> bool {
    let mine = metrics.families.keys().filter(|family| name.starts_with(family.as_str()));
    mine.max_by_key(|family| family.len()).is_some_and(|longest| longest == family)
}

#[test]
fn metrics_count_what_was_sent() {
    let (good, bad) = (
        Origin::answering(ok_with("12345")),
        Origin::answering("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"),
    );
    let routes = "{ name: buy, match: { path_prefix: /buy }, upstream: shop }, { name: pay, match: { path: /pay }, upstream: bad }";
    let yaml =
        Yaml::of("random", &[&good]).upstream(&format!("bad: {{ endpoints: [\"{}\"] }}", bad.address()));
    let proxy = yaml.routes(routes).start();
    let mut client = proxy.client();
    (0..7).for_each(|_| drop(client.get("/buy")));
    client.send("POST /buy HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc").response();
    (0..2).for_each(|_| drop(client.get("/pay")));
    client.get("/nowhere");
    let web = [("listener", "web")];
    let metrics = proxy.metrics_when(|metrics| metrics.sum("tillgate_listener_requests_total", &web) == 11.0);
    let count = |name: &str, labels: &[(&str, &str)]| metrics.sum(name, labels);
    assert_eq!(count("tillgate_requests_total", &[("route", "buy"), ("code", "2xx")]), 8.0);
    assert_eq!(count("tillgate_requests_total", &[("route", "pay"), ("code", "5xx")]), 2.0);
    assert_eq!(count("tillgate_requests_total", &[("route", ""), ("code", "4xx")]), 1.0);
    assert_eq!(count("tillgate_own_answers_total", &[("reason", "no_route")]), 1.0);
    assert_eq!(count("tillgate_request_body_bytes_total", &[("route", "buy")]), 3.0);
    assert_eq!(count("tillgate_response_body_bytes_total", &[("route", "buy")]), 40.0);
    let endpoint = bad.address().to_string();
    let labels = [("upstream", "bad"), ("endpoint", endpoint.as_str())];
    assert_eq!(count("tillgate_endpoint_requests_total", &labels), 2.0);
    assert_eq!(count("tillgate_endpoint_failures_total", &labels), 2.0);
    assert_eq!(count("tillgate_connections", &web), 1.0);
}

#[test]
fn histograms_are_cumulative_and_agree_with_their_count() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    let mut client = proxy.client();
    (0..20).for_each(|_| drop(client.get("/")));
    let metrics = proxy.metrics_when(|metrics| metrics.sum("tillgate_requests_total", &[]) == 20.0);
    for (name, labels) in [
        ("tillgate_request_duration_seconds", [("route", "all")]),
        ("tillgate_endpoint_latency_seconds", [("upstream", "shop")]),
    ] {
        let buckets = metrics.buckets(name, &labels);
        assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{buckets:?}");
        assert_eq!(buckets.last(), Some(&("+Inf".to_owned(), 20.0)));
        assert_eq!(metrics.sum(&format!("{name}_count"), &labels), 20.0);
        let sum = metrics.sum(&format!("{name}_sum"), &labels);
        assert!(sum > 0.0 && sum < 20.0, "{sum}");
    }
}

#[test]
fn heads_that_never_became_requests_are_counted() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).start();
    assert_eq!(proxy.exchange("not http at all\r\n\r\n").status(), 400);
    proxy.metrics_when(|metrics| {
        metrics.sum("tillgate_own_answers_total", &[("reason", "malformed_request")]) == 1.0
    });
    assert_eq!(proxy.metrics().sum("tillgate_requests_total", &[("code", "4xx")]), 1.0);
}

fn get_unix(socket: &Path, path: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok().map(|_| answer)
}

#[test]
fn the_admin_server_may_listen_on_a_unix_socket() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("admin.sock");
    let yaml = Yaml::of("random", &[&origin]).admin(&format!("{{ address: \"unix:{}\" }}", socket.display()));
    for _ in 0..2 {
        let proxy = yaml.start();
        assert_eq!(proxy.admin_address(), None);
        let answer = get_unix(&socket, "/healthz").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
        assert!(Proxy::try_start(&yaml.to_string(), false).is_err(), "two admin servers at one socket");
        assert!(get_unix(&socket, "/healthz").is_some(), "the first is still there");
        let mode = socket.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "whoever may connect may do everything");
        drop(proxy);
        assert!(!socket.exists(), "the socket was left behind");
    }
    drop(UnixListener::bind(&socket));
    assert!(socket.exists(), "as after a kill");
    let _proxy = yaml.start();
    assert!(get_unix(&socket, "/healthz").is_some());
}

#[test]
fn the_admin_server_moves_between_a_port_and_a_unix_socket() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("admin.sock");
    let yaml = Yaml::of("random", &[&origin]);
    let proxy = Proxy::watching(&yaml.to_string());
    let unix = yaml.clone().admin(&format!("{{ address: \"unix:{}\" }}", socket.display()));
    assert_eq!(proxy.reload(&unix.to_string()).status(), 200);
    let answer = get_unix(&socket, "/api/v1/status").expect("an answer");
    assert!(answer.contains("\"generation\":2"), "{answer}");
    proxy.edit(&yaml.to_string());
    eventually("the admin port", || proxy.admin_address());
    assert_eq!(proxy.admin_json("/api/v1/status")["generation"], 3);
    eventually("the socket to close", || get_unix(&socket, "/healthz").is_none().then_some(()));
    assert!(!socket.exists(), "the socket was left behind");
    proxy.reload(&unix.to_string());
    eventually("the socket again", || get_unix(&socket, "/healthz"));
}

#[test]
fn without_an_admin_server_the_shop_is_served_all_the_same() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    std::fs::write(&path, Yaml::of("random", &[&origin]).admin("off").to_string()).expect("write");
    let program = Program::run(&path);
    let web = program.wait_for_log("\"listening\"")["address"].as_str().and_then(|web| web.parse().ok());
    assert_eq!(program.wait_for_log("\"message\":\"admin\"")["address"], "off");
    assert_eq!(crate::support::Client::connect(web.expect("an address")).get("/").text(), "ok");
}
