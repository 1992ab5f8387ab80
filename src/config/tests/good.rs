use std::time::Duration;

use http::Method;

use super::{good, read, route, upstream};
use crate::config::{
    AccessLog, Admin, Backoff, BodyPace, Condition, HashKey, Host, HostPattern, LogFormat, LogTarget,
    Normalize, PathPattern, Retry, Strategy, Timeouts, Workers,
};

#[test]
fn the_example_loads_without_a_problem_or_a_warning() {
    let text = include_str!("../../../config.example.yaml");
    let loaded = good(text);
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let names: Vec<_> = loaded.config.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["old-products", "orders", "products", "payments"]);
    assert_eq!(loaded.config.upstreams[0].endpoints.len(), 3);
}

#[test]
fn the_smallest_config_has_the_documented_defaults() {
    let config = good(super::MINIMAL).config;
    assert_eq!(config.workers, Workers::Auto);
    assert_eq!(config.admin, Admin::Tcp("127.0.0.1:9900".parse().expect("an address")));
    assert_eq!(config.access_log, AccessLog::Off);
    assert_eq!(config.upstreams[0].strategy, Strategy::LeastResponse);
    assert_eq!(config.listeners[0].limits.max_header_bytes, 65_536);
    assert_eq!(config.routes[0].name, "route-1");
    assert_eq!(
        config.routes[0].timeouts,
        Timeouts {
            request: None,
            per_try: None,
            idle: Duration::from_secs(60),
            body_idle: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(3600),
            pace: Some(BodyPace::default()),
        }
    );
}

#[test]
fn every_part_of_a_match_is_read() {
    let config = good(&route(
        "match:\n  host: \"*.Shop.Example\"\n  path: /a\n  methods: [GET, POST]\n  headers: { X-Channel: web }\n  query: { v: \"2\" }",
    ))
    .config;
    let matches = &config.routes[0].matches;
    assert_eq!(matches.host, Some(HostPattern::Wildcard("shop.example".to_owned())));
    assert!(matches!(&matches.path, PathPattern::Exact(path) if path == "/a"));
    assert_eq!(matches.methods, [Method::GET, Method::POST]);
    assert_eq!(matches.headers[0].0, "x-channel");
    assert_eq!(matches.query, [("v".to_owned(), "2".to_owned())]);
}

#[test]
fn a_single_method_needs_no_list() {
    let config = good(&route("match: { methods: POST }")).config;
    assert_eq!(config.routes[0].matches.methods, [Method::POST]);
}

#[test]
fn a_prefix_loses_its_trailing_slash_but_the_root_keeps_it() {
    for (written, meant) in [("/api/", "/api"), ("/", "/"), ("/api", "/api"), ("/a%2Fb", "/a%2Fb")] {
        let config = good(&route(&format!("match: {{ path_prefix: {written} }}"))).config;
        assert!(matches!(&config.routes[0].matches.path, PathPattern::Prefix(path) if path == meant));
    }
}

#[test]
fn units_mean_what_they_say() {
    let config = good(&route("timeouts: { request: 250ms, per_try: 9s, idle: 2m }\nmax_body: 10MiB")).config;
    let wanted = Timeouts {
        request: Some(Duration::from_millis(250)),
        per_try: Some(Duration::from_secs(9)),
        idle: Duration::from_secs(120),
        body_idle: Duration::from_secs(120),
        ..Timeouts::default()
    };
    assert_eq!(config.routes[0].timeouts, wanted);
    assert_eq!(config.routes[0].max_body, Some(10 * 1024 * 1024));
    assert_eq!(good(&route("max_body: 512")).config.routes[0].max_body, Some(512));
}

#[test]
fn every_strategy_is_known_by_its_name() {
    for name in ["round_robin", "weighted", "random", "least_connections", "p2c", "least_response"] {
        let config = good(&upstream(&format!("strategy: {name}"))).config;
        assert_eq!(config.upstreams[0].strategy.name(), name);
    }
}

#[test]
fn a_route_may_have_a_strategy_of_its_own() {
    let strategy = |lines: &str| good(&route(lines)).config.routes.remove(0).strategy;
    assert_eq!(strategy(""), None);
    assert_eq!(strategy("strategy: round_robin"), Some(Strategy::RoundRobin));
    let hash = strategy("strategy: consistent_hash\nhash: { on: path }");
    assert_eq!(hash, Some(Strategy::ConsistentHash(HashKey::Path)));
}

