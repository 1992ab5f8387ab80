use super::{MINIMAL, bad, top};

#[test]
fn parts_of_a_listener_that_are_not_there_yet_say_so() {
    let text = MINIMAL.replace("8080\" }", "8080\", proxy_protocol: require }");
    assert_eq!(bad(&text), ["2:37 `proxy_protocol` is not supported yet"]);
}

#[test]
fn parts_of_the_file_that_are_not_there_yet_say_so() {
    for key in ["tracing", "acme", "cache"] {
        assert_eq!(bad(&top(&format!("{key}: {{}}"))), [format!("7:1 `{key}` is not supported yet")]);
    }
}
