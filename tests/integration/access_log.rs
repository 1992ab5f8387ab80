//! One line for every request, whole and on one line, in the file that the name means now.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{OK, Origin, Program, Proxy, Yaml, eventually, ok_with};

struct Logged {
    proxy: Proxy,
    log: PathBuf,
    _directory: TempDir,
}

impl Logged {
    fn start(yaml: Yaml, format: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("access.log");
        let yaml = yaml.line(&line(&log, format));
        Self { proxy: yaml.start(), log, _directory: directory }
    }

    /// The lines, once there are `count`.
    fn lines(&self, count: usize) -> Vec<String> {
        lines(&self.log, count)
    }

    /// The only line, as JSON.
    fn json(&self) -> Value {
        serde_json::from_str(&self.lines(1)[0]).expect("a JSON line")
    }
}

fn line(log: &Path, format: &str) -> String {
    format!("access_log: {{ path: \"{}\", format: {format} }}", log.display())
}

fn lines(log: &Path, count: usize) -> Vec<String> {
    let lines = eventually("lines in the access log", || {
        let text = fs::read_to_string(log).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (text.ends_with('\n') && lines.len() >= count).then_some(lines)
    });
    assert_eq!(lines.len(), count, "{lines:#?}");
    lines
}

#[test]
fn a_json_line_has_every_field() {
    let origin = Origin::answering(ok_with("12345"));
    let logged = Logged::start(Yaml::of("random", &[&origin]), "json");
    logged.proxy.exchange(
        "POST /cart?a=b HTTP/1.1\r\nhost: shop.example\r\nreferer: /from\r\nuser-agent: curl/8\r\ncontent-length: 3\r\n\r\nabc",
    );
    let line = logged.json();
    let expected = serde_json::json!({
        "client": "127.0.0.1", "method": "POST", "host": "shop.example", "target": "/cart?a=b", "status": 200,
        "reason": null, "route": "all", "upstream": "shop", "endpoint": origin.address().to_string(),
        "bytes_in": 3, "bytes_out": 5, "truncated": false, "referer": "/from", "user_agent": "curl/8", "protocol": "HTTP/1.1",
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&line[key], value, "{key}");
    }
    assert_eq!(line["request_id"].as_str(), origin.request().header("x-request-id"));
    let [latency, duration] = ["latency_ms", "duration_ms"].map(|key| line[key].as_f64().expect("a number"));
    assert!(0.0 < latency && latency <= duration, "{line}");
    let time = line["time"].as_str().expect("a time");
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
}

