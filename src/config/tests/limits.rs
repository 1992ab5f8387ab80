//! `rate_limit`, `timeouts` and `max_connections_per_client`.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use http::HeaderName;

use super::{MINIMAL, bad, good, hint, route};
use crate::config::{BodyPace, Per, Rate, RateKey, RateLimit, Timeouts};

fn limits(yaml: &str) -> Vec<RateLimit> {
    good(&route(&format!("rate_limit: {yaml}"))).config.routes[0].rate_limit.clone()
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

#[test]
fn a_rate_limit_says_what_is_counted_and_how_many_may_come() {
    let limit = &limits("{ key: client_ip, rate: 100/s, burst: 50 }")[0];
    let rate = Rate { count: number(100), per: Per::Second };
    assert_eq!(*limit, RateLimit { key: RateKey::ClientIp, rate, burst: number(50), max_keys: 65_536 });
    let limits =
        limits("[ { key: { header: X-Api-Key }, rate: 60/m }, { key: { cookie: session }, rate: 5/h } ]");
    assert_eq!(limits[0].key, RateKey::Header(HeaderName::from_static("x-api-key")));
    assert_eq!(limits[1].key, RateKey::Cookie("session".into()));
    assert_eq!(limits[0].rate, Rate { count: number(60), per: Per::Minute });
    assert_eq!(limits[0].burst, number(60), "what a minute allows may come at once, unless told otherwise");
    assert_eq!(limits[1].rate.interval(), Duration::from_secs(720));
}

#[test]
fn without_a_rate_limit_or_with_off_there_is_none() {
    assert_eq!(limits("off"), []);
    assert_eq!(good(MINIMAL).config.routes[0].rate_limit, []);
}

#[test]
fn an_interval_is_rounded_up_so_that_no_more_than_the_rate_pass() {
    let rate = Rate { count: number(3), per: Per::Second };
    assert_eq!(rate.interval(), Duration::from_nanos(333_333_334));
}

#[test]
fn a_rate_that_is_none_is_told_how_to_be_written() {
    for rate in ["100", "100/d", "0/s", "1000001/s", "fast", "/s", "-1/s", "1.5/s", "\"\"", "[1]"] {
        let text = route(&format!("rate_limit: {{ key: client_ip, rate: {rate} }}"));
        assert_eq!(hint(&text), "write it as `100/s`, `60/m` or `1000/h`", "{rate}");
        let shown = bad(&text);
        assert!(
            shown[0].contains("`rate` must be 1 to 1000000 a second, minute or hour, found "),
            "{shown:?}"
        );
    }
}

#[test]
fn a_rate_limit_that_says_too_little_or_too_much_is_refused() {
    let limit = |text: &str| bad(&route(&format!("rate_limit: {text}")));
    assert_eq!(
        limit("{}"),
        ["7:17 `key` is missing in `rate_limit`", "7:17 `rate` is missing in `rate_limit`"]
            .map(|text| text.replace("7:17", "7:5"))
    );
    assert_eq!(limit("[]"), ["7:17 `rate_limit` has 0 limits, and may have 1 to 4"]);
    assert_eq!(limit("100/s"), ["7:17 `rate_limit` must be a map, found `100/s`"]);
    assert_eq!(
        limit("{ key: path, rate: 1/s }"),
        ["7:24 `key` must be client_ip, a header or a cookie, found `path`"]
    );
    assert_eq!(limit("{ key: {}, rate: 1/s }"), ["7:24 `key` names no header and no cookie"]);
    assert_eq!(
        limit("{ key: { header: a, cookie: b }, rate: 1/s }"),
        ["7:24 `key` names a header and a cookie"]
    );
    assert_eq!(limit("{ key: { header: \"a b\" }, rate: 1/s }"), ["7:34 `a b` is not the name of a header"]);
    assert_eq!(
        limit("{ key: client_ip, rate: 1/s, burst: 0 }"),
        ["7:53 `burst` must be a whole number from 1 to 1000000, found the number 0"]
    );
    let two = "[ { key: client_ip, rate: 1/s }, { key: client_ip, rate: 1/s, burst: 5 } ]";
    assert_eq!(limit(two), ["7:50 1/s by client_ip is limited already"]);
}

#[test]
fn all_keys_together_are_bounded() {
    let many = |count: usize| {
        let route = |number| {
            format!(
                "  - {{ match: {{ path: /{number} }}, upstream: shop, rate_limit: {{ key: client_ip, rate: 1/s, max_keys: 1048576 }} }}\n"
            )
        };
        format!("{MINIMAL}{}", (0..count).map(route).collect::<String>())
    };
    assert_eq!(good(&many(8)).config.routes.len(), 9);
    let told = bad(&many(9));
    let message = "all `rate_limit` together keep 9437184 keys, and may keep 8388608 (256 MiB)";
    assert!(told.len() == 1 && told[0].ends_with(message), "{told:?}");
}

fn timeouts(yaml: &str) -> Timeouts {
    good(&route(&format!("timeouts: {{ {yaml} }}"))).config.routes[0].timeouts
}

#[test]
fn a_body_may_be_as_idle_as_the_route_unless_told_otherwise() {
    let seconds = Duration::from_secs;
    assert_eq!(timeouts("request: 1s"), Timeouts { request: Some(seconds(1)), ..Timeouts::default() });
    assert_eq!(timeouts("idle: 7s").body_idle, seconds(7));
    assert_eq!(timeouts("idle: 7s, body_idle: 3s").body_idle, seconds(3));
}

#[test]
fn the_pace_of_a_body_is_a_rate_over_a_time_or_off() {
    let default = BodyPace { rate: NonZeroU64::new(500).expect("not zero"), grace: Duration::from_secs(20) };
    assert_eq!(timeouts("idle: 1s").pace, Some(default));
    let own = BodyPace { rate: NonZeroU64::new(1024).expect("not zero"), grace: Duration::from_secs(5) };
    assert_eq!(timeouts("min_body_rate: 1KiB, body_grace: 5s").pace, Some(own));
    assert_eq!(timeouts("min_body_rate: off").pace, None);
    assert_eq!(
        bad(&route("timeouts: { min_body_rate: off, body_grace: 5s }")),
        ["7:49 `body_grace` has no meaning without `min_body_rate`"]
    );
    assert_eq!(
        bad(&route("timeouts: { min_body_rate: 0 }")),
        ["7:32 `min_body_rate` must be a size from 1 to 1GiB, found the number 0"]
    );
}
