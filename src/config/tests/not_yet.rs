use super::{MINIMAL, bad, top, upstream};

#[test]
fn parts_of_a_listener_that_are_not_there_yet_say_so() {
    for (key, value) in [("tls", "{ certificates: [] }"), ("proxy_protocol", "require")] {
        let text = MINIMAL.replace("8080\" }", &format!("8080\", {key}: {value} }}"));
        assert_eq!(bad(&text), [format!("2:37 `{key}` is not supported yet")]);
    }
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
fn parts_of_the_file_that_are_not_there_yet_say_so() {
    for key in ["tracing", "acme", "cache"] {
        assert_eq!(bad(&top(&format!("{key}: {{}}"))), [format!("7:1 `{key}` is not supported yet")]);
    }
}
