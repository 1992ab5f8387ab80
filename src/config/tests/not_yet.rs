use super::{bad, top};

#[test]
fn parts_of_the_file_that_are_not_there_yet_say_so() {
    for key in ["tracing", "acme", "cache"] {
        assert_eq!(bad(&top(&format!("{key}: {{}}"))), [format!("7:1 `{key}` is not supported yet")]);
    }
}
