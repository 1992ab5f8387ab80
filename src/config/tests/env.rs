use super::{MINIMAL, route};
use crate::config::{Loaded, Problems, Workers, parse};

fn env(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("9000".to_owned()),
        "EMPTY" => Some(String::new()),
        "NESTED" => Some("${PORT}".to_owned()),
        "LONG" => Some("x".repeat(50_000)),
        _ => None,
    }
}

fn read(text: &str) -> Result<Loaded, Problems> {
    parse("shop.yaml", text, &env)
}

fn header(value: &str) -> String {
    let text = route(&format!("match: {{ headers: {{ x: \"{value}\" }} }}"));
    let config = read(&text).unwrap_or_else(|problems| panic!("{problems}")).config;
    config.routes[0].matches.headers[0].1.to_str().expect("text").to_owned()
}

fn refused(value: &str) -> String {
    let text = route(&format!("match: {{ headers: {{ x: \"{value}\" }} }}"));
    let problems = read(&text).expect_err("a problem");
    problems.iter().next().map(|p| format!("{}:{} {}", p.line, p.column, p.message)).expect("one")
}

#[test]
fn references_are_replaced_in_the_whole_or_a_part_of_a_value() {
    assert_eq!(header("${PORT}"), "9000");
    assert_eq!(header("a${PORT}b${PORT}c"), "a9000b9000c");
    assert_eq!(header("${NONE:-a:-b}"), "a:-b");
    assert_eq!(header("${EMPTY:-full}"), "full");
    assert_eq!(header("a${EMPTY}"), "a");
}

#[test]
fn a_doubled_dollar_stands_for_itself_and_values_are_not_expanded_again() {
    assert_eq!(header("$${PORT}"), "${PORT}");
    assert_eq!(header("$$${PORT}"), "$${PORT}");
    assert_eq!(header("${NESTED}"), "${PORT}");
    assert_eq!(header("$PORT $5"), "$PORT $5");
}

#[test]
fn a_number_from_the_environment_is_a_number_where_one_is_wanted() {
    let config = read(&format!("{MINIMAL}workers: ${{WORKERS:-4}}\n")).expect("good").config;
    assert!(matches!(config.workers, Workers::Count(count) if count.get() == 4));
    let text = MINIMAL.replace("127.0.0.1:7001", "127.0.0.1:${PORT}");
    assert_eq!(read(&text).expect("good").config.upstreams[0].endpoints[0].address.port, 9000);
}

#[test]
fn a_reference_that_cannot_be_followed_is_a_problem_at_its_value() {
    assert_eq!(refused("${NONE}"), "7:28 the environment variable `NONE` is not set");
    assert_eq!(refused("${PORT"), "7:28 `${` has no closing `}`");
    assert_eq!(refused("${}"), "7:28 `` is not the name of an environment variable");
    assert_eq!(refused("${a b}"), "7:28 `a b` is not the name of an environment variable");
    assert_eq!(refused("${LONG}${LONG}"), "7:28 the environment makes this value longer than 64 KiB");
}
