//! What can be typed, and what is said to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use crate::support::{Client, OK, Origin, Program, Yaml, ask_admin, free_address, ok_with};

/// What `tillgate check` finds in `bytes`, with the path of the file.
fn check(bytes: &[u8]) -> (Output, PathBuf, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    fs::write(&path, bytes).expect("write");
    (check_path(&path), path, directory)
}

fn check_path(path: &Path) -> Output {
    Program::output(&["check", "--config", path.to_str().expect("UTF-8")])
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// Asserts that `check` refuses `bytes` with exactly these words, where `PATH` stands for the file.
fn refuses(bytes: &[u8], words: &str) {
    let (output, path, _directory) = check(bytes);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), words.replace("PATH", path.to_str().expect("UTF-8")) + "\n");
    assert_eq!(stdout(&output), "");
}

#[test]
fn check_says_ok_and_what_is_in_the_file() {
    let origin = Origin::answering(OK);
    let (output, path, _directory) = check(Yaml::of("random", &[&origin]).to_string().as_bytes());
    assert_eq!(output.status.code(), Some(0));
    let summary = format!("{}: ok (1 listeners, 1 routes, 1 upstreams, 1 endpoints)\n", path.display());
    assert_eq!((stdout(&output), stderr(&output)), (summary, String::new()));
}

#[test]
fn check_shows_every_problem_with_its_place_its_line_and_a_hint() {
    let text = "listeners:\n  web: { adress: 127.0.0.1:8080 }\nupstreams:\n  shop: { endpoints: [\"127.0.0.1:7001\"], \
                strategy: p3c }\nroutes:\n  - { upstream: shoop }\n";
    let (output, path, _directory) = check(text.as_bytes());
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()));
    let words = stderr(&output);
    for (place, source, hint) in [
        ("2:10", "web: { adress: 127.0.0.1:8080 }", "did you mean `address`?"),
        ("4:52", "strategy: p3c }", "did you mean `p2c`?"),
        ("6:17", "- { upstream: shoop }", "did you mean `shop`?"),
    ] {
        let problem = format!("{}:{place}: ", path.display());
        let from = words.find(&problem).unwrap_or_else(|| panic!("no {problem} in {words}"));
        let problem = words[from..].split("\n\n").next().unwrap_or("");
        assert!(problem.contains(source) && problem.contains(&format!("hint: {hint}")), "{problem}");
    }
}

#[test]
fn check_tells_the_range_of_a_number_outside_it() {
    let endpoint =
        |weight: &str| format!("endpoints: [ {{ address: \"127.0.0.1:7001\", weight: {weight} }} ]");
    let tuned = |tuning: &str| format!("least_response: {{ {tuning} }}, {}", endpoint("1"));
    let slow_start = |value: &str| format!("slow_start: {value}, {}", endpoint("1"));
    for (shop, words) in [
        (tuned("quantile: 0.49"), "`quantile` must be a number from 0.5 to 0.999, found the number 0.49"),
        (tuned("quantile: 0.9991"), "`quantile` must be a number from 0.5 to 0.999, found the number 0.9991"),
        (tuned("quantile: -0.9"), "`quantile` must be a number from 0.5 to 0.999, found the number -0.9"),
        (tuned("quantile: .nan"), "`quantile` must be a number from 0.5 to 0.999, found the number NaN"),
        (tuned("window: 999ms"), "`window` must be a duration from 1s to 10m, found `999ms`"),
        (tuned("window: 11m"), "`window` must be a duration from 1s to 10m, found `11m`"),
        (tuned("window: 30"), "`window` must be a duration from 1s to 10m, found the number 30"),
        (
            tuned("min_samples: 0"),
            "`min_samples` must be a whole number from 1 to 1000000, found the number 0",
        ),
        (tuned("normalize: 'on'"), "`normalize` must be one of route, off, found `on`"),
        (slow_start("999ms"), "`slow_start` must be a duration from 1s to 15m, found `999ms`"),
        (slow_start("901s"), "`slow_start` must be a duration from 1s to 15m, found `901s`"),
        (endpoint("-1"), "`weight` must be a whole number from 0 to 1000, found the number -1"),
        (endpoint("1001"), "`weight` must be a whole number from 0 to 1000, found the number 1001"),
    ] {
        let (output, path, _directory) = check(Yaml::new(&shop).to_string().as_bytes());
        let said = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{shop}");
        let first = said.lines().next().unwrap_or("");
        assert!(first.starts_with(&format!("{}:3:", path.display())), "{said}");
        assert!(first.ends_with(&format!(": {words}")), "{said}");
    }
}

#[test]
fn check_warns_of_what_is_odd_and_still_says_ok() {
    let text =
        Yaml::new("strategy: random, endpoints: [ { address: \"127.0.0.1:7001\", weight: 0 } ]").to_string();
    let (output, path, _directory) = check(text.as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).starts_with(&format!("{}:3:", path.display())), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: every endpoint has weight 0"), "{}", stderr(&output));
    assert!(stdout(&output).contains(": ok ("));
}

#[test]
fn the_example_config_is_ok_without_a_warning() {
    let output = check_path(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.yaml"));
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn a_missing_file_is_named() {
    let path = Path::new("/nowhere/tillgate.yaml");
    let words = "/nowhere/tillgate.yaml: there is no such file\n  hint: give the path with --config\n";
    for command in ["check", "run"] {
        let output = Program::output(&[command, "--config", path.to_str().expect("UTF-8")]);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(2), words), "{command}");
    }
}

#[test]
fn a_directory_is_no_config() {
    let directory = tempfile::tempdir().expect("a directory");
    let words = format!(
        "{}: this is a directory\n  hint: name the file in it, such as tillgate.yaml\n",
        directory.path().display()
    );
    let output = check_path(directory.path());
    assert_eq!((output.status.code(), stderr(&output)), (Some(2), words));
}

