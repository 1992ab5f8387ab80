//! `tillgate explain`: what it says is what a running proxy does.

mod answers;
mod availability;
mod hashing;
mod process;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{Gate, OK, Origin, Program, Proxy, Refuser, Yaml, eventually, free_address, ok_with};

/// What one run said and how it ended.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn explain(config: &Path, arguments: &[&str]) -> Said {
    let config = config.to_str().expect("UTF-8");
    let output = Program::output(&[&["explain", "--config", config], arguments].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

impl Said {
    /// The text behind a label, with the lines that continue it.
    fn part(&self, label: &str) -> String {
        let lines = self.out.lines().skip_while(|line| !line.starts_with(label));
        let first = lines.clone().take(1).map(|line| line[label.len()..].trim().to_owned());
        let more = lines.skip(1).take_while(|line| line.starts_with(' ')).map(|line| line.trim().to_owned());
        first.chain(more).collect::<Vec<_>>().join("\n")
    }
}

fn file(yaml: &Yaml) -> (PathBuf, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    fs::write(&path, yaml.to_string()).expect("write");
    (path, directory)
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.yaml")
}

fn admin_of(proxy: &Proxy) -> String {
    format!("http://{}", proxy.admin_address().expect("an admin address"))
}

/// Answers, save that `/held` waits for the gate.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |visit| {
        while let Some(request) = visit.request() {
            if request.asks() == "GET /held" {
                gate.pass();
            }
            if !visit.send(OK) {
                return;
            }
        }
    })
}