#[test]
fn a_route_sends_again_what_cannot_have_done_anything_unless_told_otherwise() {
    let retry = |lines: &str| good(&route(lines)).config.routes.remove(0).retry;
    assert_eq!(retry(""), Some(Retry::default()));
    assert_eq!(retry("retry: {}"), Some(Retry::default()));
    assert_eq!(retry("retry: off"), None);
    let default = retry("").expect("a policy");
    assert_eq!((default.attempts, default.budget_percent, default.max_body), (2, 20, 0));
    let named: Vec<_> = default.on.iter().map(Condition::name).collect();
    assert_eq!(named, ["connect_failure", "reset"]);
}

#[test]
fn every_part_of_a_retry_is_read() {
    let text = "retry: { attempts: 5, on: [reset, 503, timeout, 503], budget_percent: 7, \
                backoff: { base: 10ms, max: 1s }, max_body: 64KiB, idempotent_calls: true }";
    let retry = good(&route(text)).config.routes.remove(0).retry.expect("a policy");
    assert_eq!((retry.attempts, retry.budget_percent, retry.max_body), (5, 7, 65_536));
    assert!(retry.idempotent_calls && !Retry::default().idempotent_calls);
    let backoff = Backoff { base: Duration::from_millis(10), max: Duration::from_secs(1) };
    assert_eq!(retry.backoff, backoff);
    let named: Vec<_> = retry.on.iter().map(Condition::name).collect();
    assert_eq!(named, ["reset", "timeout", "503"]);
    assert!(!retry.on.contains(Condition::ConnectFailure) && retry.on.contains(Condition::Unavailable));
}

#[test]
fn every_hash_key_is_read() {
    let hash = |hash: &str| {
        good(&upstream(&format!("strategy: consistent_hash\nhash: {hash}"))).config.upstreams[0]
            .strategy
            .clone()
    };
    let cart = "cart".to_owned();
    assert_eq!(hash("{ on: cookie, name: cart }"), Strategy::ConsistentHash(HashKey::Cookie(cart.clone())));
    assert_eq!(hash("{ on: query, name: cart }"), Strategy::ConsistentHash(HashKey::Query(cart)));
    assert!(
        matches!(hash("{ on: header, name: X-A }"), Strategy::ConsistentHash(HashKey::Header(h)) if h == "x-a")
    );
    assert_eq!(hash("{ on: client_ip }"), Strategy::ConsistentHash(HashKey::ClientIp));
    assert_eq!(hash("{ on: path }"), Strategy::ConsistentHash(HashKey::Path));
}

#[test]
fn slow_start_and_normalize_are_read_and_may_be_off() {
    let shop = |lines: &str| good(&upstream(lines)).config.upstreams.remove(0);
    let plain = shop("");
    assert_eq!((plain.slow_start, plain.least_response.normalize), (None, Normalize::Route));
    assert_eq!(shop("slow_start: off").slow_start, None);
    assert_eq!(shop("slow_start: 30s").slow_start, Some(Duration::from_secs(30)));
    assert_eq!(shop("least_response: { normalize: off }").least_response.normalize, Normalize::Off);
    assert_eq!(shop("least_response: { normalize: route }").least_response.normalize, Normalize::Route);
}

#[test]
fn endpoints_may_be_v4_v6_or_names() {
    let text =
        super::MINIMAL.replace("[\"127.0.0.1:7001\"]", "[127.0.0.1:1, \"[::1]:2\", Orders.Internal:3]");
    let endpoints = &good(&text).config.upstreams[0].endpoints;
    let shown: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
    assert_eq!(shown, ["127.0.0.1:1", "[::1]:2", "orders.internal:3"]);
    assert_eq!(endpoints[2].address.host, Host::Name("orders.internal".to_owned()));
}

#[test]
fn what_is_not_used_may_be_said_to_be_off() {
    good(
        &upstream("protocol: http1")
            .replace("[\"127.0.0.1:7001\"]", "[{ address: 127.0.0.1:1, backup: false }]"),
    );
    good(&super::MINIMAL.replace("8080\" }", "8080\", proxy_protocol: off }"));
    let config = good(&super::top("admin: off\naccess_log: off")).config;
    assert_eq!((config.admin, config.access_log), (Admin::Off, AccessLog::Off));
}