#[test]
fn an_answer_of_tillgates_own_is_logged_with_its_reason() {
    let origin = Origin::answering(OK);
    let routes = "{ match: { path: /only }, upstream: shop }";
    let logged = Logged::start(Yaml::of("random", &[&origin]).routes(routes), "json");
    logged.proxy.get("/elsewhere");
    let line = logged.json();
    assert_eq!((&line["status"], &line["reason"]), (&404.into(), &"no_route".into()));
    assert_eq!(
        (&line["route"], &line["endpoint"], &line["latency_ms"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[test]
fn a_client_that_went_away_is_logged_as_499() {
    let origin = Origin::behind(&crate::support::Gate::default());
    let logged = Logged::start(Yaml::of("random", &[&origin]), "json");
    let mut client = logged.proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    origin.wait_for(1);
    drop(client);
    assert_eq!(logged.json()["status"], 499);
}

#[test]
fn the_client_is_the_one_that_a_trusted_proxy_names() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("random", &[&origin]).line("trusted_proxies: [127.0.0.1]");
    let logged = Logged::start(yaml, "json");
    logged.proxy.exchange("GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 192.0.2.9\r\n\r\n");
    assert_eq!(logged.json()["client"], "192.0.2.9");
}

#[test]
fn a_combined_line_is_the_one_that_nginx_writes() {
    let origin = Origin::answering(ok_with("12345"));
    let logged = Logged::start(Yaml::of("random", &[&origin]), "combined");
    logged
        .proxy
        .exchange("GET /cart?a=b HTTP/1.1\r\nhost: a\r\nreferer: /from\r\nuser-agent: curl/8 (x)\r\n\r\n");
    logged.proxy.exchange("GET /old HTTP/1.0\r\nhost: a\r\n\r\n");
    let mut lines = logged.lines(2);
    // Two connections may belong to two workers, which write when they like.
    lines.sort();
    let rest = |line: &str| line.split_once("] ").map(|(_, rest)| rest.to_owned());
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{}", lines[0]);
    let mut rests: Vec<String> = lines.iter().filter_map(|line| rest(line)).collect();
    rests.sort();
    assert_eq!(
        rests,
        [r#""GET /cart?a=b HTTP/1.1" 200 5 "/from" "curl/8 (x)""#, r#""GET /old HTTP/1.0" 200 5 "-" "-""#,]
    );
}

#[test]
fn whatever_a_client_sends_stays_on_one_line() {
    let origin = Origin::answering(OK);
    for format in ["json", "combined"] {
        let logged = Logged::start(Yaml::of("random", &[&origin]), format);
        let mut request = b"GET /%0d%0a\"x HTTP/1.1\r\nhost: a\r\nuser-agent: \"} {\\\x80\xff\xe2\x80\xa8\t200 \x1b[2J\r\nreferer: \"\r\n\r\n".to_vec();
        request.retain(|byte| *byte != 0x1b);
        logged.proxy.exchange(&request);
        let line = &logged.lines(1)[0];
        assert!(line.bytes().all(|byte| byte >= b' '), "{line:?}");
        match format {
            "json" => {
                let json: Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(json["referer"], "\"");
            }
            _ => assert_eq!(line.matches('"').count(), 6, "{line}"),
        }
    }
}

#[test]
fn off_writes_nothing() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    fs::write(&path, Yaml::of("random", &[&origin]).line("access_log: off").to_string()).expect("write");
    let output = directory.path().join("out");
    let program = Program::run_writing(&path, &output);
    let (web, _) = program.wait_until_listening();
    assert_eq!(crate::support::Client::connect(web).get("/").text(), "ok");
    program.signal(rustix::process::Signal::TERM);
    assert_eq!(program.exit_code(), Some(0));
    assert_eq!(fs::read_to_string(&output).expect("the output"), "");
}

#[test]
fn stdout_gets_the_lines_and_nothing_else() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    let yaml = Yaml::of("random", &[&origin]).line("access_log: { path: stdout, format: json }");
    fs::write(&path, yaml.to_string()).expect("write");
    let output = directory.path().join("out");
    let program = Program::run_writing(&path, &output);
    let (web, _) = program.wait_until_listening();
    crate::support::Client::connect(web).get("/");
    let json: Value = serde_json::from_str(&lines(&output, 1)[0]).expect("JSON");
    assert_eq!(json["status"], 200);
}

#[test]
fn a_log_that_was_moved_away_is_opened_anew_by_a_reload() {
    let origin = Origin::answering(OK);
    let logged = Logged::start(Yaml::of("random", &[&origin]), "json");
    let mut client = logged.proxy.client();
    client.get("/before");
    logged.lines(1);
    let moved = logged.log.with_extension("1");
    fs::rename(&logged.log, &moved).expect("rename");
    assert_eq!(logged.proxy.admin("POST", "/api/v1/reload").status(), 200);
    client.get("/after");
    assert!(logged.lines(1)[0].contains("/after"));
    assert!(lines(&moved, 1)[0].contains("/before"));
}

#[test]
fn a_log_that_was_moved_away_is_opened_anew_on_sighup() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let (path, log) = (directory.path().join("tillgate.yaml"), directory.path().join("access.log"));
    fs::write(&path, Yaml::of("random", &[&origin]).line(&line(&log, "json")).to_string()).expect("write");
    let program = Program::run(&path);
    let (web, _) = program.wait_until_listening();
    crate::support::Client::connect(web).get("/before");
    lines(&log, 1);
    fs::rename(&log, log.with_extension("1")).expect("rename");
    program.signal(rustix::process::Signal::HUP);
    program.wait_for_log("config reloaded");
    crate::support::Client::connect(web).get("/after");
    assert!(lines(&log, 1)[0].contains("/after"));
}

#[test]
fn a_log_is_switched_on_and_off_by_reload() {
    let origin = Origin::answering(OK);
    let yaml = Yaml::of("random", &[&origin]);
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    let proxy = yaml.start();
    let mut client = proxy.client();
    client.get("/1");
    proxy.reload(&yaml.clone().line(&line(&log, "json")).to_string());
    client.get("/2");
    proxy.reload(&yaml.to_string());
    client.get("/3");
    assert!(lines(&log, 1)[0].contains("\"/2\""));
}
