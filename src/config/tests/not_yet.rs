use super::{MINIMAL, bad, route, top, upstream};

#[test]
fn parts_of_a_listener_that_are_not_there_yet_say_so() {
    let text = MINIMAL.replace("8080\" }", "8080\", tls: { certificates: [] } }");
    assert_eq!(bad(&text), ["2:37 `tls` is not supported yet"]);
}

#[test]
fn parts_of_an_upstream_that_are_not_there_yet_say_so() {
    assert_eq!(bad(&upstream("tls: 1")), ["5:5 `tls` is not supported yet"]);
    for protocol in ["h2", "auto"] {
        assert_eq!(
            bad(&upstream(&format!("protocol: {protocol}"))),
            [format!("5:15 `{protocol}` is not supported yet")]
        );
    }
}

#[test]
fn parts_of_a_route_that_are_not_there_yet_say_so() {
    for key in ["rewrite", "redirect", "request_headers", "response_headers"] {
        assert_eq!(bad(&route(&format!("{key}: {{}}"))), [format!("7:5 `{key}` is not supported yet")]);
    }
}

#[test]
fn a_redirect_is_not_also_told_to_have_an_upstream() {
    let text = MINIMAL.replace("upstream: shop }", "redirect: { scheme: https } }");
    assert_eq!(bad(&text), ["6:34 `redirect` is not supported yet"]);
}

#[test]
fn parts_of_the_file_that_are_not_there_yet_say_so() {
    for key in ["tracing", "acme", "cache"] {
        assert_eq!(bad(&top(&format!("{key}: {{}}"))), [format!("7:1 `{key}` is not supported yet")]);
    }
}
