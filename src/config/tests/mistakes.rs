use super::{bad, hint, read, route, top, upstream};

#[test]
fn unknown_key_names_the_nearest_known_one() {
    let text = route("timeout: { request: 5s }");
    assert_eq!(bad(&text), ["7:5 unknown key `timeout`"]);
    assert_eq!(hint(&text), "did you mean `timeouts`?");
    assert_eq!(hint(&upstream("stratgy: p2c")), "did you mean `strategy`?");
    assert_eq!(hint(&top("acces_log: off")), "did you mean `access_log`?");
    assert!(hint(&route("zzz: 1")).starts_with("the keys here are name, match, "));
}

#[test]
fn a_bad_upstream_does_not_hide_a_bad_route() {
    let text = "
listeners:
  web: { address: localhost:8080 }
upstreams:
  shop:
    strategy: fastest
    endpoints: [127.0.0.1]
routes:
  - match: { path: a, path_prefix: /b }
    upstream: shpo
  - match: { methods: [get, CONNECT] }
    timeouts: { idle: 5 }
    upstream: shop
workers: 0
";
    assert_eq!(
        bad(text),
        [
            "3:19 `localhost:8080` has no IP address",
            "6:15 `strategy` must be one of round_robin, weighted, random, least_connections, p2c, \
             least_response, consistent_hash, found `fastest`",
            "7:17 `127.0.0.1` has no port",
            "9:36 `path` and `path_prefix` exclude each other",
            "10:15 there is no upstream `shpo`",
            "11:24 `get` is not in upper case",
            "11:29 CONNECT never reaches a route: Tillgate refuses it",
            "12:23 `idle` must be a duration from 1ms to 24h, found the number 5",
            "14:10 `workers` must be a whole number from 1 to 1024, found the number 0",
        ]
    );
}

#[test]
fn every_section_that_is_needed_is_named_when_it_is_missing() {
    assert_eq!(
        bad("workers: 1\n"),
        [
            "1:1 `listeners` is missing in `the config`",
            "1:1 `upstreams` is missing in `the config`",
            "1:1 `routes` is missing in `the config`",
        ]
    );
    assert_eq!(
        bad("listeners: {}\nupstreams: {}\nroutes: []\n"),
        ["1:12 there is no listener", "2:12 there is no upstream", "3:9 there is no route"]
    );
}

#[test]
fn a_number_outside_its_range_is_told_the_range() {
    let weights = |weight: &str| {
        upstream("").replace("\"127.0.0.1:7001\"", &format!("{{ address: 127.0.0.1:1, weight: {weight} }}"))
    };
    assert_eq!(
        bad(&weights("1001")),
        ["5:49 `weight` must be a whole number from 0 to 1000, found the number 1001"]
    );
    assert_eq!(
        bad(&weights("-1")),
        ["5:49 `weight` must be a whole number from 0 to 1000, found the number -1"]
    );
    assert_eq!(
        bad(&weights("1.5")),
        ["5:49 `weight` must be a whole number from 0 to 1000, found the number 1.5"]
    );
    assert_eq!(hint(&weights("\"2\"")), "write the number without quotes");
    assert_eq!(
        bad(&upstream("least_response: { quantile: 1, min_samples: 0 }")),
        [
            "5:33 `quantile` must be a number from 0.5 to 0.999, found the number 1",
            "5:49 `min_samples` must be a whole number from 1 to 1000000, found the number 0"
        ]
    );
    assert_eq!(
        bad(&upstream("least_response: { normalize: per_route }\nslow_start: 16m")),
        [
            "5:34 `normalize` must be one of route, off, found `per_route`",
            "6:17 `slow_start` must be a duration from 1s to 15m, found `16m`"
        ]
    );
    let limit = |text: &str| super::MINIMAL.replace("8080\" }", &format!("8080\", limits: {{ {text} }} }}"));
    assert_eq!(
        bad(&limit("max_header_bytes: 1KiB")),
        ["2:65 `max_header_bytes` must be a size from 8KiB to 1MiB, found `1KiB`"]
    );
    assert_eq!(
        bad(&limit("max_streams: 0")),
        ["2:60 `max_streams` must be a whole number from 1 to 1000, found the number 0"]
    );
    assert_eq!(
        bad(&limit("max_connections: 0")),
        ["2:64 `max_connections` must be a whole number, 1 or more, found the number 0"]
    );
}

