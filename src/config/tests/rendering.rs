use super::{MINIMAL, good, route, top, upstream};
use crate::config::{to_json, to_yaml};

/// Compares in the form that shows everything: `Config` holds regexes, which have no equality.
pub(super) fn survives(text: &str) {
    let config = good(text).config;
    let printed = to_yaml(&config);
    let again = good(&printed).config;
    assert_eq!(format!("{config:#?}"), format!("{again:#?}"), "{printed}");
    assert_eq!(printed, to_yaml(&again));
}

#[test]
fn what_is_printed_reads_back_to_the_same_config() {
    survives(MINIMAL);
    survives(include_str!("../../../config.example.yaml"));
    survives(&top(
        "workers: 3\ntrusted_proxies: [10.0.0.0/8, \"::1\"]\nadmin: off\naccess_log: { path: /tmp/x }",
    ));
    survives(&top(
        "admin: { address: \"unix:/run/t.sock\" }\naccess_log: { path: stderr, format: combined }",
    ));
    survives(&top("shutdown: { drain_timeout: 0s }"));
    survives(&upstream("slow_start: 90s\nleast_response: { quantile: 0.5, window: 10m, normalize: off }"));
    for hash in [
        "on: path",
        "on: client_ip",
        "on: cookie, name: c",
        "on: header, name: X-A",
        "on: query, name: \"1\"",
    ] {
        survives(&upstream(&format!("strategy: consistent_hash\nhash: {{ {hash} }}")));
    }
    survives(&upstream("queue: { max_in_flight: 5, max_waiting: 0, timeout: 50ms }"));
    survives(&upstream("adaptive_concurrency: { min: 3, max: 30, tolerance_percent: 10 }"));
    survives(&upstream("").replace("[\"127.0.0.1:7001\"]", "[{ address: a:1, max_connections: 200 }]"));
    survives(&route("early_hints: on"));
    survives(&route("priority: critical\nslo: 200ms"));
    survives(&route("strategy: p2c"));
    survives(&route("rate_limit: { key: client_ip, rate: 100/s, burst: 50 }"));
    survives(&route(
        "rate_limit: [ { key: { header: X-Api-Key }, rate: 60/m, max_keys: 2000 }, { key: { cookie: s }, rate: 1/h } ]",
    ));
    survives(&route("timeouts: { idle: 5s, body_idle: 3s, min_body_rate: 1KiB, body_grace: 1s }"));
    survives(&route("timeouts: { min_body_rate: off }"));
    for most in ["off", "0", "7"] {
        let limits = format!("8080\", limits: {{ max_connections_per_client: {most} }} }}");
        survives(&MINIMAL.replace("8080\" }", &limits));
    }
    survives(&MINIMAL.replace("8080\" }", "8080\", limits: { max_streams: 7 } }"));
    survives(&route("retry: off\ntimeouts: { per_try: 3s }"));
    survives(&route("retry: { on: [429, timeout, reset, 504], backoff: { base: 1ms }, max_body: 1000 }"));
    survives(&route("upgrades: off\ntimeouts: { tunnel_idle: 5m }"));
    survives(&route("upgrades: [websocket, Chat/2]"));
    survives(&route("hedge: {}"));
    survives(&route("hedge: { after: p99.9, max_percent: 100 }"));
    survives(&route("hedge: { after: 1500ms }"));
    survives(&route("strategy: consistent_hash\nhash: { on: header, name: X-A }"));
    for to in [
        "scheme: https",
        "scheme: http, host: \"[::1]\", port: 8080, path: \"/a b/é\", status: 302",
        "path_prefix: /",
        "path_regex: { pattern: '^/(a)', replacement: \"/$1$${1}$$x\" }",
    ] {
        survives(&MINIMAL.replace("upstream: shop }", &format!("redirect: {{ {to} }} }}")));
    }
    survives(&route("rewrite: { path_prefix: /v2, host: \"a.internal:8080\" }\nmatch: { path: /v1 }"));
    survives(&route("rewrite: { path_regex: { pattern: '^/a\\.php$', replacement: /b } }"));
    survives(&route(
        "request_headers: { remove: [a, b], set: { x: \"y $${Z}\" }, add: { l: [a, b], m: c } }",
    ));
    survives(&route("response_headers: { remove: Server, add: { Via: \"\" } }"));
    survives(&route(
        "cors: { allow_origins: \"*\", allow_methods: \"*\", expose_headers: \"*\", max_age: 0s }",
    ));
    survives(&route(
        "cors: { allow_origins: [\"https://*.a.example:8443\", http://b.example], allow_headers: [x], allow_credentials: true }",
    ));
    for part in [
        "scheme: https",
        "host: \"*.a.example\"",
        "host: \"[::1]\"",
        "path: \"/a b\"",
        "path_regex: '^/[0-9]+\\.html$'",
        "methods: [GET, PURGE]",
        "headers: { x: \"true\", y: \"1\", z: \"a $${HOME}: #\" }",
        "query: { \"\": \"\", \"null\": \"~\", \"2\": \"$$$${x}\", é: \"\\t\\n\" }",
    ] {
        survives(&route(&format!(
            "timeouts: {{ request: 90m, idle: 1500ms }}\nmax_body: 1025\nmatch: {{ {part} }}"
        )));
    }
}

