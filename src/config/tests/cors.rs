use std::time::Duration;

use http::Method;

use super::{bad, good, hint, listed, route};
use crate::config::{Cors, Listed, OriginPattern};

fn cors(keys: &str) -> Cors {
    good(&route(&format!("cors: {{ {keys} }}"))).config.routes[0].cors.clone().expect("a policy")
}

fn problems(keys: &str) -> Vec<String> {
    bad(&route(&format!("cors: {{ {keys} }}")))
}

fn exact(origin: &str) -> OriginPattern {
    OriginPattern::Exact(origin.to_owned())
}

#[test]
fn a_policy_names_origins_as_browsers_write_them() {
    let origins = "[https://Shop.Example, \"http://localhost:3000\", \"https://[::1]:443\", \"https://*.shop.example:8443\"]";
    let wildcard =
        OriginPattern::Wildcard { scheme: "https://".to_owned(), domain: ".shop.example:8443".to_owned() };
    assert_eq!(
        cors(&format!("allow_origins: {origins}")).allow_origins,
        Listed::These(vec![
            exact("https://shop.example"),
            exact("http://localhost:3000"),
            exact("https://[::1]"),
            wildcard
        ])
    );
    assert_eq!(cors("allow_origins: \"*\"").allow_origins, Listed::All);
    assert_eq!(cors("allow_origins: [\"*\"]").allow_origins, Listed::All);
    assert_eq!(
        cors("allow_origins: https://a.example").allow_origins,
        Listed::These(vec![exact("https://a.example")])
    );
}

#[test]
fn nothing_is_allowed_that_is_not_said() {
    let plain = cors("allow_origins: https://a.example");
    assert_eq!(plain.allow_methods, Listed::These(vec![Method::GET, Method::HEAD, Method::POST]));
    assert_eq!((plain.allow_headers, plain.expose_headers), (Listed::These(vec![]), Listed::These(vec![])));
    assert_eq!((plain.allow_credentials, plain.max_age), (false, Duration::from_secs(600)));
    let text = route("match: { methods: [PUT] }\ncors: { allow_origins: \"*\" }");
    let policy = good(&text).config.routes[0].cors.clone().expect("a policy");
    assert_eq!(policy.allow_methods, Listed::These(vec![Method::PUT]));
    assert_eq!(good(&route("cors: off")).config.routes[0].cors, None);
}

#[test]
fn what_is_no_origin_is_refused() {
    for origin in [
        "null",
        "shop.example",
        "https://a.example/",
        "capacitor://localhost",
        "https://a*.example",
        "https://*",
        "https://a.example:x",
    ] {
        assert_eq!(problems(&format!("allow_origins: [\"{origin}\"]")).len(), 1, "{origin}");
    }
    let text = route("cors: { allow_origins: https://a.example/shop }");
    assert_eq!(hint(&text), "an origin ends before the path: write `https://a.example`");
    assert_eq!(problems("max_age: 1h"), ["7:5 `allow_origins` is missing in `cors`"]);
    assert_eq!(problems("allow_origins: [\"*\", https://a.example]"), ["7:29 `*` stands for all of them"]);
    assert_eq!(
        problems("allow_origins: \"*\", allow_methods: [get], allow_headers: [a b], max_age: 2d"),
        [
            "7:49 `get` is not in upper case",
            "7:71 `a b` is not the name of a header",
            "7:86 `max_age` must be a duration from 0s to 24h, found `2d`",
        ]
    );
}

#[test]
fn credentials_are_for_those_who_are_listed() {
    for (key, all) in [
        ("allow_origins", "allow_origins: \"*\""),
        ("allow_methods", "allow_origins: https://a.example, allow_methods: \"*\""),
        ("allow_headers", "allow_origins: https://a.example, allow_headers: \"*\""),
        ("expose_headers", "allow_origins: https://a.example, expose_headers: [\"*\"]"),
    ] {
        let found = problems(&format!("{all}, allow_credentials: true"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].ends_with(&format!("`allow_credentials` and `{key}: \"*\"` exclude each other")),
            "{found:?}"
        );
        assert!(!cors(&format!("{all}, allow_credentials: false")).allow_credentials);
    }
}

#[test]
fn what_a_policy_allows_in_vain_is_pointed_at() {
    let warned = |matches: &str, keys: &str| {
        let text = route(&format!("match: {{ {matches} }}\ncors: {{ allow_origins: \"*\"{keys} }}"));
        listed(&good(&text).warnings)
    };
    assert_eq!(
        warned("methods: [GET]", ", allow_methods: [GET, PUT]"),
        ["6:5 `cors` of route `route-1` allows PUT, which the route does not take"]
    );
    assert_eq!(
        warned("headers: { X-Channel: web }", ""),
        ["6:5 `cors` of route `route-1` answers no preflight: those have no x-channel"]
    );
    assert!(warned("headers: { Origin: \"https://a.example\" }", ", allow_methods: \"*\"").is_empty());
}
