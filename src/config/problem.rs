//! What is wrong with a config file, said so that it can be put right without opening the manual.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::excerpt;
use super::node::Ordinal;
use super::yaml::{self, Position};

/// Problems that are shown; the others are only counted.
const SHOWN: usize = 100;

/// Whether a file with this problem may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is used, and somebody should look at it.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether the file is refused for it.
    pub severity: Severity,
    /// Counted from 1; 0 for a problem of the file as a whole.
    pub line: usize,
    /// In characters, counted from 1; 0 for a problem of the file as a whole.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// The source line without a token, empty for a problem of the file as a whole. Not serialized: it may hold a secret.
    #[serde(skip)]
    pub source: String,
}

/// Everything that is wrong with one file, in file order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problems {
    path: String,
    problems: Vec<Problem>,
    /// How many more there are than `problems` holds.
    more: usize,
}

impl Problems {
    /// A problem of the file as a whole.
    pub(super) fn whole_file(path: &str, message: String, hint: Option<String>) -> Self {
        Self::at(path, "", None, message, hint)
    }

    /// One error, at `position` in `text` if that is known.
    pub(super) fn at(
        path: &str,
        text: &str,
        position: Option<Position>,
        message: String,
        hint: Option<String>,
    ) -> Self {
        let finding = Finding { at: None, severity: Severity::Error, message, hint };
        let problem = finding.placed(position, &excerpt::lines(text));
        Self { path: path.to_owned(), problems: vec![problem], more: 0 }
    }

    /// Finds out where `findings` stand in `text`.
    pub(super) fn locate(path: &str, text: &str, findings: Findings) -> Self {
        let (list, more) = findings.shown();
        Self { path: path.to_owned(), problems: place(text, list), more }
    }

    /// The file's name as it was given.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The problems that are shown, in file order.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.problems.iter()
    }

    /// True if there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many there are, those that are not shown among them.
    pub fn len(&self) -> usize {
        self.problems.len() + self.more
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            f.write_str(if i > 0 { "\n\n" } else { "" })?;
            problem.show(f, &excerpt::plain(&self.path))?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n\n{}: and {more} more", excerpt::plain(&self.path)),
        }
    }
}

impl Problem {
    fn show(&self, f: &mut fmt::Formatter<'_>, path: &str) -> fmt::Result {
        f.write_str(path)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        let kind = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(f, ": {kind}{}", excerpt::plain(&self.message))?;
        if self.line > 0 {
            self.show_source(f)?;
        }
        match &self.hint {
            Some(hint) => show_hint(f, hint),
            None => Ok(()),
        }
    }

    fn show_source(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, caret) = excerpt::around(&self.source, self.column);
        write!(f, "\n  {shown}\n  {:caret$}^", "")
    }
}

/// A hint of several lines is an example, and stays in shape.
fn show_hint(f: &mut fmt::Formatter<'_>, hint: &str) -> fmt::Result {
    f.write_str("\n  hint: ")?;
    for (i, line) in hint.lines().enumerate() {
        write!(f, "{}{}", if i > 0 { "\n    " } else { "" }, excerpt::plain(line))?;
    }
    Ok(())
}

/// A problem whose place is still a node's number.
#[derive(Debug)]
pub(super) struct Finding {
    /// `None`: the file as a whole.
    pub(super) at: Option<Ordinal>,
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Finding {
    fn placed(self, position: Option<Position>, lines: &[&str]) -> Problem {
        let Position { line, column } = position.unwrap_or(Position { line: 0, column: 0 });
        let source = line.checked_sub(1).and_then(|i| lines.get(i)).copied().unwrap_or_default();
        let Self { severity, message, hint, .. } = self;
        Problem { severity, line, column, message, hint, source: excerpt::without_secrets(source) }
    }
}

/// Findings as they are made; a file of nothing but mistakes does not fill the memory with them.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    dropped: usize,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        let list = match finding.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if list.len() < SHOWN { list.push(finding) } else { self.dropped += 1 }
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The first of them, errors before warnings, and how many are left out.
    fn shown(self) -> (Vec<Finding>, usize) {
        let mut list = self.errors;
        list.extend(self.warnings);
        let more = self.dropped + list.len().saturating_sub(SHOWN);
        list.truncate(SHOWN);
        (list, more)
    }
}

fn place(text: &str, findings: Vec<Finding>) -> Vec<Problem> {
    if findings.is_empty() {
        return Vec::new();
    }
    let wanted: BTreeSet<Ordinal> = findings.iter().filter_map(|finding| finding.at).collect();
    let found = yaml::positions(text, &wanted);
    let lines = excerpt::lines(text);
    let mut problems: Vec<Problem> = findings
        .into_iter()
        .map(|finding| {
            let position = finding.at.and_then(|at| found.get(&at)).copied();
            finding.placed(position, &lines)
        })
        .collect();
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}