#[test]
fn the_route_is_named_with_its_conditions_and_what_follows_from_it() {
    let said = explain(&example(), &["--offline", "GET", "http://127.0.0.1:8080/products/7?x=1"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert!(said.out.starts_with("GET http://127.0.0.1:8080/products/7?x=1\n\n"), "{}", said.out);
    for (label, text) in [
        ("listener", "web (127.0.0.1:8080)"),
        ("route", "products: path_prefix /products, method GET or HEAD"),
        ("timeouts", "request unbounded, idle 1m"),
        ("upstream", "orders"),
        ("strategy", "least_response, the upstream's"),
        ("process", "not asked (--offline): explained from the file alone"),
        ("endpoints", "address         weight\n127.0.0.1:7001  1\n127.0.0.1:7002  1\n127.0.0.1:7003  1"),
    ] {
        assert_eq!(said.part(label), text, "{}", said.out);
    }
    assert!(!said.out.contains("\npath "), "the path is as it was written: {}", said.out);
    let said = explain(&example(), &["--offline", "POST", "http://127.0.0.1:8080/payments"]);
    assert_eq!(
        (said.part("timeouts"), said.part("max body")),
        ("request 10s, idle 1m".into(), "64KiB".into())
    );
}

#[test]
fn a_path_that_is_changed_is_shown_in_all_its_forms() {
    let said = explain(&example(), &["--offline", "GET", "http://127.0.0.1:8080/a/../%70roducts?x=1"]);
    let path = "/a/../%70roducts is matched as /products\nand forwarded as /%70roducts?x=1";
    assert_eq!((said.part("path"), said.code), (path.into(), Some(0)), "{}", said.out);
    let said = explain(&example(), &["--offline", "GET", "http://127.0.0.1:8080/..%2fproducts"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.part("answer").starts_with("400 Bad Request by Tillgate itself: path_disguised_dots"),
        "{}",
        said.out
    );
}

#[test]
fn routes_that_come_close_are_named_with_what_decides() {
    let origin = Origin::answering(OK);
    let (path, _directory) = file(&Yaml::of("random", &[&origin]).routes(
        "{ name: all, upstream: shop }, \
         { name: api, match: { path_prefix: /api }, upstream: shop }, \
         { name: beta, match: { path_prefix: /api, headers: { x-beta: \"1\" } }, upstream: shop }, \
         { name: deep, match: { path_prefix: /api/v1 }, upstream: shop }, \
         { name: other, match: { path: /other }, upstream: shop }",
    ));
    let said = explain(&path, &["--offline", "GET", "http://shop.example/api/v2"]);
    let route = "api: path_prefix /api\n\
                 goes before all (takes everything): its path is more exact\n\
                 beta would go first, but for header x-beta: 1";
    assert_eq!(said.part("route"), route);
    let said = explain(&path, &["--offline", "GET", "http://shop.example/api/v1/a", "-H", "X-Beta: 1"]);
    let route = "deep: path_prefix /api/v1\n\
                 goes before all (takes everything): its path is more exact\n\
                 goes before api (path_prefix /api): its path is more exact\n\
                 goes before beta (path_prefix /api, header x-beta: 1): its path is more exact";
    assert_eq!(said.part("route"), route);
}

#[test]
fn a_request_that_no_route_takes_is_told_what_the_nearest_ones_need() {
    let said = explain(&example(), &["--offline", "POST", "/products", "-H", "Host: shop.example"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""));
    assert_eq!(said.part("listener"), "any: web (127.0.0.1:8080)");
    let route = "none takes it\n\
                 products needs method GET or HEAD (path_prefix /products fits)\n\
                 payments needs path_prefix /payments\n\
                 old-products needs path_prefix /shop/products\n\
                 orders needs path_prefix /orders";
    assert_eq!(said.part("route"), route);
    assert!(said.part("answer").starts_with("404 Not Found by Tillgate itself: no_route"), "{}", said.out);
}

#[test]
fn what_tillgate_would_answer_itself_is_said() {
    let large = ["--offline", "POST", "http://a/payments", "-H", "Content-Length: 65537"];
    let hosts = ["--offline", "GET", "/payments", "-H", "Host: a", "-H", "Host: b"];
    let connect = ["--offline", "CONNECT", "http://a/"];
    for (arguments, answer) in [
        (large.as_slice(), "413 Payload Too Large by Tillgate itself: body_too_large"),
        (&hosts, "400 Bad Request by Tillgate itself: repeated_host"),
        (&connect, "405 Method Not Allowed by Tillgate itself: connect_refused"),
    ] {
        let said = explain(&example(), arguments);
        assert_eq!(said.code, Some(1), "{}", said.out);
        assert!(said.part("answer").starts_with(answer), "{}", said.out);
    }
    let yaml = Yaml::new("strategy: random, endpoints: [ { address: \"127.0.0.1:7001\", weight: 0 } ]");
    let (path, _directory) = file(&yaml);
    let said = explain(&path, &["--offline", "GET", "http://a/"]);
    assert_eq!(said.code, Some(1));
    assert!(said.part("answer").starts_with("503 Service Unavailable by Tillgate itself: no_endpoint"));
}

#[test]
fn a_question_that_makes_no_sense_is_refused_with_a_hint() {
    for (arguments, words) in [
        (&["get", "http://a/"][..], "`get`: methods are case-sensitive\n  hint: write GET\n"),
        (
            &["G T", "http://a/"],
            "\"G T\" is not a method\n  hint: the method comes first, as in GET /orders\n",
        ),
        (
            &["GET", "http://a b/"],
            "\"http://a b/\" is not a URL\n  hint: write http://HOST/PATH, with blanks as %20\n",
        ),
        (
            &["GET", "orders"],
            "\"orders\" is not a URL\n  hint: write http://HOST/PATH, or /PATH and -H 'Host: HOST'\n",
        ),
        (&["GET", "/a"], "/a names no host\n  hint: write http://HOST/a, or add -H 'Host: HOST'\n"),
        (&["GET", "http://a/", "-H", "X"], "-H \"X\" is not a header\n  hint: write -H 'Name: value'\n"),
        (
            &["GET", "http://a/", "-H", "X: a\nb"],
            "-H \"X: a\\nb\" is not a header\n  hint: a value is printable text\n",
        ),
    ] {
        let said = explain(&example(), &[&["--offline"], arguments].concat());
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(2), "", words));
    }
    let said = explain(&example(), &["--admin", "https://x", "GET", "http://a/"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.starts_with("--admin https://x: not the address of an admin server\n"), "{}", said.err);
    let said = explain(Path::new("/nowhere.yaml"), &["GET", "http://a/"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.starts_with("/nowhere.yaml: there is no such file\n"), "{}", said.err);
}

#[test]
fn the_headers_it_says_are_the_ones_the_endpoint_gets() {
    let origin = Origin::answering(OK);
    let proxy = Yaml::of("random", &[&origin]).line("trusted_proxies: [127.0.0.0/8]").start();
    proxy.exchange(
        "GET /a//b HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-for: 192.0.2.7\r\nconnection: x-gone\r\n\
         x-gone: 1\r\nx-kept: 2\r\n\r\n",
    );
    let headers = ["X-Forwarded-For: 192.0.2.7", "Connection: x-gone", "X-Gone: 1", "X-Kept: 2"];
    let headers: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
    let asked = ["--offline", "GET", "http://shop.example/a//b"];
    let said = explain(&proxy.path(), &[&asked[..], &headers].concat());
    let got = origin.request();
    let lines: Vec<String> = said.part("headers").lines().map(str::to_owned).collect();
    let mut set = 0;
    for line in &lines {
        if let Some((name, value)) = line.strip_prefix("set ").and_then(|line| line.split_once(": ")) {
            set += 1;
            let sent = got.header(name).unwrap_or_else(|| panic!("no {name} in {}", got.head));
            assert!(sent == value || name == "x-request-id", "{name}: {sent}");
        }
        if let Some(name) = line.strip_prefix("remove ") {
            assert_eq!(got.header(name), None, "{}", got.head);
        }
    }
    assert_eq!(set, 4, "{lines:?}");
    assert!(
        lines.contains(&"remove x-gone".to_owned()) && !said.part("headers").contains("x-kept"),
        "{lines:?}"
    );
    assert_eq!(got.asks(), "GET /a//b");
}

#[test]
fn a_name_without_an_address_is_said_to_have_none() {
    let (path, _directory) = file(&Yaml::new("endpoints: [\"nowhere.invalid:80\"]"));
    let said = explain(&path, &["--offline", "GET", "http://a/"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.part("upstream").contains("cannot resolve nowhere.invalid:80: "), "{}", said.out);
}

#[test]
fn what_is_done_beside_balancing_is_told() {
    let origins = ["a", "b"].map(Origin::echoing);
    let secret = "0123456789abcdef0123456789abcdef";
    let yaml = Yaml::before(&[&origins[0]])
        .upstream(&format!(
            "next: {{ endpoints: [\"{}\"], sticky: {{ secret: {secret} }} }}, copies: {{ endpoints: [\"127.0.0.1:1\"] }}",
            origins[1].address()
        ))
        .routes(&format!(
            "{{ name: all, split: [ {{ upstream: shop, weight: 0 }}, {{ upstream: next, weight: 10 }} ], \
             split_cookie: {{ name: side, secret: {secret} }}, mirror: {{ upstream: copies, percent: 0.5 }}, \
             fault: {{ delay: {{ for: 200ms, percent: 10 }}, abort: {{ status: 503, percent: 0 }}, \
             when: {{ header: X-Game-Day }} }} }}"
        ));
    let (path, _directory) = file(&yaml);
    let told = |headers: &[&str]| {
        let said = explain(&path, &[&["--offline", "GET", "http://a/"], headers].concat());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
        said
    };
    let said = told(&[]);
    assert_eq!(
        said.part("fault"),
        "10 % are held back for 200ms, 0 % are answered 503; only those with x-game-day"
    );
    assert_eq!(
        said.part("split"),
        "by weight: shop 0, next 10\nthe request has no cookie side: it gets one with the answer"
    );
    assert_eq!(said.part("upstream"), "next");
    assert_eq!(said.part("sticky"), "the request has no cookie tillgate: it gets one with the answer");
    assert_eq!(said.part("mirror"), "0.5 % are copied to copies, with bodies of up to 64KiB");
    let cookies: Vec<String> = yaml
        .start()
        .get("/")
        .all("set-cookie")
        .iter()
        .filter_map(|set| set.split(';').next().map(str::to_owned))
        .collect();
    let said = told(&["-H", &format!("Cookie: {}", cookies.join("; "))]);
    let kept = format!(
        "the request stays with {}, which its cookie tillgate names, as long as that is fit",
        origins[1].address()
    );
    assert_eq!(said.part("sticky"), kept);
    assert!(said.part("split").ends_with("which its cookie side names, as long as that is fit"));
    let said = told(&["-H", "Cookie: tillgate=made-up"]);
    assert_eq!(said.part("sticky"), "the request has a cookie tillgate that is not good: it gets a new one");
}

#[test]
fn a_certificate_that_is_only_claimed_leads_to_no_route() {
    let matched = "path_prefix: /, headers: { X-Forwarded-Client-Cert: Hash=1 }";
    let route = format!("{{ name: tills, match: {{ {matched} }}, upstream: shop }}");
    let (path, _directory) = file(&Yaml::before_address(free_address()).routes(&route));
    let claim = "X-Forwarded-Client-Cert: Hash=1";
    let said = explain(&path, &["--offline", "-H", claim, "GET", "http://shop.example/"]);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
}