#[test]
fn a_retry_that_makes_no_sense_is_told_what_would() {
    assert_eq!(
        bad(&route("retry: { attempts: 6, on: [500, 501], budget_percent: 0, max_body: 2MiB }")),
        [
            "7:24 `attempts` must be a whole number from 1 to 5, found the number 6",
            "7:37 `condition` must be one of connect_failure, reset, timeout, 429, 500, 502, 503, 504, grpc_unavailable, found \
             the number 501",
            "7:59 `budget_percent` must be a whole number from 1 to 100, found the number 0",
            "7:72 `max_body` must be a size from 0 to 1MiB, found `2MiB`",
        ]
    );
    assert_eq!(hint(&route("retry: { on: [connect_failures] }")), "did you mean `connect_failure`?");
    assert_eq!(hint(&route("retry: { on: [] }")), "write `retry: off` to send nothing again");
    assert_eq!(hint(&route("retry: { attempts: 0 }")), "write `retry: off` to send nothing again");
    assert_eq!(
        bad(&route("retry: { backoff: { base: 300ms } }")),
        ["7:31 `base` is longer than `max`, which is 250ms"]
    );
    assert_eq!(bad(&route("retry: on")), ["7:12 `retry` must be a map, found `on`"]);
}

#[test]
fn units_that_do_not_exist_are_told_what_does() {
    assert_eq!(hint(&route("timeouts: { idle: 5 }")), "add the unit, as in `5s` or `5ms`");
    for text in ["5us", "5 s", "1.5s", "s", "-5s", "99999999999999999999s"] {
        assert_eq!(
            hint(&route(&format!("timeouts: {{ idle: {text} }}"))),
            "write it as `250ms`, `5s`, `2m` or `1h`"
        );
    }
    for text in ["5MB", "5 MiB", "MiB", "-5", "1.5"] {
        assert_eq!(
            hint(&route(&format!("max_body: {text}"))),
            "write it as `512`, `64KiB`, `10MiB` or `1GiB`"
        );
    }
    assert_eq!(bad(&route("timeouts: { idle: 25h }")).len(), 1);
    assert_eq!(bad(&route("timeouts: { idle: 0s }")).len(), 1);
}

#[test]
fn addresses_of_endpoints_are_told_apart_from_what_is_not_one() {
    let text = |address: &str| upstream("").replace("127.0.0.1:7001", address);
    for (address, message, hint_text) in [
        ("127.0.0.1", "`127.0.0.1` has no port", "write `127.0.0.1:8080`"),
        ("127.0.0.1:0", "`127.0.0.1:0` has port 0", "an endpoint has a port from 1 to 65535"),
        ("a:65536", "`a:65536` has no valid port", "a port is a number up to 65535"),
        ("a:+80", "`a:+80` has no valid port", "a port is a number up to 65535"),
        ("::1", "`::1` has no port", "an IPv6 address stands in brackets, with a port: `[::1]:8080`"),
        (
            "fe80::1%eth0:80",
            "`fe80::1%eth0:80` is not an address",
            "an IPv6 address stands in brackets: `[fe80::1%eth0]:80`",
        ),
        ("[::1]", "`[::1]` has no port", "write `[::1]:8080`"),
        ("[zz]:1", "`[zz]` is not an IPv6 address", "write it as `[::1]`"),
        ("300.0.0.1:80", "`300.0.0.1` is not an IP address", "an IPv4 address is four numbers from 0 to 255"),
        ("http://a:1/x", "`http://a:1/x` is a URL, not an address", "write `a:1`"),
        ("a b:1", "`a b` is not a host name", "a name has labels of letters, digits and `-` between dots"),
        ("a.:1", "`a.` is not a host name", "leave out the dot at the end"),
    ] {
        assert_eq!(bad(&text(address)), [format!("5:17 {message}")]);
        assert_eq!(hint(&text(address)), hint_text);
    }
}

#[test]
fn a_listener_without_a_host_is_told_to_name_all_addresses() {
    assert_eq!(
        hint(&super::MINIMAL.replace("127.0.0.1:8080", ":8080")),
        "write `0.0.0.0:8080` or `127.0.0.1:8080`"
    );
    assert_eq!(hint(&super::MINIMAL.replace("127.0.0.1:8080", "*:8080")), "write `0.0.0.0:8080`");
}

