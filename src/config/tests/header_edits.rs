use super::{bad, good, hint, listed, route};
use crate::config::{to_json, to_yaml};

fn problems(key: &str, keys: &str) -> Vec<String> {
    bad(&route(&format!("{key}: {{ {keys} }}")))
}

#[test]
fn headers_are_removed_set_and_added_to() {
    let text = route(
        "request_headers: { set: { X-Shop: main, x-b: \"\" }, add: { Link: [a, b] }, remove: X-Debug }",
    );
    let edits = good(&text).config.routes[0].request_headers.clone();
    let lines = |lines: &[(http::HeaderName, http::HeaderValue)]| {
        lines
            .iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().expect("text")))
            .collect::<Vec<_>>()
    };
    assert_eq!(edits.remove, ["x-debug"]);
    assert_eq!(lines(&edits.set), ["x-shop=main", "x-b="]);
    assert_eq!(lines(&edits.add), ["link=a", "link=b"]);
    let empty =
        good(&route("request_headers: { set: {}, add: {}, remove: [] }\nresponse_headers: {}")).config;
    assert!(empty.routes[0].request_headers.is_empty() && empty.routes[0].response_headers.is_empty());
}

#[test]
fn what_frames_a_message_or_is_tillgate_s_own_is_not_a_route_s_to_edit() {
    for name in [
        "Host",
        "Content-Encoding",
        "Content-Length",
        "transfer-encoding",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Proxy-Authorization",
        "X-Forwarded-For",
        "X_Forwarded_Proto",
        "Forwarded",
        "X-Real-IP",
        "X-Request-ID",
        "X-Tillgate-Token",
        "Content_Length",
    ] {
        let found = problems("request_headers", &format!("set: {{ {name}: x }}"));
        assert!(
            found.len() == 1 && found[0].ends_with("is not to be written by a route"),
            "{name}: {found:?}"
        );
        let found = problems("request_headers", &format!("remove: [{name}]"));
        assert!(
            found.len() == 1 && found[0].ends_with("is not to be removed by a route"),
            "{name}: {found:?}"
        );
    }
    for name in ["Content-Length", "Transfer-Encoding", "Connection", "Date", "X-Tillgate-Reason", "Upgrade"]
    {
        assert_eq!(problems("response_headers", &format!("add: {{ {name}: x }}")).len(), 1, "{name}");
        assert_eq!(problems("response_headers", &format!("remove: {name}")).len(), 1, "{name}");
    }
    good(&route(
        "response_headers: { remove: [Server, X-Powered-By], set: { Access-Control-Allow-Origin: \"*\" } }",
    ));
    let with_cors =
        "cors: { allow_origins: \"*\" }\nresponse_headers: { set: { Access-Control-Allow-Origin: a } }";
    assert_eq!(hint(&route(with_cors)), "the route's `cors` says it");
    assert_eq!(hint(&route("request_headers: { set: { host: a } }")), "write `rewrite: { host: NAME }`");
}

#[test]
fn what_is_no_header_is_refused() {
    assert_eq!(
        problems(
            "request_headers",
            "set: { \":path\": /, \"a b\": x, X-A: 1, x-c: a, X-C: b, x-d: [a, b] }, put: {}"
        ),
        [
            "7:31 `:path` is not the name of a header",
            "7:43 `a b` is not the name of a header",
            "7:58 `X-A` must be text, found the number 1",
            "7:69 `X-C` is given twice; case does not matter",
            "7:82 `x-d` must be text, found a list",
            "7:92 unknown key `put`",
        ]
    );
    assert_eq!(problems("request_headers", "add: { x: \"a\\r\\nb: c\" }").len(), 1);
    let many: Vec<String> = (0..101).map(|number| format!("x-{number}: a")).collect();
    assert_eq!(
        problems("request_headers", &format!("set: {{ {} }}", many.join(", "))),
        ["7:29 `set` has more than 100 entries"]
    );
}

#[test]
fn a_header_that_is_removed_and_set_is_pointed_at() {
    let text = route("request_headers: { set: { X-A: b }, remove: [x-a] }");
    assert_eq!(listed(&good(&text).warnings), ["7:22 x-a is removed to no end: it is set after that"]);
}

#[test]
fn a_secret_in_a_header_is_shown_nowhere() {
    let text =
        route("request_headers: { set: { Authorization: Bearer hunter2, X-Api-Key: hunter2, X-A: shown } }");
    let config = good(&text).config;
    for shown in [to_yaml(&config), to_json(&config).to_string(), format!("{config:?}")] {
        assert!(shown.contains("shown") && !shown.contains("hunter2"), "{shown}");
    }
    assert!(super::read(&to_yaml(&config)).is_err(), "else the stars would be sent");
}
