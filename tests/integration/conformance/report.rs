//! What h2spec writes of each case, in the XML of JUnit.

use std::fmt;
use std::fs;
use std::path::Path;

/// One run of h2spec.
pub struct Report {
    cases: Vec<Case>,
    said: String,
}

struct Case {
    /// Section and title.
    name: String,
    passed: bool,
}

impl Report {
    /// Reads the file; `said` is what h2spec printed, for whoever has to see why.
    pub fn read(path: &Path, said: &str) -> Self {
        let xml = fs::read_to_string(path).unwrap_or_else(|_| panic!("h2spec wrote no report:\n{said}"));
        let cases: Vec<Case> = xml.split("<testcase ").skip(1).map(Case::read).collect();
        assert!(cases.len() >= FEWEST, "only {} cases were tried:\n{said}", cases.len());
        Self { cases, said: said.to_owned() }
    }

    /// The names of those that failed, or could not be tried.
    pub fn failed(&self) -> Vec<&str> {
        self.cases.iter().filter(|case| !case.passed).map(|case| case.name.as_str()).collect()
    }
}

/// h2spec 2.2.1 has 146 with `--strict`; a run that ends early proves nothing.
const FEWEST: usize = 140;

impl Case {
    /// From its attributes up to the next case.
    fn read(text: &str) -> Self {
        let name = format!("{}: {}", attribute(text, "package"), attribute(text, "classname"));
        let passed = !["<failure", "<error", "<skipped"].iter().any(|trouble| text.contains(trouble));
        Self { name, passed }
    }
}

fn attribute<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in {text}"));
    rest.split_once('"').map_or(rest, |(value, _)| value)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The failures stand last, after every case.
        let failures = self.said.rfind("Failures:").map_or(self.said.as_str(), |start| &self.said[start..]);
        f.write_str(failures)
    }
}
