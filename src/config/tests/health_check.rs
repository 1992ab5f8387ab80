use super::super::{HealthCheck, HttpProbe, Probe, to_json};
use super::rendering::survives;
use super::{MINIMAL, bad, good, hint, upstream};

/// What `health_check: { KEYS }` means.
fn check(keys: &str) -> HealthCheck {
    let config = good(&upstream(&format!("health_check: {{ {keys} }}"))).config;
    config.upstreams[0].health_check.clone().expect("a check")
}

fn http(keys: &str) -> HttpProbe {
    match check(keys).probe {
        Probe::Http(probe) => probe,
        other => panic!("{other:?}"),
    }
}

/// The problems with `health_check: { KEYS }`; the first key begins in column 21.
fn wrong(keys: &str) -> Vec<String> {
    bad(&upstream(&format!("health_check: {{ {keys} }}")))
}

fn hint_of(keys: &str) -> String {
    hint(&upstream(&format!("health_check: {{ {keys} }}")))
}

#[test]
fn nobody_is_checked_unless_the_key_is_there() {
    assert_eq!(good(MINIMAL).config.upstreams[0].health_check, None);
    assert_eq!(good(&upstream("health_check: off")).config.upstreams[0].health_check, None);
    assert_eq!(check(""), HealthCheck::default());
    assert_eq!(check("type: http"), HealthCheck::default());
}

#[test]
fn every_default_of_a_check_is_spelled_out() {
    let shown = |text: &str| to_json(&good(text).config)["upstreams"]["shop"]["health_check"].to_string();
    assert_eq!(shown(MINIMAL), "\"off\"");
    assert_eq!(
        shown(&upstream("health_check: {}")),
        "{\"expect\":\"200-399\",\"fall\":3,\"interval\":\"2s\",\"method\":\"GET\",\"path\":\"/\",\"rise\":2,\
         \"timeout\":\"1s\",\"type\":\"http\"}"
    );
}

#[test]
fn what_is_expected_is_a_status_a_range_or_several_of_them() {
    let expects = |text: &str, statuses: [u16; 4]| {
        let expect = http(&format!("expect: {text}")).expect;
        let status = |status| http::StatusCode::from_u16(status).expect("a status");
        statuses.map(|one| expect.contains(status(one)))
    };
    assert_eq!(expects("200", [199, 200, 201, 599]), [false, true, false, false]);
    assert_eq!(expects("\"200\"", [199, 200, 201, 599]), [false, true, false, false]);
    assert_eq!(expects("200-399", [199, 200, 399, 400]), [false, true, true, false]);
    assert_eq!(expects("\"200, 204,401 - 403\"", [200, 204, 400, 403]), [true, true, false, true]);
    assert_eq!(http("expect: \" 200,300-301\"").expect.to_string(), "200,300-301");
}

#[test]
fn the_timeout_follows_a_short_interval() {
    assert_eq!(check("interval: 500ms").timeout, std::time::Duration::from_millis(500));
    assert_eq!(check("interval: 10s").timeout, std::time::Duration::from_secs(1));
    assert_eq!(wrong("interval: 1s, timeout: 2s"), ["5:44 `timeout` is longer than `interval`, which is 1s"]);
    assert_eq!(
        hint_of("interval: 1s, timeout: 2s"),
        "a check ends before the next begins: make `interval` longer"
    );
}

#[test]
fn what_is_printed_of_a_check_reads_back() {
    for keys in [
        "",
        "path: \"/healthz?deep=1\", method: HEAD, host: \"shop.example:8080\", port: 9000",
        "headers: { x-probe: \"1\", user-agent: me }, expect: \"200,300-301\", body: \"a $${X}: \\\"ok\\\"\\n\"",
        "type: tcp, interval: 1m, timeout: 250ms, rise: 1, fall: 100",
        "type: grpc",
        "type: grpc, service: shop.Orders, host: \"[::1]:1\", port: 1",
    ] {
        survives(&upstream(&format!("health_check: {{ {keys} }}")));
    }
}

#[test]
fn keys_that_do_not_belong_to_the_kind_of_check_are_refused() {
    assert_eq!(wrong("service: shop"), ["5:30 `service` has no meaning for type http"]);
    assert_eq!(hint_of("service: shop"), "remove it, or write `type: grpc`");
    for key in ["method: GET", "path: /", "host: a", "headers: {}", "expect: 200", "body: x", "service: x"] {
        let name = key.split(':').next().expect("a key");
        let problems = wrong(&format!("type: tcp, {key}"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].ends_with(&format!("`{name}` has no meaning for type tcp")), "{problems:?}");
    }
    assert_eq!(hint_of("type: grpc, path: /healthz"), "remove it, or write `type: http`");
    assert_eq!(wrong("type: htp, path: x"), ["5:27 `type` must be one of http, tcp, grpc, found `htp`"]);
    assert_eq!(hint_of("pth: /healthz"), "did you mean `path`?");
}

