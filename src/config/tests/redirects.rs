use http::StatusCode;

use super::{bad, good, hint, listed};
use crate::config::{Config, PathChange, Scheme};

/// One route with these keys, in line 6, beside others.
fn routes(keys: &str, others: &str) -> String {
    format!(
        "listeners:\n  web: {{ address: \"127.0.0.1:8080\" }}\nupstreams:\n  shop: {{ endpoints: [\"127.0.0.1:7001\"] }}\nroutes:\n  - {{ {keys} }}\n{others}  - {{ match: {{ host: api.example }}, upstream: shop }}\n"
    )
}

fn redirect(keys: &str) -> String {
    routes(&format!("match: {{ path_prefix: /a }}, redirect: {{ {keys} }}"), "")
}

fn warned(text: &str) -> Vec<String> {
    listed(&good(text).warnings)
}

fn config(text: &str) -> Config {
    good(text).config
}

#[test]
fn a_redirect_says_where_to_and_keeps_the_rest() {
    let text = redirect("scheme: https, host: Www.Shop.Example, port: 8443, path_prefix: /b/, status: 301");
    let redirect = config(&text).routes[0].redirect.clone().expect("a redirect");
    assert_eq!(redirect.scheme, Some(Scheme::Https));
    assert_eq!(redirect.host.as_deref(), Some("www.shop.example"));
    assert_eq!(redirect.port.map(u16::from), Some(8443));
    assert!(matches!(redirect.path, Some(PathChange::Prefix(base)) if base == "/b"));
    assert_eq!(redirect.status, StatusCode::MOVED_PERMANENTLY);
    let plain = config(&self::redirect("path: /b")).routes[0].redirect.clone().expect("a redirect");
    assert_eq!(plain.status, StatusCode::PERMANENT_REDIRECT);
    assert!(plain.scheme.is_none() && plain.host.is_none() && plain.port.is_none());
}

#[test]
fn a_route_has_an_upstream_or_a_redirect() {
    let text = routes("redirect: { scheme: https }, upstream: shop, retry: off, slo: 1s", "");
    assert_eq!(
        bad(&text),
        [
            "6:46 `upstream` has no meaning beside `redirect`",
            "6:59 `retry` has no meaning beside `redirect`",
            "6:69 `slo` has no meaning beside `redirect`",
        ]
    );
    assert_eq!(bad(&routes("name: a", "")), ["6:5 `upstream` is missing in `route`"]);
}

#[test]
fn what_cannot_be_a_place_is_refused() {
    let beside = |keys: &str| bad(&redirect(keys));
    assert_eq!(beside(""), ["6:45 `redirect` does not say where to"]);
    assert_eq!(beside("status: 301"), ["6:45 `redirect` does not say where to"]);
    assert_eq!(
        beside("scheme: ftp, status: 200"),
        [
            "6:55 `scheme` must be one of http, https, found `ftp`",
            "6:68 `status` must be one of 301, 302, 303, 307, 308, found the number 200",
        ]
    );
    assert_eq!(beside("host: \"a.example:8443\""), ["6:53 `a.example:8443` has a port"]);
    assert_eq!(hint(&redirect("host: \"a.example:8443\"")), "write `host: \"a.example\", port: 8443`");
    assert_eq!(beside("host: \"a.example/x\""), ["6:53 `a.example/x` is not a host name"]);
    assert_eq!(beside("port: 0").len(), 1);
    assert_eq!(beside("path: /x, path_prefix: /y"), ["6:70 `path` and `path_prefix` exclude each other"]);
    for path in
        ["x", "/a/../b", "/a/./b", "/%2e%2e/b", "//evil.example", "/a?b", "/a#b", "/a\\\\b", "/%0", "/%00"]
    {
        let found = beside(&format!("path: \"{path}\""));
        assert!(found[0].contains("is not a path to send requests to"), "{path}: {found:?}");
    }
}

#[test]
fn a_redirect_that_leads_back_to_itself_is_refused() {
    let text = routes("match: { scheme: https }, redirect: { scheme: https }", "");
    assert_eq!(bad(&text), ["6:43 this redirect leads back to itself"]);
}

#[test]
fn a_redirect_to_a_scheme_leaves_alone_who_speaks_it() {
    let except = |keys: &str| config(&routes(keys, "")).routes[0].matches.except;
    assert_eq!(except("redirect: { scheme: https }"), Some(Scheme::Https));
    assert_eq!(except("redirect: { scheme: https, port: 8443 }"), Some(Scheme::Https));
    assert_eq!(except("redirect: { scheme: https, host: a.example }"), None);
    assert_eq!(except("match: { scheme: http }, redirect: { scheme: https }"), None);
}

#[test]
fn a_redirect_round_in_circles_is_pointed_at() {
    let circles = |keys: &str, others: &str| warned(&routes(keys, others)).len();
    assert_eq!(
        warned(&routes("redirect: { path: /sorry }", "")),
        ["6:5 route `route-1` sends clients round in circles, by way of http://shop.example/sorry"]
    );
    assert_eq!(circles("redirect: { path: /sorry }", "  - { match: { path: /sorry }, upstream: shop }\n"), 0);
    assert_eq!(
        circles(
            "match: { path: /a }, redirect: { path: /b }",
            "  - { match: { path: /b }, redirect: { path: /a } }\n"
        ),
        2
    );
    assert_eq!(circles("match: { path_prefix: /a }, redirect: { path_prefix: /a/b }", ""), 1);
    assert_eq!(circles("match: { host: a.example }, redirect: { host: www.a.example }", ""), 0);
    assert_eq!(circles("match: { host: \"*.a.example\" }, redirect: { host: www.a.example }", ""), 1);
    assert_eq!(
        circles("redirect: { scheme: https }", "  - { match: { path_prefix: / }, upstream: shop }\n"),
        0
    );
    assert_eq!(circles("match: { path_regex: ^/a }, redirect: { path: /b }", ""), 0);
}

#[test]
fn a_match_by_scheme_is_no_other_match() {
    let others = "  - { match: { path_prefix: /a }, upstream: shop }\n";
    let both = |scheme: &str| {
        warned(&routes(&format!("match: {{ path_prefix: /a{scheme} }}, upstream: shop"), others))
    };
    assert_eq!(both("").len(), 1);
    assert!(both(", scheme: http").is_empty());
}
