//! `tillgate explain`: what it says is what a running proxy does.

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
fn the_endpoint_of_a_hash_is_the_one_that_gets_the_request() {
    let origins = ["a", "b", "c"].map(Origin::echoing);
    let [a, b, c] = &origins;
    let yaml = Yaml::of("consistent_hash, hash: { on: header, name: X-Shop }", &[a, b, c]);
    let proxy = yaml.start();
    let mut owners = std::collections::HashSet::new();
    // Which keys an endpoint owns depends on its port. Sixty leave one without any once in ten thousand million runs.
    for number in 0..60 {
        if number >= 12 && owners.len() == 3 {
            break;
        }
        let answer = proxy.exchange(format!("GET / HTTP/1.1\r\nhost: a\r\nx-shop: s{number}\r\n\r\n"));
        let name = answer.text().remove(0);
        let owner = &origins[usize::from(name as u8 - b'a')];
        let header = format!("X-Shop: s{number}");
        let live = ["--admin", &admin_of(&proxy), "GET", "http://a/", "-H", &header];
        for arguments in [&["--offline", "GET", "http://a/", "-H", &header][..], &live] {
            let said = explain(&proxy.path(), arguments);
            let picks =
                format!("{}, the owner of this hash while endpoints and weights stay", owner.address());
            assert_eq!(said.part("picks"), picks, "{}", said.out);
            assert!(said.part("hash").starts_with(&format!("header x-shop s{number} is ")), "{}", said.out);
        }
        owners.insert(name);
    }
    assert_eq!(owners.len(), 3, "{owners:?}");
    let said = explain(&proxy.path(), &["--offline", "GET", "http://a/"]);
    assert!(
        said.part("picks").starts_with("the request has no header x-shop: at random by weight"),
        "{}",
        said.out
    );
}

#[test]
fn an_owner_that_is_full_is_said_to_pass_the_request_on() {
    let gate = Gate::default();
    let origins = [holding(&gate), holding(&gate)];
    let yaml = Yaml::of("consistent_hash, hash: { on: path }", &[&origins[0], &origins[1]]);
    let proxy = yaml.start();
    let held: Vec<_> = (0..8)
        .map(|_| {
            let mut client = proxy.client();
            client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n");
            client
        })
        .collect();
    let all = proxy.endpoints_when("shop", |all| all.iter().any(|one| one["in_flight"] == 8));
    let (owner, other) = if all[0]["in_flight"] == 8 { (0, 1) } else { (1, 0) };
    let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/held"]);
    let picks = format!(
        "{}, the owner of this hash while endpoints and weights stay\n\
         but now {}: the owner has more than 1.25 times its share in flight",
        origins[owner].address(),
        origins[other].address()
    );
    assert_eq!(said.part("picks"), picks, "{}", said.out);
    gate.open();
    drop(held);
}