#[test]
fn what_must_be_unique_is() {
    let two = super::MINIMAL.replace("  web:", "  a: { address: 127.0.0.1:8080 }\n  web:");
    assert_eq!(bad(&two), ["3:19 `127.0.0.1:8080` is the address of listener `a` already"]);
    let twice = super::MINIMAL.replace("[\"127.0.0.1:7001\"]", "[a:1, A:1]");
    assert_eq!(bad(&twice), ["4:28 `a:1` is an endpoint of this upstream already"]);
    let named = route("name: x") + "  - { upstream: shop, name: x, match: { path: / } }\n";
    assert_eq!(bad(&named), ["8:29 `x` is the name of route 1 already"]);
    let default = route("name: route-2") + "  - { upstream: shop, match: { path: / } }\n";
    assert_eq!(bad(&default), ["8:5 `route-2` is the name of route 1 already"]);
    assert_eq!(bad(&top("workers: 1\nworkers: 2")), ["8:1 `workers` is given twice"]);
    assert_eq!(
        bad(&route("match: { headers: { a: x, A: y } }")),
        ["7:31 `A` is given twice; case does not matter"]
    );
    let admin = "7:8 `127.0.0.1:8080` is the address of the admin server and of listener `web`";
    assert_eq!(bad(&top("admin: { address: 127.0.0.1:8080 }")), [admin]);
    assert_eq!(bad(&super::MINIMAL.replace("8080", "9900")).len(), 1);
}

#[test]
fn names_are_fit_for_metrics() {
    let text =
        super::MINIMAL.replace("shop: {", "\"my shop\": {").replace("upstream: shop", "upstream: my shop");
    assert_eq!(bad(&text), ["4:3 `my shop` is not a name"]);
    assert_eq!(bad(&route("name: a/b")), ["7:5 `a/b` is not a name"]);
    assert_eq!(bad(&route(&format!("name: {}", "a".repeat(65)))).len(), 1);
    assert_eq!(hint(&super::MINIMAL.replace("web:", "8080:")), "put the key in quotes");
}

#[test]
fn hash_and_strategy_belong_together() {
    assert_eq!(bad(&upstream("strategy: consistent_hash")), ["5:15 strategy consistent_hash needs `hash`"]);
    assert_eq!(
        bad(&upstream("hash: { on: path }")),
        ["5:11 `hash` has no meaning for strategy least_response"]
    );
    let hash = |hash: &str| upstream(&format!("strategy: consistent_hash\nhash: {hash}"));
    assert_eq!(bad(&hash("{ on: cookie }")), ["6:11 `name` is missing in `hash`"]);
    assert_eq!(bad(&hash("{ on: path, name: x }")), ["6:29 `name` has no meaning for client_ip and path"]);
    assert_eq!(bad(&hash("{ name: x }")), ["6:5 `on` is missing in `hash`"]);
    assert_eq!(bad(&route("hash: { on: path }")), ["7:11 `hash` has no meaning without `strategy`"]);
    assert_eq!(bad(&route("strategy: consistent_hash")), ["7:15 strategy consistent_hash needs `hash`"]);
    assert_eq!(
        bad(&route("strategy: random\nhash: { on: path }")),
        ["8:11 `hash` has no meaning for strategy random"]
    );
    assert_eq!(bad(&hash("{ on: header, name: a b }")), ["6:31 `a b` is not the name of a header"]);
}

#[test]
fn paths_that_no_request_can_have_are_refused() {
    for (path, hint_text) in [
        ("api", "write `/api`"),
        ("/a?b=1", "a path ends before `?`; match a query with `query: { name: value }`"),
        ("/a#b", "a path ends before `#`, which browsers do not send"),
        ("/a/../b", "requests have no `.` and `..` segments left when they are matched"),
        ("/a//b", "several `/` are matched as one"),
        ("/a%20b", "paths are matched after percent-decoding, write the character itself"),
        ("/a%2fb", "write the escape in upper case, as `%2F`"),
        ("/100%", "write `%25` for the character `%`"),
    ] {
        assert_eq!(hint(&route(&format!("match: {{ path_prefix: \"{path}\" }}"))), hint_text);
        assert_eq!(bad(&route(&format!("match: {{ path: \"{path}\" }}"))).len(), 1);
    }
}

#[test]
fn a_broken_or_huge_regex_is_refused() {
    assert_eq!(
        bad(&route("match: { path_regex: \"^/a(\" }")),
        ["7:26 `path_regex` is not a regular expression: unclosed group"]
    );
    assert_eq!(
        bad(&route("match: { path_regex: \"(a{1000}){1000}\" }")),
        ["7:26 `path_regex` needs more than 256 KiB"]
    );
}

#[test]
fn hosts_that_no_request_can_have_are_refused() {
    for (host, hint_text) in [
        ("*", "leave out `host` to take every host"),
        ("shop.example:80", "the port does not matter here, write `shop.example`"),
        ("a.*.example", "only `*.` at the beginning is a wildcard"),
        ("shop.example/", "leave out the scheme and the path"),
        ("bücher.example", "write an international name in its `xn--` form"),
    ] {
        assert_eq!(hint(&route(&format!("match: {{ host: \"{host}\" }}"))), hint_text);
    }
}

