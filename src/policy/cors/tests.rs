use std::time::Duration;

use super::*;
use crate::config::{PathPattern, RouteMatch, Scheme};

fn patterns() -> Listed<OriginPattern> {
    let exact = |text: &str| OriginPattern::Exact(text.to_owned());
    let wildcard = |scheme: &str, domain: &str| OriginPattern::Wildcard {
        scheme: scheme.to_owned(),
        domain: domain.to_owned(),
    };
    Listed::These(vec![
        exact("https://shop.example"),
        exact("http://localhost:3000"),
        wildcard("https://", ".shop.example"),
        wildcard("https://", ".dev.example:8443"),
    ])
}

fn config(allow_origins: Listed<OriginPattern>) -> config::Cors {
    config::Cors {
        allow_origins,
        allow_methods: Listed::These(vec![Method::GET, Method::PUT]),
        allow_headers: Listed::These(vec![HeaderName::from_static("x-cart")]),
        expose_headers: Listed::These(vec![HeaderName::from_static("x-page")]),
        allow_credentials: true,
        max_age: Duration::from_secs(60),
    }
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn allows(origin: &'static str) -> bool {
    Cors::new(&config(patterns())).allows(&headers(&[("origin", origin)])).is_some_and(|told| told == origin)
}

#[test]
fn an_origin_is_one_of_those_listed_or_below_a_domain() {
    for good in [
        "https://shop.example",
        "http://localhost:3000",
        "https://a.shop.example",
        "https://a.b.shop.example",
        "https://a.dev.example:8443",
    ] {
        assert!(allows(good), "{good}");
    }
    for bad in [
        "null",
        "",
        "http://shop.example",
        "https://shop.example:8443",
        "https://shop.example.evil.example",
        "https://evilshop.example",
        "https://.shop.example",
        "https://a..shop.example",
        "https://evil.example/.shop.example",
        "https://evil.example#.shop.example",
        "https://user@a.shop.example",
        "http://a.shop.example",
        "https://a.dev.example",
        "https://shop.example, https://a.shop.example",
    ] {
        assert!(!allows(bad), "{bad}");
    }
    let twice = headers(&[("origin", "https://shop.example"), ("origin", "https://shop.example")]);
    assert_eq!(Cors::new(&config(patterns())).allows(&twice), None);
}

#[test]
fn what_an_endpoint_says_of_it_is_replaced_or_taken_off() {
    let cors = Cors::new(&config(patterns()));
    let said = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "DELETE"),
        ("access-control-max-age", "1"),
        ("vary", "Accept-Encoding"),
    ];
    let mut allowed = headers(&said);
    cors.mark(Some(HeaderValue::from_static("https://shop.example")), &mut allowed);
    let wanted = headers(&[
        ("vary", "Accept-Encoding"),
        ("vary", "Origin"),
        ("access-control-allow-origin", "https://shop.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-page"),
    ]);
    assert_eq!(allowed, wanted);
    let mut strange = headers(&said);
    cors.mark(None, &mut strange);
    assert_eq!(strange, headers(&[("vary", "Accept-Encoding"), ("vary", "Origin")]));
}

#[test]
fn an_answer_for_everybody_does_not_vary() {
    let everybody = config::Cors { allow_credentials: false, ..config(Listed::All) };
    let (cors, mut answer) = (Cors::new(&everybody), HeaderMap::new());
    cors.mark(cors.allows(&HeaderMap::new()), &mut answer);
    let wanted =
        headers(&[("access-control-allow-origin", "*"), ("access-control-expose-headers", "x-page")]);
    assert_eq!(answer, wanted);
}

#[test]
fn an_answer_that_varies_by_origin_already_does_not_say_so_twice() {
    for said in ["origin", "Accept, ORIGIN", "*"] {
        let mut answer = headers(&[("vary", said)]);
        vary_by_origin(&mut answer);
        assert_eq!(answer.get_all(VARY).iter().collect::<Vec<_>>(), [said]);
    }
}

/// Routes of `/` by method, and where a preflight for `method` leads.
fn found(routes: &[&[Method]], policies: &[usize], method: &'static str) -> Option<Found> {
    let matches: Vec<RouteMatch> = routes
        .iter()
        .map(|methods| RouteMatch {
            path: PathPattern::Prefix("/".to_owned()),
            methods: methods.to_vec(),
            ..RouteMatch::default()
        })
        .collect();
    let sent = headers(&[("origin", "https://a.example"), ("access-control-request-method", method)]);
    let head = Head {
        scheme: Scheme::Http,
        host: "",
        path: "/",
        query: None,
        method: &Method::OPTIONS,
        headers: &sent,
    };
    find(&RouteTable::new(matches.iter()), &head, |index| policies.contains(&index))
}

#[test]
fn a_preflight_belongs_to_the_route_of_the_method_that_it_asks_for() {
    let routes: &[&[Method]] = &[&[Method::POST], &[Method::GET]];
    let preflight = |index| Some(Found { index, is_preflight: true });
    assert_eq!(found(routes, &[0, 1], "POST"), preflight(0));
    assert_eq!(found(routes, &[0, 1], "GET"), preflight(1));
    assert_eq!(found(routes, &[0, 1], "PUT"), None);
    assert_eq!(found(routes, &[1], "POST"), None, "no policy, and no route takes OPTIONS");
    assert_eq!(found(&[&[]], &[0], "PATCH"), preflight(0));
}

#[test]
fn no_policy_of_another_route_answers_a_preflight() {
    let routes: &[&[Method]] = &[&[Method::POST], &[]];
    assert_eq!(found(routes, &[1], "POST"), Some(Found { index: 1, is_preflight: false }));
    assert_eq!(found(routes, &[1], "PUT"), Some(Found { index: 1, is_preflight: true }));
}