#[test]
fn the_client_that_a_trusted_proxy_names_is_hashed() {
    let (path, _directory) = file(
        &Yaml::new("strategy: consistent_hash, hash: { on: client_ip }, endpoints: [\"127.0.0.1:1\", \"127.0.0.1:2\"]")
            .line("trusted_proxies: [10.0.0.0/8]"),
    );
    let hash = |from: &str| {
        let forwarded = "X-Forwarded-For: 192.0.2.7";
        explain(&path, &["--offline", "--from", from, "GET", "http://a/", "-H", forwarded]).part("hash")
    };
    assert!(hash("10.1.2.3").starts_with("client address 192.0.2.7 is "), "{}", hash("10.1.2.3"));
    assert!(hash("203.0.113.9").starts_with("client address 203.0.113.9 is "));
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
fn the_cost_of_a_running_process_says_who_is_picked_now() {
    let gate = Gate::default();
    let origins = [holding(&gate), holding(&gate)];
    let proxy = Yaml::of("least_response", &[&origins[0], &origins[1]]).start();
    let mut client = proxy.client();
    (0..10).for_each(|_| drop(client.get("/")));
    proxy.endpoints_when("shop", |all| {
        all.iter().all(|one| one["cost"]["cold"] == false && one["in_flight"] == 0)
    });
    client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n");
    // Until it has the largest age there is, its cost grows from one look to the next.
    let aged = |one: &serde_json::Value| one["in_flight"] == 1 && one["cost"]["age"] == 4.0;
    let busy = proxy.endpoints_when("shop", |all| all.iter().any(aged));
    let least = || {
        let all = proxy.endpoints_when("shop", |_| true);
        let cost = |index: usize| all[index]["cost"]["total"].as_f64().expect("a number");
        usize::from(cost(1) < cost(0))
    };
    // The other's recent peak fades meanwhile, which may change who is cheaper.
    let (least, said) = eventually("the same order before and after", || {
        let before = least();
        let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
        (before == least()).then_some((before, said))
    });
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert_eq!(said.part("process"), "runs generation 1 of its config");
    let picks = said.part("picks");
    let is_least = picks.starts_with(&format!("{}: cost ", origins[least].address()));
    assert!(is_least && picks.contains(", the lowest of 2"), "{busy:?}\n{}", said.out);
    let table = said.part("endpoints");
    let head: Vec<&str> = table.lines().next().unwrap_or("").split_whitespace().collect();
    assert!(["in", "samples", "cost", "L", "T", "E"].iter().all(|column| head.contains(column)), "{table}");
    assert!(origins.iter().all(|origin| table.contains(&origin.address().to_string())), "{table}");
    gate.open();
    client.response();
}

#[test]
fn requests_in_flight_at_the_running_process_count() {
    let gate = Gate::default();
    let origins = [holding(&gate), holding(&gate)];
    let proxy = Yaml::of("least_connections", &[&origins[0], &origins[1]]).start();
    let mut client = proxy.client();
    client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n");
    let all = proxy.endpoints_when("shop", |all| all.iter().any(|one| one["in_flight"] == 1));
    let (busy, idle) = if all[0]["in_flight"] == 1 { (0, 1) } else { (1, 0) };
    let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
    let shares = format!(
        "of 1000 picks at the load of this moment: {} 1000, {} 0",
        origins[idle].address(),
        origins[busy].address()
    );
    assert!(said.part("picks").ends_with(&shares), "{}", said.out);
    gate.open();
    client.response();
}

#[test]
fn endpoints_that_get_nothing_are_said_to_and_why() {
    let (refuser, origins) = (Refuser::bind(), [Origin::answering(OK), Origin::answering(OK)]);
    let addresses = [refuser.address(), origins[0].address(), origins[1].address()];
    let [dead, well, spare] = addresses.map(|address| address.to_string());
    let shop = |strategy: &str| {
        format!(
            "strategy: {strategy}, endpoints: [\"{dead}\", \"{well}\", {{ address: \"{spare}\", backup: true }}], \
             health_check: {{ interval: 100ms, fall: 1 }}"
        )
    };
    for strategy in ["least_response", "random", "consistent_hash, hash: { on: path }"] {
        let proxy = Yaml::new(&shop(strategy)).start();
        proxy.endpoints_when("shop", |all| all[0]["state"] == "unhealthy");
        let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
        assert_eq!(said.code, Some(0), "{}", said.out);
        let endpoints = said.part("endpoints");
        let row = |address: &str| endpoints.lines().find(|line| line.starts_with(address)).expect("a row");
        assert!(row(&dead).contains("unhealthy") && row(&spare).contains("up, backup"), "{}", said.out);
        let why = format!("health check of {dead}: connection refused");
        assert!(endpoints.ends_with(&why), "{}", said.out);
        let picks = said.part("picks");
        let only = format!("of 1000 picks at the load of this moment: {well} 1000, ");
        match strategy {
            "least_response" => {
                assert!(picks.starts_with(&format!("{well}: cost ")) && picks.contains("of 1"), "{picks}")
            }
            "random" => assert!(picks.contains(&only), "{picks}"),
            _ => assert!(picks.contains(&well), "{picks}"),
        }
        drop(proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{well}/drain")));
        drop(proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{spare}/drain")));
        let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
        assert!(said.out.contains("too few are fit: health is ignored"), "{}", said.out);
        assert_eq!(said.code, Some(0));
    }
    let proxy = Yaml::new(&format!("{}, panic_threshold_percent: 0", shop("random"))).start();
    drop(proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{well}/drain")));
    drop(proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{spare}/drain")));
    proxy.endpoints_when("shop", |all| all.iter().all(|one| one["takes_requests"] == false));
    let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
    assert_eq!(said.code, Some(1));
    assert!(said.part("answer").contains("no_endpoint"), "{}", said.out);
}

#[test]
fn without_a_process_a_backup_waits() {
    let yaml = Yaml::new(
        "strategy: random, endpoints: [\"127.0.0.1:7001\", { address: \"127.0.0.1:7002\", backup: true }]",
    );
    let (path, _directory) = file(&yaml);
    let said = explain(&path, &["--offline", "GET", "http://a/"]);
    assert!(said.part("endpoints").ends_with("127.0.0.1:7002  1       backup"), "{}", said.out);
    assert!(said.part("picks").ends_with("127.0.0.1:7001 1000, 127.0.0.1:7002 0"), "{}", said.out);
}

#[test]
fn the_admin_server_of_the_config_is_asked_also_on_a_unix_socket() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("admin.sock");
    let yaml = Yaml::of("random", &[&origin]).admin(&format!("{{ address: \"unix:{}\" }}", socket.display()));
    let proxy = yaml.start();
    let said = explain(&proxy.path(), &["GET", "http://a/"]);
    assert_eq!((said.part("process"), said.code), ("runs generation 1 of its config".into(), Some(0)));
    let (other, _directory) = file(&Yaml::of("random", &[&origin]));
    let typed = format!("unix:{}", socket.display());
    let said = explain(&other, &["--admin", &typed, "GET", "http://a/"]);
    assert_eq!(said.part("process"), "runs generation 1 of its config");
}

#[test]
fn a_process_that_runs_another_config_than_the_file_is_said_to() {
    let (origin, gone) = (Origin::answering(OK), Origin::answering(OK));
    let route = "{ name: all, match: { path_prefix: / }, upstream: shop, strategy: p2c }";
    let proxy = Yaml::of("random", &[&origin]).routes(route).start();
    let (path, _directory) = file(&Yaml::of("random", &[&origin, &gone]));
    let admin = admin_of(&proxy);
    let said = explain(&path, &["--admin", &admin, "GET", "http://a/"]);
    let process = "runs generation 1 of its config\nit balances by p2c: the file has not taken effect";
    assert_eq!((said.part("process"), said.code), (process.into(), Some(0)));
    assert!(said.part("endpoints").contains("not known to the process"), "{}", said.out);
    let said = explain(&proxy.path(), &["--admin", &admin, "GET", "http://a/"]);
    assert_eq!(
        (said.part("strategy"), said.part("process")),
        ("p2c, the route's own".into(), "runs generation 1 of its config".into())
    );
    let only = Yaml::of("random", &[&origin])
        .upstream(&format!("next: {{ endpoints: [\"{}\"] }}", origin.address()))
        .routes("{ name: all, upstream: next }, { match: { path: /shop }, upstream: shop }");
    let (path, _directory) = file(&only);
    let said = explain(&path, &["--admin", &admin, "GET", "http://a/"]);
    assert!(
        said.part("process").ends_with("it has no such upstream: the file has not taken effect"),
        "{}",
        said.out
    );
}

#[test]
fn without_an_answer_the_file_alone_explains() {
    let origin = Origin::answering(OK);
    let free = free_address();
    let (path, _directory) =
        file(&Yaml::of("random", &[&origin]).admin(&format!("{{ address: \"{free}\" }}")));
    let said = explain(&path, &["GET", "http://a/"]);
    let process = said.part("process");
    assert!(process.starts_with(&format!("{free} does not answer (")), "{process}");
    assert!(process.ends_with(": explained from the file alone"), "{process}");
    assert_eq!(said.code, Some(0));
    let any = Yaml::of("random", &[&origin]);
    for (yaml, why) in [
        (any.clone().admin("off"), "not asked: the config says `admin: off`"),
        (any, "not asked: the config gives the admin server any free port; say which with --admin"),
    ] {
        let (path, _directory) = file(&yaml);
        let said = explain(&path, &["GET", "http://a/"]);
        assert_eq!(said.part("process"), format!("{why}: explained from the file alone"));
        assert_eq!((said.code, said.part("upstream")), (Some(0), "shop".into()));
    }
}

#[test]
fn what_is_no_admin_server_is_not_believed() {
    let endless = Origin::start(|visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\n\r\n");
        while visit.send([b' '; 65_536]) {}
    });
    let silent = Origin::behind(&Gate::default());
    let (page, missing) =
        (Origin::answering(ok_with("{}")), Origin::answering("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"));
    for (origin, why) in [
        (&page, "answers something else ("),
        (&missing, "answers 404 Not Found, as no admin server does"),
        (&silent, "does not answer within 2s"),
        (&endless, "breaks off its answer (length limit exceeded)"),
    ] {
        let admin = origin.address().to_string();
        let said = explain(&example(), &["--admin", &admin, "GET", "http://a/products"]);
        let process = said.part("process");
        assert!(process.starts_with(&format!("{admin} {why}")), "{process}");
        assert_eq!(said.code, Some(0));
    }
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
fn what_takes_no_requests_at_the_running_process_is_not_picked() {
    let origins = [Origin::answering(OK), Origin::answering(OK)];
    let proxy = Yaml::of("round_robin", &[&origins[0], &origins[1]]).start();
    let addresses = origins.each_ref().map(|origin| origin.address());
    let picks = |of: [usize; 2]| {
        format!("of 1000 picks at the load of this moment: {} 1000, {} 0", addresses[of[0]], addresses[of[1]])
    };
    let drain = |what: &str, at: usize| {
        proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{}/{what}", addresses[at]));
        explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"])
    };
    let said = drain("drain", 0);
    assert!(said.out.contains(&picks([1, 0])), "{}", said.out);
    let said = drain("drain", 1);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.part("answer").contains("no_endpoint"), "{}", said.out);
    let said = drain("undrain", 0);
    assert!(said.out.contains(&picks([0, 1])), "{}", said.out);
}

#[test]
fn a_backup_is_not_picked_while_another_is_fit() {
    let yaml = Yaml::new(
        "strategy: random, endpoints: [\"127.0.0.1:1\", { address: \"127.0.0.1:2\", backup: true }]",
    );
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    std::fs::write(&path, yaml.to_string()).expect("write");
    let said = explain(&path, &["--offline", "GET", "http://a/"]);
    assert!(said.out.contains("127.0.0.1:1 1000, 127.0.0.1:2 0"), "{}", said.out);
}

#[test]
fn the_turns_of_one_that_is_out_are_shared_as_a_worker_shares_them() {
    let origins = [(); 4].map(|()| Origin::answering(OK));
    let addresses = origins.each_ref().map(|origin| origin.address().to_string());
    let proxy = Yaml::before(&origins.each_ref()).start();
    drop(proxy.admin("POST", &format!("/api/v1/upstreams/shop/endpoints/{}/drain", addresses[1])));
    proxy.endpoints_when("shop", |all| all[1]["takes_requests"] == false);
    let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
    let picks = said.part("picks");
    let share = |address: &String| {
        let (_, rest) = picks.split_once(&format!("{address} ")).expect("its share");
        rest.split(',').next().and_then(|count| count.parse::<u32>().ok()).expect("a number")
    };
    let shares = addresses.each_ref().map(share);
    assert_eq!(shares[1], 0);
    assert!([0, 2, 3].iter().all(|at| (333..=334).contains(&shares[*at])), "{shares:?}");
}

#[test]
fn a_full_endpoint_and_what_the_upstream_lets_in_are_said() {
    let gate = Gate::default();
    let (origin, other) = (holding(&gate), Origin::answering(OK));
    let shop = |queue: &str, more: &str| {
        let endpoint = format!("{{ address: \"{}\", max_connections: 1 }}", origin.address());
        Yaml::new(&format!("strategy: round_robin, endpoints: [{endpoint}{more}]{queue}"))
    };
    let (spare, queue) = (
        format!(", {{ address: \"{}\", backup: true }}", other.address()),
        ", queue: { max_in_flight: 7, max_waiting: 3 }",
    );
    let backup = format!("of 1000 picks at the load of this moment: {} 1000", other.address());
    for (yaml, code, label, words, line) in [
        (shop("", ""), 1, "answer", "upstream_full", ""),
        (shop("", &spare), 0, "picks", backup.as_str(), ""),
        (
            shop(queue, ""),
            0,
            "picks",
            "none yet",
            "1 of 1 in flight, 0 waiting; priority normal: 100 % let in",
        ),
    ] {
        let proxy = yaml.start();
        let mut client = proxy.client();
        client.send("GET /held HTTP/1.1\r\nhost: a\r\n\r\n");
        proxy.endpoints_when("shop", |all| all[0]["in_flight"] == 1);
        let said = explain(&proxy.path(), &["--admin", &admin_of(&proxy), "GET", "http://a/"]);
        assert_eq!((said.code, said.part("queue").as_str()), (Some(code), line), "{}", said.out);
        assert!(said.part("endpoints").contains("up, full"), "{}", said.out);
        assert!(said.part(label).contains(words), "{}", said.out);
    }
    gate.open();
}