#[test]
fn a_token_is_shown_nowhere_and_what_stands_for_it_is_no_token() {
    let text = top("explain_header: { token: hunter2-hunter2-hunter2, addresses: [10.0.0.0/8] }");
    let config = good(&text).config;
    let shown =
        [to_yaml(&config), to_json(&config).to_string(), format!("{config:?}"), format!("{config:#?}")];
    for shown in &shown {
        assert!(shown.contains("10.0.0.0/8") && !shown.contains("hunter2"), "{shown}");
    }
    assert!(super::read(&shown[0]).is_err(), "else the stars would be a token that everybody knows");
    survives(&top("explain_header: { addresses: [10.0.0.0/8] }"));
}

#[test]
fn the_order_of_the_file_is_kept() {
    let text =
        MINIMAL.replace("upstreams:\n", "upstreams:\n  z: { endpoints: [a:1] }\n  a: { endpoints: [a:1] }\n");
    survives(&text);
}

#[test]
fn every_default_is_spelled_out() {
    let json = to_json(&good(MINIMAL).config);
    assert_eq!(json["workers"], "auto");
    assert_eq!(json["listeners"]["web"]["limits"]["max_header_bytes"], "64KiB");
    assert_eq!(json["listeners"]["web"]["limits"]["max_streams"], 128);
    assert_eq!(json["upstreams"]["shop"]["least_response"]["quantile"], 0.99);
    assert_eq!(json["upstreams"]["shop"]["least_response"]["normalize"], "route");
    assert_eq!(json["upstreams"]["shop"]["slow_start"], "off");
    assert_eq!(json["upstreams"]["shop"]["endpoints"][0]["weight"], 1);
    assert_eq!(json["listeners"]["web"]["limits"]["max_connections_per_client"], "off");
    assert_eq!(json["routes"][0]["timeouts"]["idle"], "1m");
    assert_eq!(json["routes"][0]["timeouts"]["body_idle"], "1m");
    assert_eq!(json["routes"][0]["timeouts"]["min_body_rate"], "500");
    assert_eq!(json["routes"][0]["timeouts"]["body_grace"], "20s");
    assert_eq!(json["routes"][0]["retry"]["attempts"], 2);
    assert_eq!(json["routes"][0]["retry"]["backoff"]["max"], "250ms");
    assert_eq!(json["routes"][0]["hedge"], "off");
    assert_eq!(json["admin"]["address"], "127.0.0.1:9900");
    assert_eq!(json["access_log"], "off");
    assert_eq!(json["explain_header"], "off");
}
