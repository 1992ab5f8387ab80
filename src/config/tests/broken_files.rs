use std::path::Path;

use super::{MINIMAL, bad, example_without_comments, hint, read, top};
use crate::config::{MAX_FILE_BYTES, load};

/// The only problem of a file with these bytes, as `MESSAGE`.
fn file(bytes: &[u8]) -> String {
    let name = format!("tillgate-config-{}-{}.yaml", std::process::id(), fastrand::u64(..));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).expect("a file");
    let problems = load(&path).expect_err("a problem");
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(problems.len(), 1);
    problems.iter().next().map(|problem| problem.message.clone()).expect("one")
}

#[test]
fn an_empty_file_is_shown_the_smallest_config() {
    for text in ["", "\n\n", "# nothing\n", "---\n", "~", "\u{feff}"] {
        assert_eq!(bad(text), ["0:0 the config is empty"]);
        assert!(hint(text).ends_with(MINIMAL));
    }
}

#[test]
fn a_byte_order_mark_and_other_line_ends_are_tolerated() {
    assert!(read(&format!("\u{feff}{MINIMAL}")).is_ok());
    assert!(read(&MINIMAL.replace('\n', "\r\n")).is_ok());
    assert_eq!(bad("\u{feff}hello"), ["1:1 `the config` must be a map, found `hello`"]);
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let said = |path: &str| {
        load(Path::new(path)).expect_err("a problem").iter().map(|p| p.message.clone()).collect::<String>()
    };
    assert_eq!(said("/nowhere/tillgate.yaml"), "there is no such file");
    assert_eq!(said("/"), "this is a directory");
}

#[test]
fn bytes_that_are_not_text_say_where() {
    assert_eq!(file(b"a: \xff\n"), "the byte at offset 3 is not UTF-8");
    assert_eq!(file(b"\x7fELF\x00\xff"), "this is a binary file (or UTF-16), not a config");
    assert_eq!(file(&vec![b'#'; 16 * 1024 * 1024 + 1]), "the file is larger than 16 MiB, which no config is");
    let too_long = usize::try_from(MAX_FILE_BYTES).expect("16 MiB") + 1;
    assert_eq!(read(&"#".repeat(too_long)).expect_err("too large").len(), 1);
}

#[test]
fn control_characters_are_shown_where_they_stand() {
    assert_eq!(bad("a: b\nc: \0\n"), ["2:4 there is a NUL byte here, as in a binary or half-written file"]);
    assert_eq!(bad("a: \u{1b}[2J\n"), ["1:4 the control character \\u{1b} is not allowed"]);
}

#[test]
fn tabs_as_indentation_are_named() {
    let text = "listeners:\n\tweb: { address: a }\n";
    assert_eq!(hint(text), "indent with spaces; YAML does not allow tabs there");
    assert!(bad(text)[0].starts_with("2:1 "), "{:?}", bad(text));
}

#[test]
fn an_unclosed_quote_is_shown_where_it_opens() {
    let text = top("admin: { address: 127.0.0.1:9900 }\naccess_log: \"off");
    assert_eq!(bad(&text), ["8:13 this quote is never closed"]);
    assert_eq!(hint(&text), "add the closing quote at the end of the value");
}

#[test]
fn an_unclosed_bracket_is_shown_where_it_opens() {
    let text = MINIMAL
        .replace("  shop: { endpoints: [\"127.0.0.1:7001\"] }", "  shop: { endpoints: [\"127.0.0.1:7001\" }");
    assert_eq!(bad(&text).len(), 1);
    assert!(bad(&text)[0].starts_with("4:22 this bracket is not closed properly"), "{:?}", bad(&text));
}

#[test]
fn a_file_cut_anywhere_is_one_clear_problem_or_a_shorter_config() {
    let text = example_without_comments();
    for (end, _) in text.char_indices().step_by(3) {
        if let Err(problems) = read(&text[..end]) {
            assert!(!problems.is_empty());
        }
    }
}

#[test]
fn a_wildcard_without_quotes_is_told_to_have_some() {
    let text = MINIMAL.replace("path_prefix: /", "host: *.shop.example");
    assert!(hint(&text).contains("in quotes"), "{}", hint(&text));
}

#[test]
fn a_second_document_is_refused_where_it_begins() {
    let text = format!("---\n{MINIMAL}---\n{MINIMAL}");
    assert_eq!(bad(&text), ["8:1 a config is one YAML document, here a second one begins"]);
}

#[test]
fn tags_are_refused_unless_they_are_yamls_own() {
    assert_eq!(bad(&top("workers: !int 3")), ["7:10 tags such as `!name` have no meaning here"]);
    assert!(read(&top("workers: !!int 3")).is_ok());
}

#[test]
fn deep_nesting_is_refused_quickly() {
    for open in ["[", "{", "- ", "a: [", "? "] {
        let problems = read(&open.repeat(300_000 / open.len())).expect_err("too deep");
        assert_eq!(problems.len(), 1, "{open}");
    }
    let text = format!("{}{}", "[".repeat(500), "]".repeat(500));
    assert_eq!(bad(&text).len(), 1);
    assert!(bad(&text)[0].contains("nested too deeply"), "{:?}", bad(&text));
}

#[test]
fn aliases_that_expand_to_too_much_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb += &format!("a{i}: &a{i} [{refs}]\n");
    }
    assert!(bad(&bomb)[0].contains("expand to"), "{:?}", bad(&bomb));
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(100));
    assert!(bad(&long)[0].contains("64 MiB of text"), "{:?}", bad(&long));
    assert!(bad("a: &a [*a]\n")[0].contains("nested too deeply"));
}
