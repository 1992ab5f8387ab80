//! What a route answers itself, and what it makes of requests and answers.

use super::{explain, file};
use crate::support::{OK, Origin, Yaml};

const PAGE: &str = "http://shop.example";

fn said(routes: &str, arguments: &[&str]) -> super::Said {
    let origin = Origin::answering(OK);
    let (path, _directory) = file(&Yaml::before(&[&origin]).routes(routes));
    explain(&path, &[&["--offline"], arguments].concat())
}

#[test]
fn a_redirect_is_named_with_its_place() {
    let routes = "{ name: away, redirect: { scheme: https, path_prefix: /new } }";
    let said = said(routes, &["GET", &format!("{PAGE}:8080/a%2Fb?c")]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert_eq!(said.part("redirect"), "to https://shop.example/new/a%2Fb?c");
    assert!(
        said.part("answer").starts_with("308 Permanent Redirect by Tillgate itself: redirect"),
        "{}",
        said.out
    );
    assert!(!said.out.contains("upstream"), "{}", said.out);
}

#[test]
fn the_scheme_is_the_listener_s_or_what_a_trusted_proxy_says() {
    let origin = Origin::answering(OK);
    let routes = "{ name: away, redirect: { scheme: https } }, { name: shop, match: { path_prefix: / }, upstream: shop }";
    let yaml = Yaml::before(&[&origin]).routes(routes);
    let route = |yaml: &Yaml, proto: &str| {
        let (path, _directory) = file(yaml);
        let header = format!("X-Forwarded-Proto: {proto}");
        explain(&path, &["--offline", "GET", PAGE, "-H", &header]).part("route")
    };
    assert!(route(&yaml, "https").starts_with("away: any scheme but https"), "nobody is trusted");
    let trusting = yaml.line("trusted_proxies: [127.0.0.0/8]");
    assert!(route(&trusting, "https").starts_with("shop:"));
    assert!(route(&trusting, "http").starts_with("away:"));
}

#[test]
fn a_rewrite_and_the_edits_of_headers_are_told() {
    let routes = "{ name: all, match: { path_prefix: /api }, upstream: shop, \
        rewrite: { path_prefix: /v2, host: shop.internal }, \
        request_headers: { remove: [X-Debug], set: { Authorization: Bearer hunter2 } }, \
        response_headers: { remove: [Server], add: { Link: a } } }";
    let said = said(routes, &["GET", &format!("{PAGE}/api/7?x"), "-H", "X-Debug: 1"]);
    assert_eq!(said.code, Some(0), "{}", said.out);
    assert_eq!(said.part("rewrite"), "sent as /v2/7?x, with Host shop.internal");
    let headers = said.part("headers");
    for line in [
        "set host: shop.internal",
        "set x-forwarded-host: shop.example",
        "set authorization: ***",
        "remove x-debug",
    ] {
        assert!(headers.contains(line), "{line} in {headers}");
    }
    assert_eq!(said.part("response"), "remove server\nadd link: a");
}

#[test]
fn a_path_that_cannot_be_sent_is_refused_as_it_would_be() {
    let routes = "{ name: all, upstream: shop, rewrite: { path_regex: { pattern: '^/a-(.*)', replacement: '/a/$1' } } }";
    let said = said(routes, &["GET", &format!("{PAGE}/a-..")]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(
        said.part("answer").starts_with("400 Bad Request by Tillgate itself: path_disguised_dots"),
        "{}",
        said.out
    );
}

#[test]
fn a_preflight_is_explained_by_the_route_of_its_method() {
    let routes =
        "{ name: put, match: { methods: PUT }, upstream: shop, cors: { allow_origins: https://a.example } }";
    let ask = |origin: &str| {
        let origin = format!("Origin: {origin}");
        said(routes, &["OPTIONS", PAGE, "-H", &origin, "-H", "Access-Control-Request-Method: PUT"])
    };
    let allowed = ask("https://a.example");
    assert_eq!(allowed.code, Some(0), "{}", allowed.out);
    assert_eq!(allowed.part("cors"), "a preflight, answered here; https://a.example may read the answer");
    assert!(allowed.part("answer").starts_with("204 No Content"), "{}", allowed.out);
    assert!(ask("https://b.example").part("cors").ends_with("https://b.example is told nothing"));
    let plain = said(routes, &["PUT", PAGE]);
    assert_eq!((plain.code, plain.part("cors").as_str()), (Some(0), "no Origin is told nothing"));
}
