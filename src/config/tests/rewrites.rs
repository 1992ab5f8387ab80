use super::{bad, good, hint, listed, route};
use crate::config::PathChange;

#[test]
fn a_path_and_a_host_may_be_another() {
    let text = route(
        "match: { path_prefix: /api }\nrewrite: { path_prefix: /v2/, host: \"Payments.Internal:8080\" }",
    );
    let rewrite = good(&text).config.routes[0].rewrite.clone().expect("a rewrite");
    assert!(matches!(rewrite.path, Some(PathChange::Prefix(base)) if base == "/v2"));
    assert_eq!(rewrite.host.expect("a host"), "payments.internal:8080");
    let text =
        route("rewrite: { path_regex: { pattern: \"^/(?<a>x)(.)$\", replacement: \"/$2$a$${1}$$\" } }");
    let rewrite = good(&text).config.routes[0].rewrite.clone().expect("a rewrite");
    assert!(
        matches!(rewrite.path, Some(PathChange::Pattern { replacement, .. }) if replacement == "/$2$a${1}$$")
    );
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let found = |keys: &str| bad(&route(&format!("rewrite: {{ {keys} }}")));
    assert_eq!(found(""), ["7:14 `rewrite` does not say what to"]);
    assert_eq!(found("path: /a/../b"), ["7:22 `/a/../b` is not a path to send requests to"]);
    assert_eq!(hint(&route("rewrite: { path_prefix: payments }")), "write `/payments`");
    assert_eq!(found("host: \"a b\""), ["7:22 `a b` is not a host name"]);
    assert_eq!(found("host: \"a:0\""), ["7:22 `a:0` has no valid port"]);
    assert_eq!(found("host: \"http://a\"").len(), 1);
    assert_eq!(found("path: /a, path_regex: {}"), ["7:38 `path` and `path_regex` exclude each other"]);
    let pattern =
        |replacement: &str| found(&format!("path_regex: {{ pattern: '^/(a)', replacement: {replacement} }}"));
    assert_eq!(pattern("/$2"), ["7:61 `$2` is no group of the pattern"]);
    assert_eq!(pattern("/$1x"), ["7:61 `$1x` is no group of the pattern"]);
    assert_eq!(pattern("\"/?$1\""), ["7:61 `/?$1` is not part of a path"]);
    assert_eq!(found("path_regex: { pattern: '(', replacement: / }").len(), 1);
    assert_eq!(found("path_regex: { pattern: a }"), ["7:16 `replacement` is missing in `path_regex`"]);
}

#[test]
fn a_prefix_is_replaced_where_one_is_matched() {
    let text = route("match: { path_regex: ^/a }\nrewrite: { path_prefix: /b }");
    assert_eq!(bad(&text), ["8:29 the route matches no prefix that could be replaced"]);
}

#[test]
fn a_rewrite_that_changes_nothing_is_pointed_at() {
    let warned = |matched: &str, rewrite: &str| {
        listed(&good(&route(&format!("match: {{ {matched} }}\nrewrite: {{ {rewrite} }}"))).warnings)
    };
    assert_eq!(
        warned("path_prefix: /a/", "path_prefix: /a"),
        ["6:5 the path of route `route-1` is rewritten to what it is"]
    );
    assert_eq!(warned("path: /a", "path: /a").len(), 1);
    assert!(warned("path_prefix: /a", "path_prefix: /b").is_empty());
    assert!(warned("path_prefix: /a", "path: /a").is_empty(), "what is below it comes to it");
}
