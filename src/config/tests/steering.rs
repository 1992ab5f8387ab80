//! Sticky sessions, splits, mirrors and faults.

use std::time::Duration;

use super::{bad, good, hint, listed, read, upstream};
use crate::config::{Cookie, Mirror, SameSite, Share, to_json, to_yaml};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Two upstreams `a` and `b`, which are here already, one route `r` with these keys, which stands in line 6.
fn route(keys: &str) -> String {
    with("", "", keys)
}

fn with(a: &str, b: &str, keys: &str) -> String {
    format!(
        "listeners: {{ web: {{ address: \"127.0.0.1:8080\" }} }}\nupstreams:\n  \
         a: {{ endpoints: [\"h:1\", \"h:2\"]{a} }}\n  b: {{ endpoints: [\"h:3\"]{b} }}\nroutes:\n  \
         - {{ name: r, {keys} }}\n  - {{ match: {{ path: /a }}, upstream: a }}\n  - {{ match: {{ path: /b }}, upstream: b }}\n"
    )
}

fn cookie_of(text: &str) -> Cookie {
    good(text).config.upstreams[0].sticky.clone().expect("a cookie")
}

fn warned(text: &str) -> Vec<String> {
    listed(&good(text).warnings)
}

fn survives(text: &str) {
    let config = good(text).config;
    let printed = to_yaml(&config);
    assert_eq!(format!("{config:#?}"), format!("{:#?}", good(&printed).config), "{printed}");
}

#[test]
fn a_sticky_cookie_has_safe_defaults() {
    let cookie = cookie_of(&upstream("sticky: {}"));
    assert_eq!(cookie, Cookie::named("tillgate"));
    assert!(cookie.http_only && cookie.secrets.is_empty() && cookie.secure.is_none());
    assert_eq!((cookie.same_site, cookie.ttl), (SameSite::Lax, Duration::from_secs(3600)));
    assert!(good(&upstream("sticky: off")).config.upstreams[0].sticky.is_none());
    assert!(good(&upstream("")).config.upstreams[0].sticky.is_none());
}

#[test]
fn a_sticky_cookie_is_what_the_file_says() {
    let cookie = cookie_of(&upstream(&format!(
        "sticky: {{ cookie: shop, ttl: 30m, path: /a, secure: true, same_site: none, http_only: false, secret: {SECRET} }}"
    )));
    assert_eq!((cookie.name.as_str(), cookie.path.as_str()), ("shop", "/a"));
    assert_eq!((cookie.secure, cookie.same_site, cookie.http_only), (Some(true), SameSite::None, false));
    assert_eq!(cookie.secrets[0].reveal(), SECRET);
    let two = cookie_of(&upstream(&format!("sticky: {{ secrets: [{SECRET}, {SECRET}-old] }}")));
    assert_eq!(two.secrets.len(), 2);
}

#[test]
fn what_is_wrong_with_a_cookie_is_said() {
    for (sticky, problem) in [
        ("1", "5:13 `sticky` must be a map, found the number 1"),
        ("{ cookie: \"a b\" }", "5:23 `a b` is not the name of a cookie"),
        ("{ ttl: 9000h }", "5:20 `ttl` must be a duration from 1s to 8760h, found `9000h`"),
        ("{ path: shop }", "5:21 `shop` is not the path of a cookie"),
        ("{ path: \"/;a\" }", "5:21 `/;a` is not the path of a cookie"),
        ("{ secure: yes }", "5:23 `secure` must be true or false, found `yes`"),
        ("{ same_site: any }", "5:26 `same_site` must be one of lax, strict, none, found `any`"),
        ("{ tttl: 1h }", "5:15 unknown key `tttl`"),
        ("{ secret: short }", "5:15 a secret must be 32 to 256 visible ASCII characters without blanks"),
        ("{ secret: 12 }", "5:15 a secret must be text"),
        ("{ secrets: [] }", "5:15 `secrets` must be 1 to 4 of them"),
        ("{ secrets: abc }", "5:15 `secrets` must be a list"),
        ("{ secrets: [short] }", "5:15 a secret must be 32 to 256 visible ASCII characters without blanks"),
    ] {
        assert_eq!(bad(&upstream(&format!("sticky: {sticky}"))), [problem]);
    }
    let both = format!("sticky: {{ secret: {SECRET}, secrets: [{SECRET}] }}");
    assert_eq!(bad(&upstream(&both)), ["5:57 `secret` and `secrets` exclude each other"]);
}