#[test]
fn text_is_not_made_of_numbers() {
    let text = route("match: { query: { v: 2 } }");
    assert_eq!(bad(&text), ["7:26 `v` must be text, found the number 2"]);
    assert_eq!(hint(&text), "put the value in quotes");
    assert_eq!(bad(&route("match: { query: { v: } }")), ["7:26 `v` must be text, found nothing"]);
}

#[test]
fn a_value_of_the_wrong_shape_is_told_the_right_one() {
    assert_eq!(bad(&route("match: /a")), ["7:12 `match` must be a map, found `/a`"]);
    assert_eq!(bad(&route("timeouts:")), ["7:14 `timeouts` must be a map, found nothing"]);
    assert_eq!(
        bad(&top("trusted_proxies: 10.0.0.0/8")),
        ["7:18 `trusted_proxies` must be a list, found `10.0.0.0/8`"]
    );
    assert_eq!(bad("- a\n"), ["1:1 `the config` must be a map, found a list"]);
    assert_eq!(bad("hello\n"), ["1:1 `the config` must be a map, found `hello`"]);
    assert_eq!(hint(&top("trusted_proxies: [10.0.0.1/8]")), "did you mean `10.0.0.0/8`?");
    assert_eq!(
        hint(&top("access_log: json")),
        "write `access_log: { path: stdout, format: json }` or `access_log: off`"
    );
}

#[test]
fn an_explain_header_for_nobody_or_with_a_weak_token_is_refused() {
    let header = |text: &str| top(&format!("explain_header: {text}"));
    assert_eq!(bad(&header("{}")), ["7:17 `explain_header` says of nobody who is told"]);
    assert_eq!(bad(&header("on")), ["7:17 `explain_header` must be a map or `off`"]);
    assert_eq!(
        bad(&header("{ addresses: [10.0.0.1/8] }")),
        ["7:31 `10.0.0.1/8` has address bits behind its prefix"]
    );
    let weak = "`token` must be 16 to 256 visible ASCII characters without blanks";
    let long = "x".repeat(257);
    for token in ["fifteen-letters", "with a blank in it", "ünïcödé-is-no-header", &long, "***"] {
        assert_eq!(bad(&header(&format!("{{ token: \"{token}\" }}"))), [format!("7:19 {weak}")]);
    }
    assert_eq!(bad(&header("{ token: 1234567890123456 }")), ["7:19 `token` must be text"]);
}

#[test]
fn a_token_is_not_shown_with_a_problem_beside_it() {
    for line in [
        "explain_header: { token: hunter2-hunter2, adresses: [] }",
        "explain_header: { token: \"hunter2 hunter2\" }",
        "explain_header: { \"token\": hunter2hunter2 }",
        "explain_header: { 'token' : 'hunter2hunter2', adresses: [] }",
        "explain_header:\n  token:\n    hunter2hunter2",
        "explain_header: { token: hunter2hunter2hunter2, [ }",
        "explain_header: { token: hunter2 }\n\ttab: 1",
        "explain_header: hunter2hunter2hunter2",
        "explain_header: { tokn: hunter2hunter2hunter2 }",
    ] {
        let shown = read(&top(line)).expect_err("a problem").to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let shown = read(&route("zz: 1 # token and tokens: none")).expect_err("a problem").to_string();
    assert!(shown.contains("zz: 1 # token and tokens: none"), "{shown}");
}

#[test]
fn more_problems_than_anyone_reads_are_counted() {
    let text = route(&(0..250).map(|i| format!("zz{i}: 1\n")).collect::<String>());
    let problems = read(&text).expect_err("problems");
    assert_eq!((problems.iter().count(), problems.len()), (100, 250));
    assert!(problems.to_string().ends_with("shop.yaml: and 150 more"));
}

#[test]
fn a_problem_shows_the_line_a_caret_and_a_hint() {
    let problems = read(&route("timeout: 5s")).expect_err("a problem");
    assert_eq!(
        problems.to_string(),
        "shop.yaml:7:5: unknown key `timeout`\n      timeout: 5s\n      ^\n  hint: did you mean `timeouts`?"
    );
    let json = serde_json::to_value(&problems).expect("JSON");
    assert_eq!(json["problems"][0]["line"], 7);
    assert_eq!(json["problems"][0]["severity"], "error");
}

#[test]
fn what_steers_a_terminal_is_escaped_and_long_lines_are_cut() {
    let text = route(&format!("\"\\e[2J\": 1 # {}", "x".repeat(5000)));
    let shown = read(&text).expect_err("a problem").to_string();
    assert!(!shown.contains('\u{1b}') && shown.contains("\\u{1b}"), "{shown}");
    let mut quoting = shown.lines().filter(|line| !line.starts_with("  hint: "));
    assert!(quoting.all(|line| line.chars().count() < 200), "{shown}");
}