#[test]
fn an_empty_file_is_answered_with_the_smallest_config() {
    let (output, path, _directory) = check(b"");
    assert_eq!(output.status.code(), Some(2));
    let words = stderr(&output);
    let example = words
        .strip_prefix(&format!("{}: the config is empty\n  hint: the smallest one is\n", path.display()));
    let (again, ..) = check(example.expect("an example").as_bytes());
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
}

#[test]
fn a_binary_file_is_called_one() {
    refuses(
        b"\x7fELF\x80\0\0",
        "PATH: this is a binary file (or UTF-16), not a config\n  hint: save it as UTF-8 text",
    );
    refuses(
        b"listeners: \xff",
        "PATH: the byte at offset 11 is not UTF-8\n  hint: save the file in the encoding UTF-8",
    );
}

#[test]
fn a_huge_file_is_refused_unread() {
    refuses(&vec![b' '; 17 * 1024 * 1024], "PATH: the file is larger than 16 MiB, which no config is");
}

#[test]
fn a_half_written_file_is_refused_at_the_place_where_it_ends() {
    let whole = Yaml::new("endpoints: [\"127.0.0.1:7001\"]").to_string();
    let (output, path, _directory) =
        check(&whole.as_bytes()[..whole.find("endpoints").expect("endpoints") + 12]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with(&format!("{}:3:", path.display())), "{}", stderr(&output));
}

#[test]
fn a_file_that_is_refused_does_not_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    fs::write(&path, "routes: 7\n").expect("write");
    let run = Program::output(&["run", "--config", path.to_str().expect("UTF-8")]);
    assert_eq!((run.status.code(), stderr(&run)), (Some(2), stderr(&check_path(&path))));
}

#[test]
fn a_port_in_use_at_the_start_is_named_with_its_listener() {
    let (origin, taken) = (Origin::answering(OK), Origin::answering(OK));
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    let web = format!("web: {{ address: \"{}\" }}", taken.address());
    fs::write(&path, Yaml::of("random", &[&origin]).listeners(&web).to_string()).expect("write");
    let output = Program::output(&["run", "--config", path.to_str().expect("UTF-8")]);
    let words = format!("listener web: cannot listen on {}: Address already in use", taken.address());
    assert_ne!(output.status.code(), Some(0));
    assert!(stderr(&output).starts_with(&words), "{}", stderr(&output));
}

#[test]
fn two_proxies_do_not_share_a_port() {
    let origin = Origin::answering(OK);
    let web = format!("web: {{ address: \"{}\" }}", free_address());
    let yaml = Yaml::of("random", &[&origin]).listeners(&web).to_string();
    let _first = crate::support::Proxy::start(&yaml);
    let second = crate::support::Proxy::try_start(&yaml, false).err().expect("a refusal");
    assert!(second.to_string().starts_with("listener web: cannot listen on "), "{second}");
}

#[test]
fn tillgate_with_a_config_alone_serves_it() {
    let origin = Origin::answering(OK);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tillgate.yaml");
    fs::write(&path, Yaml::of("random", &[&origin]).to_string()).expect("write");
    let program = Program::start(&["-c", path.to_str().expect("UTF-8"), "--log-format", "json"]);
    let (web, _) = program.wait_until_listening();
    assert_eq!(Client::connect(web).get("/").text(), "ok");
}

#[test]
fn tillgate_alone_says_what_is_missing() {
    let output = Program::output(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--config") && stderr(&output).contains("--help"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn proxy_serves_without_a_file() {
    let (a, b) = (Origin::answering(ok_with("a")), Origin::answering(ok_with("b")));
    let (a_address, b_address) = (a.address().to_string(), b.address().to_string());
    let admin = ["--admin", "127.0.0.1:0"];
    let listen = ["proxy", "--log-format", "json", "--listen", "127.0.0.1:0", "--to", &a_address, &b_address];
    let program = Program::start(&[&listen[..], &admin[..]].concat());
    let (web, admin) = program.wait_until_listening();
    for _ in 0..50 {
        assert_eq!(Client::connect(web).get("/any/path").status(), 200);
    }
    assert!(!a.requests().is_empty() && !b.requests().is_empty(), "both serve");
    assert_eq!(ask_admin(admin, "GET", "/healthz").text(), "ok\n");
}

#[test]
fn proxy_may_run_twice_on_one_machine() {
    let origin = Origin::answering(OK);
    let to = origin.address().to_string();
    let arguments =
        ["proxy", "--log-format", "json", "--listen", "127.0.0.1:0", "--admin", "off", "--to", to.as_str()];
    let programs = [Program::start(&arguments), Program::start(&arguments)];
    for program in programs {
        let web = program.wait_for_log("\"listening\"")["address"].as_str().and_then(|web| web.parse().ok());
        assert_eq!(Client::connect(web.expect("an address")).get("/").text(), "ok");
    }
}

#[test]
fn the_config_that_proxy_prints_is_one_that_check_accepts() {
    let arguments =
        ["proxy", "--listen", "127.0.0.1:8080", "--to", "127.0.0.1:7001", "localhost:7002", "--print-config"];
    let printed = Program::output(&arguments);
    assert_eq!((printed.status.code(), stderr(&printed)), (Some(0), String::new()));
    let (output, ..) = check(&printed.stdout);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    assert!(stdout(&output).ends_with(": ok (1 listeners, 1 routes, 1 upstreams, 2 endpoints)\n"));
}

#[test]
fn proxy_holds_its_arguments_to_the_rules_of_a_file() {
    let output = Program::output(&["proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:99999"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("127.0.0.1:99999"), "{}", stderr(&output));
}
