use std::collections::BTreeSet;

use crate::config::node::{Data, Node};
use crate::config::yaml;

/// Every node as `LINE:COLUMN KIND`.
fn places(text: &str) -> Vec<String> {
    let root = yaml::parse(text).expect("YAML");
    let mut nodes = Vec::new();
    flatten(&root, &mut nodes);
    let wanted: BTreeSet<_> = nodes.iter().map(|(at, _)| *at).collect();
    let found = yaml::positions(text, &wanted);
    let show = |(at, what): &(u32, String)| format!("{}:{} {what}", found[at].line, found[at].column);
    nodes.iter().map(show).collect()
}

fn flatten(node: &Node, nodes: &mut Vec<(u32, String)>) {
    nodes.push((node.at, node.data.describe()));
    match &node.data {
        Data::Seq(items) => items.iter().for_each(|item| flatten(item, nodes)),
        Data::Map(entries) => entries.iter().for_each(|(key, value)| {
            flatten(key, nodes);
            flatten(value, nodes);
        }),
        _ => {}
    }
}

#[test]
fn keys_and_values_in_block_style_have_exact_places() {
    assert_eq!(
        places("a:\n  b: 1\n  c:\n    - x\n    - d: \"y\"\n"),
        [
            "1:1 a map",
            "1:1 `a`",
            "2:3 a map",
            "2:3 `b`",
            "2:6 the number 1",
            "3:3 `c`",
            "4:5 a list",
            "4:7 `x`",
            "5:7 a map",
            "5:7 `d`",
            "5:10 `y`"
        ]
    );
}

#[test]
fn keys_and_values_in_flow_style_have_exact_places() {
    assert_eq!(
        places("{ a: [ 1, { b: ~ } ],\n  c: {} }\n"),
        [
            "1:1 a map",
            "1:3 `a`",
            "1:6 a list",
            "1:8 the number 1",
            "1:11 a map",
            "1:13 `b`",
            "1:16 nothing",
            "2:3 `c`",
            "2:6 a map"
        ]
    );
}

#[test]
fn characters_are_counted_not_bytes() {
    assert_eq!(places("ä: { ö: ü }"), ["1:1 a map", "1:1 `ä`", "1:4 a map", "1:6 `ö`", "1:9 `ü`"]);
}

#[test]
fn an_alias_stands_where_its_anchor_is() {
    assert_eq!(
        places("a: &x { b: 1 }\nc: *x\n"),
        [
            "1:1 a map",
            "1:1 `a`",
            "1:4 a map",
            "1:9 `b`",
            "1:12 the number 1",
            "2:1 `c`",
            "1:4 a map",
            "1:9 `b`",
            "1:12 the number 1"
        ]
    );
}

#[test]
fn line_breaks_and_comments_do_not_move_places() {
    assert_eq!(
        places("# one\r\n\r\na: |\r\n  text\r\nb: 'c'\r\n").last().map(String::as_str),
        Some("5:4 `c`")
    );
    assert_eq!(places("a: \"x\\\n  y\"\nb: 2").last().map(String::as_str), Some("3:4 the number 2"));
}