#[test]
fn numbers_and_durations_of_a_check_have_bounds() {
    assert_eq!(
        wrong("interval: 50ms, rise: 0, fall: 101, port: 0"),
        [
            "5:31 `interval` must be a duration from 100ms to 1h, found `50ms`",
            "5:43 `rise` must be a whole number from 1 to 100, found the number 0",
            "5:52 `fall` must be a whole number from 1 to 100, found the number 101",
            "5:63 `port` must be a whole number from 1 to 65535, found the number 0",
        ]
    );
    assert_eq!(
        wrong("interval: 10, timeout: 5s"),
        ["5:31 `interval` must be a duration from 100ms to 1h, found the number 10"],
        "no second problem for the same mistake"
    );
    assert_eq!(wrong("timeout: 1ms"), ["5:30 `timeout` must be a duration from 10ms to 5m, found `1ms`"]);
}

#[test]
fn texts_of_a_check_that_make_no_sense_are_told_why() {
    for (keys, message, advice) in [
        ("path: healthz", "`healthz` is not a path", "write `/healthz`"),
        (
            "path: \"/a b\"",
            "`/a b` is not a path",
            "write a blank as `%20`, and other characters that do not belong into a path likewise",
        ),
        ("path: \"/a#b\"", "`/a#b` is not a path", "a path ends before `#`"),
        (
            "expect: 2xx",
            "`2xx` is not a status or a range",
            "a status is a number from 200 to 599, a range `200-399`, a list `\"200,204\"`",
        ),
        (
            "expect: 100",
            "`100` is not a status or a range",
            "a status is a number from 200 to 599, a range `200-399`, a list `\"200,204\"`",
        ),
        ("expect: 399-200", "`399-200` is an empty range", "write the lower status first"),
        ("expect: [200]", "`expect` must be a status or a range", "write it as `\"200,204\"`"),
        ("method: HEAD, body: ok", "the answer to HEAD has no body", "write `method: GET`, or remove `body`"),
        ("method: get", "`get` is not in upper case", "methods are case-sensitive, write `GET`"),
        ("host: \"http://a/\"", "`http://a/` has no valid port", "a port is a number up to 65535"),
        (
            "host: a@b",
            "`a@b` is not a host name",
            "a name has labels of letters, digits and `-` between dots",
        ),
        (
            "headers: { Host: a }",
            "the header `host` is not for a config to set",
            "write `host` beside `headers`",
        ),
        (
            "headers: { content-length: \"3\" }",
            "the header `content-length` is not for a config to set",
            "leave it out",
        ),
    ] {
        let problems = wrong(keys);
        assert_eq!(problems.len(), 1, "{keys}: {problems:?}");
        assert!(problems[0].ends_with(message), "{keys}: {problems:?}");
        assert_eq!(hint_of(keys), advice, "{keys}");
    }
    assert!(wrong("method: CONNECT")[0].ends_with("CONNECT asks for a tunnel, not for an answer"));
    assert!(wrong("body: \"\"")[0].ends_with("`body` must have 1 to 1000 bytes, found 0"));
    assert!(wrong(&format!("type: grpc, service: {}", "x".repeat(256)))[0].ends_with("found 256"));
    assert!(wrong(&format!("path: /{}", "x".repeat(4096)))[0].ends_with("is too long"));
    let many: Vec<String> = (200..217).map(|status| status.to_string()).collect();
    assert!(wrong(&format!("expect: \"{}\"", many.join(",")))[0].ends_with("more than 16 ranges"));
    let many: Vec<String> = (0..33).map(|number| format!("x-{number}: a")).collect();
    assert!(wrong(&format!("headers: {{ {} }}", many.join(", ")))[0].ends_with("more than 32 entries"));
}

#[test]
fn a_check_that_may_change_something_is_allowed_and_warned_of() {
    let loaded = good(&upstream("health_check: { method: POST }"));
    let warnings: Vec<_> = loaded.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(warnings, ["POST may change something, and a check is repeated for ever"]);
    assert!(good(&upstream("health_check: { method: OPTIONS }")).warnings.is_empty());
}
