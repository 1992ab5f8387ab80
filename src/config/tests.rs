//! Reads like the manual: what a config may say, and what is said about one that may not.

mod broken_files;
mod compress;
mod cors;
mod env;
mod good;
mod header_edits;
mod health_check;
mod hedge;
mod limits;
mod mistakes;
mod not_yet;
mod outlier;
mod overload;
mod places;
mod proxy_protocol;
mod random;
mod redirects;
mod rendering;
mod rewrites;
mod steering;
mod tls;
mod upgrades;
mod upstream_tls;
mod warnings;

use super::{Loaded, Problems, load::MINIMAL, parse};

fn no_env(_: &str) -> Option<String> {
    None
}

fn read(text: &str) -> Result<Loaded, Problems> {
    parse("shop.yaml", text, &no_env)
}

/// The config and its warnings.
fn good(text: &str) -> Loaded {
    match read(text) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("refused:\n{problems}\n{text}"),
    }
}

/// Each problem as `LINE:COLUMN MESSAGE`.
fn bad(text: &str) -> Vec<String> {
    match read(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(problems) => listed(&problems),
    }
}

fn listed(problems: &Problems) -> Vec<String> {
    problems.iter().map(|p| format!("{}:{} {}", p.line, p.column, p.message)).collect()
}

/// The hint of the only problem.
fn hint(text: &str) -> String {
    let problems = read(text).expect_err("a problem");
    assert_eq!(problems.len(), 1, "{problems}");
    problems.iter().next().and_then(|problem| problem.hint.clone()).expect("a hint")
}

/// A small config with `lines` added to its only upstream, which begins in line 4; they begin in line 5.
fn upstream(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "listeners:\n  web: {{ address: \"127.0.0.1:8080\" }}\nupstreams:\n  shop:\n{lines}    endpoints: [\"127.0.0.1:7001\"]\nroutes:\n  - upstream: shop\n"
    )
}

/// A small config with `lines` added to its only route, which begins in line 6; they begin in line 7.
fn route(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "listeners:\n  web: {{ address: \"127.0.0.1:8080\" }}\nupstreams:\n  shop: {{ endpoints: [\"127.0.0.1:7001\"] }}\nroutes:\n  - upstream: shop\n{lines}"
    )
}

/// A small config with `lines` added at the top level; they begin in line 7.
fn top(lines: &str) -> String {
    format!("{MINIMAL}{lines}\n")
}

/// A good config with a bit of everything, short enough to be read thousands of times.
fn example_without_comments() -> String {
    let lines = include_str!("../../config.example.yaml").lines();
    let bare = lines.map(|line| line.split('#').next().unwrap_or_default().trim_end());
    bare.filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}