#[test]
fn a_secret_is_shown_nowhere() {
    for secrets in [format!("secret: {SECRET}"), format!("secrets: [{SECRET}, {SECRET}]")] {
        let config = good(&upstream(&format!("sticky: {{ cookie: shop, {secrets} }}"))).config;
        let shown = [to_yaml(&config), to_json(&config).to_string(), format!("{config:#?}")];
        assert!(shown.iter().all(|shown| shown.contains("shop") && !shown.contains("0123456")), "{shown:?}");
        assert!(read(&shown[0]).is_err(), "else the stars would be a secret that everybody knows");
    }
    for wrong in [
        "sticky: { secret: hunter2 }",
        "sticky: { sceret: hunter2 }",
        "sticky:\n  secret: hunter2",
        "sticky:\n  secrets:\n    - hunter2",
    ] {
        let problems = read(&upstream(wrong)).expect_err("a problem").to_string();
        assert!(!problems.contains("hunter2"), "{problems}");
    }
}

#[test]
fn a_cookie_that_two_would_set_is_pointed_at() {
    let split = "split: [ { upstream: a, weight: 1 } ], split_cookie: { name: tillgate }";
    let sticky = ", sticky: {}";
    assert_eq!(
        warned(&with(sticky, sticky, "upstream: a")),
        ["4:3 upstream `b` has the cookie of upstream `a`: a client that goes to both stays with neither"]
    );
    assert_eq!(
        warned(&with(sticky, "", split)),
        ["6:5 route `r` has the cookie of upstream `a`: a client that goes to both stays with neither"]
    );
    assert!(warned(&with(sticky, ", sticky: { cookie: other }", "upstream: a")).is_empty());
    let lost = ", sticky: { same_site: none, secure: false }";
    assert_eq!(
        warned(&with(lost, "", "upstream: a")),
        ["3:3 browsers drop the cookie of upstream `a`: `same_site: none` needs `secure`"]
    );
}

#[test]
fn a_split_names_its_upstreams_and_their_weights() {
    let text = route(
        "split: [ { upstream: a, weight: 90 }, { upstream: b, weight: 0 } ], split_cookie: { name: s, ttl: 1m }",
    );
    let route = good(&text).config.routes[0].clone();
    assert_eq!((route.upstream.as_str(), route.upstreams().collect::<Vec<_>>()), ("a", vec!["a", "b"]));
    let split = route.split.expect("a split");
    assert_eq!(split.branches.iter().map(|branch| branch.weight).collect::<Vec<_>>(), [90, 0]);
    assert_eq!(split.cookie.expect("a cookie").ttl, Duration::from_secs(60));
}

#[test]
fn what_is_wrong_with_a_split_is_said() {
    const A: &str = "{ upstream: a, weight: 1 }";
    for (keys, problem) in [
        ("split: []".to_owned(), "6:23 `split` must have 1 to 100 upstreams"),
        ("split: { a: 1 }".to_owned(), "6:23 `split` must be a list, found a map"),
        ("split: [ { upstream: c, weight: 1 } ]".to_owned(), "6:37 there is no upstream `c`"),
        ("split: [ { upstream: a } ]".to_owned(), "6:25 `weight` is missing in `branch`"),
        ("split: [ { weight: 1 } ]".to_owned(), "6:25 `upstream` is missing in `branch`"),
        (
            "split: [ { upstream: a, weight: 1001 } ]".to_owned(),
            "6:48 `weight` must be a whole number from 0 to 1000, found the number 1001",
        ),
        ("split: [ { upstream: a, weight: 0 } ]".to_owned(), "6:23 every upstream has weight 0"),
        (format!("split: [ {A}, {A} ]"), "6:65 `a` stands in this split already"),
        (format!("split: [ {A} ], upstream: a"), "6:65 `upstream` and `split` exclude each other"),
        (format!("split: [ {A} ], strategy: p2c"), "6:65 `strategy` has no meaning beside `split`"),
        (format!("split: [ {A} ], split_cookie: {{}}"), "6:55 `name` is missing in `split_cookie`"),
        (
            "upstream: a, split_cookie: { name: s }".to_owned(),
            "6:43 `split_cookie` has no meaning without `split`",
        ),
    ] {
        assert_eq!(bad(&route(&keys)), [problem], "{keys}");
    }
}

#[test]
fn a_mirror_has_safe_defaults() {
    let mirror = |keys: &str| good(&route(keys)).config.routes[0].mirror.clone();
    let whole = Mirror::to("b".into());
    assert_eq!(mirror("upstream: a, mirror: { upstream: b }"), Some(whole.clone()));
    assert_eq!((whole.max_body, whole.max_in_flight, whole.percent), (65_536, 100, Share::ALL));
    let some = mirror("upstream: a, mirror: { upstream: b, percent: 0.5, max_body: 0, max_in_flight: 7 }");
    let percent = Share::of_ten_thousand(50).expect("a share");
    assert_eq!(some, Some(Mirror { percent, max_body: 0, max_in_flight: 7, ..whole }));
    assert_eq!(mirror("upstream: a, mirror: off"), None);
}