#[test]
fn the_access_log_is_json_to_stdout_unless_said_otherwise() {
    let log = |text: &str| good(&super::top(&format!("access_log: {text}"))).config.access_log;
    assert_eq!(log("{}"), AccessLog::On { target: LogTarget::Stdout, format: LogFormat::Json });
    assert_eq!(log("{ format: off }"), AccessLog::Off);
    let file = LogTarget::File("/tmp/a.log".into());
    assert_eq!(
        log("{ path: /tmp/a.log, format: combined }"),
        AccessLog::On { target: file, format: LogFormat::Combined }
    );
}

#[test]
fn the_explain_header_is_off_unless_somebody_is_named() {
    let header = |text: &str| good(&super::top(text)).config.explain_header;
    assert_eq!(header(""), None);
    assert_eq!(header("explain_header: off"), None);
    let by_address = header("explain_header: { addresses: [127.0.0.0/8, \"::1\"] }").expect("a header");
    assert_eq!((by_address.addresses.len(), by_address.token), (2, None));
    let by_token = header("explain_header: { token: 0123456789abcdeX }").expect("a header");
    assert_eq!(by_token.token.expect("a token").reveal(), "0123456789abcdeX");
}

#[test]
fn a_token_may_come_from_the_environment() {
    let text = super::top("explain_header: { token: \"${TOKEN}\" }");
    let env = |name: &str| (name == "TOKEN").then(|| "from-the-environment".to_owned());
    let config = crate::config::parse("shop.yaml", &text, &env).expect("a good config").config;
    let token = config.explain_header.and_then(|header| header.token).expect("a token");
    assert_eq!(token.reveal(), "from-the-environment");
}

#[test]
fn port_zero_may_be_bound_more_than_once() {
    let text = super::MINIMAL
        .replace("  web:", "  a: { address: 127.0.0.1:0 }\n  b: { address: 127.0.0.1:0 }\n  web:");
    assert_eq!(good(&text).config.listeners.len(), 3);
}

#[test]
fn merge_keys_fill_in_what_a_map_does_not_say() {
    let text = "
listeners: { web: { address: \"127.0.0.1:8080\" } }
upstreams:
  a: &base { strategy: p2c, endpoints: [127.0.0.1:1] }
  b: { <<: *base, endpoints: [127.0.0.1:2] }
routes: [ { upstream: a, name: a, match: { path: /a } }, { upstream: b } ]
";
    let config = good(text).config;
    assert_eq!(config.upstreams[1].strategy, Strategy::P2c);
    assert_eq!(config.upstreams[1].endpoints[0].address.port, 2);
}

#[test]
fn ten_thousand_routes_are_read_in_order() {
    let mut text = super::MINIMAL.split("routes:").next().expect("the beginning").to_owned() + "routes:\n";
    for i in 0..10_000 {
        text += &format!("  - name: r{i}\n    match: {{ path_prefix: /p{i} }}\n    upstream: shop\n");
    }
    let config = good(&text).config;
    assert_eq!(config.routes.len(), 10_000);
    assert_eq!(config.routes[9_999].name, "r9999");
    let broken = text.replace("/p9998 }", "/p9998, hots: a }").replace("/p17 }", "p17 }");
    let problems = read(&broken).expect_err("two problems");
    let places: Vec<_> = problems.iter().map(|p| (p.line, p.column)).collect();
    assert_eq!(places, [(7 + 3 * 17, 27), (7 + 3 * 9998, 35)]);
}

#[test]
fn backups_and_the_panic_threshold_are_read() {
    let endpoints = "[\"a:1\", { address: b:1, backup: true }]";
    let text = upstream("panic_threshold_percent: 0").replace("[\"127.0.0.1:7001\"]", endpoints);
    let upstream = &good(&text).config.upstreams[0];
    assert_eq!(upstream.panic_threshold_percent, 0);
    assert_eq!(upstream.endpoints.iter().map(|endpoint| endpoint.backup).collect::<Vec<_>>(), [false, true]);
    assert_eq!(good(super::MINIMAL).config.upstreams[0].panic_threshold_percent, 1);
}