#[test]
fn a_mirror_is_no_way_to_send_a_request_twice() {
    let own = route("upstream: a, mirror: { upstream: a }");
    assert_eq!(bad(&own), ["6:5 route `r` mirrors to `a`, which answers its requests"]);
    assert_eq!(hint(&own), "mirror to endpoints that answer no request of this route");
    let split = "split: [ { upstream: a, weight: 1 }, { upstream: b, weight: 0 } ], mirror: { upstream: b }";
    assert_eq!(bad(&route(split)), ["6:5 route `r` mirrors to `b`, which answers its requests"]);
    let shared = route("upstream: a, mirror: { upstream: b }").replace("h:3", "h:2");
    assert_eq!(bad(&shared), ["6:5 route `r` mirrors to `b`, whose endpoint h:2 is one of `a` too"]);
    let mapped = shared.replacen("h:2", "127.0.0.1:2", 1).replace("h:2", "[::ffff:127.0.0.1]:2");
    assert_eq!(bad(&mapped), ["6:5 route `r` mirrors to `b`, whose endpoint 127.0.0.1:2 is one of `a` too"]);
    assert_eq!(
        bad(&route("upstream: a, mirror: { upstream: c, percent: 101 }")),
        [
            "6:49 there is no upstream `c`",
            "6:61 `percent` must be a number from 0 to 100, with up to two digits after the point, found the number 101"
        ]
    );
}

#[test]
fn an_upstream_that_only_a_split_or_a_mirror_uses_is_used() {
    let text = |keys: &str| route(keys).lines().take(6).map(|line| format!("{line}\n")).collect::<String>();
    assert!(warned(&text("upstream: a, mirror: { upstream: b }")).is_empty());
    assert!(warned(&text("split: [ { upstream: a, weight: 1 }, { upstream: b, weight: 1 } ]")).is_empty());
    assert_eq!(warned(&text("upstream: a")), ["4:3 no route uses upstream `b`"]);
}

#[test]
fn faults_that_are_on_are_pointed_at() {
    let faulty = |fault: &str| route(&format!("upstream: a, fault: {fault}"));
    let on = "6:36 route `r` has faults injected on purpose";
    assert_eq!(warned(&faulty("{ abort: { status: 503 } }")), [on]);
    assert_eq!(warned(&faulty("{ delay: { for: 1s, percent: 0.01 }, when: { header: X-Game-Day } }")), [on]);
    assert!(warned(&faulty("{ abort: { status: 503, percent: 0 } }")).is_empty());
    assert!(warned(&faulty("off")).is_empty());
}

#[test]
fn what_is_wrong_with_a_fault_is_said() {
    for (fault, problem) in [
        ("{}", "6:36 `fault` has neither `delay` nor `abort`"),
        ("{ delay: {} }", "6:38 `for` is missing in `delay`"),
        ("{ delay: { for: 61s } }", "6:52 `for` must be a duration from 1ms to 1m, found `61s`"),
        (
            "{ abort: { status: 200 } }",
            "6:55 `status` must be a whole number from 400 to 599, found the number 200",
        ),
        ("{ abort: { percent: 1 } }", "6:38 `status` is missing in `abort`"),
        (
            "{ abort: { status: 503, percent: 0.001 } }",
            "6:69 `percent` must be a number from 0 to 100, with up to two digits after the point, found the number 0.001",
        ),
        ("{ abort: { status: 503 }, when: {} }", "6:62 `header` is missing in `when`"),
    ] {
        assert_eq!(bad(&route(&format!("upstream: a, fault: {fault}"))), [problem], "{fault}");
    }
}

#[test]
fn what_is_printed_reads_back() {
    survives(&upstream(
        "sticky: { cookie: shop, ttl: 90s, path: /a, secure: false, same_site: strict, http_only: false }",
    ));
    for keys in [
        "split: [ { upstream: a, weight: 90 }, { upstream: b, weight: 0 } ]",
        "split: [ { upstream: a, weight: 90 } ], split_cookie: { name: s, ttl: 1m, secure: true }",
        "upstream: a, mirror: { upstream: b, percent: 0.05, max_body: 1000, max_in_flight: 3 }",
        "upstream: a, fault: { delay: { for: 200ms, percent: 10 } }",
        "upstream: a, fault: { abort: { status: 503, percent: 12.5 }, when: { header: X-Game-Day } }",
    ] {
        survives(&route(keys));
    }
}
