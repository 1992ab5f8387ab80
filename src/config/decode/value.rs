//! One value of the file with its key: reads it as what is wanted, or says what is wrong with it.
//!
//! A reader that answers `None` has reported why, so a caller goes on with the other values.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::env::{self, Env};
use super::units::{parse_duration, parse_size, show_duration, show_size};
use crate::config::excerpt::quoted;
use crate::config::model::Share;
use crate::config::node::{Data, Node, Ordinal};
use crate::config::problem::{Finding, Findings, Severity};

/// What a text is read with, beside the text.
#[derive(Clone, Copy)]
pub(in crate::config) struct Surroundings<'a> {
    /// Answers for `${NAME}`.
    pub(in crate::config) env: Env<'a>,
    /// Where relative paths begin: the directory of the config file.
    pub(in crate::config) directory: &'a Path,
    /// Whether the files that it names are held to what it says of them.
    pub(in crate::config) reads_files: bool,
}

/// What all readers of one file share.
pub(super) struct Context<'a> {
    surroundings: Surroundings<'a>,
    findings: RefCell<Findings>,
}

impl<'a> Context<'a> {
    pub(super) fn new(surroundings: Surroundings<'a>) -> Self {
        Self { surroundings, findings: RefCell::default() }
    }

    /// Whether the files that the config names are read.
    pub(super) fn reads_files(&self) -> bool {
        self.surroundings.reads_files
    }

    pub(super) fn report(&self, at: Ordinal, severity: Severity, message: String, hint: Option<String>) {
        self.findings.borrow_mut().push(Finding { at: Some(at), severity, message, hint });
    }

    pub(super) fn has_errors(&self) -> bool {
        self.findings.borrow().has_errors()
    }

    pub(super) fn into_findings(self) -> Findings {
        self.findings.into_inner()
    }
}

/// A value, what it is called, and where its key stands.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) name: &'a str,
    /// The key; for an item of a list the item itself.
    pub(super) key_at: Ordinal,
    pub(super) node: &'a Node,
}

impl<'a> Value<'a> {
    /// Reports an error at this value. Always `None`, so that a reader can end with it.
    pub(super) fn refuse<T>(self, message: impl Into<String>) -> Option<T> {
        self.report(self.node.at, Severity::Error, message.into(), None)
    }

    /// [`Self::refuse`], and what to write instead.
    pub(super) fn refuse_hint<T>(self, message: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.report(self.node.at, Severity::Error, message.into(), Some(hint.into()))
    }

    /// Reports something that is allowed and looks like a mistake.
    pub(super) fn warn(self, message: impl Into<String>, hint: impl Into<String>) {
        self.report::<()>(self.node.at, Severity::Warning, message.into(), Some(hint.into()));
    }

    fn report<T>(self, at: Ordinal, severity: Severity, message: String, hint: Option<String>) -> Option<T> {
        self.cx.report(at, severity, message, hint);
        None
    }

    /// `NAME` must be WANTED, found ...
    /// Reports that it is not what is wanted.
    pub(super) fn mismatch<T>(self, wanted: impl Display, hint: Option<&str>) -> Option<T> {
        self.mismatch_found(wanted, &self.node.data.describe(), hint)
    }

    fn mismatch_found<T>(self, wanted: impl Display, found: &str, hint: Option<&str>) -> Option<T> {
        let message = format!("`{}` must be {wanted}, found {found}", self.name);
        self.report(self.node.at, Severity::Error, message, hint.map(str::to_owned))
    }

    /// The value after `${NAME}`; what came from there is read again as YAML reads a plain scalar.
    fn scalar(self) -> Option<Data> {
        match &self.node.data {
            Data::Text(text) if env::has_reference(text) => self.expanded(text).map(reread),
            data => Some(data.clone()),
        }
    }

    fn expanded(self, text: &str) -> Option<String> {
        match env::expand(text, self.cx.surroundings.env) {
            Ok(text) => Some(text),
            Err((message, hint)) => self.refuse_hint(message, hint),
        }
    }

    /// Text; a number is not taken for it, since YAML has already changed how it is written.
    pub(super) fn text(self) -> Option<String> {
        match &self.node.data {
            Data::Text(text) => self.expanded(text),
            Data::Bool(_) | Data::Int(_) | Data::Float(_) => {
                self.mismatch("text", Some("put the value in quotes"))
            }
            Data::Null | Data::Seq(_) | Data::Map(_) => self.mismatch("text", None),
        }
    }

    /// Text, or a number with a fraction as it stands there: `1.2` means the version, whether in quotes or not.
    pub(super) fn version_text(self) -> Option<String> {
        match &self.node.data {
            Data::Float(number) => Some(number.to_string()),
            Data::Int(number) => Some(number.to_string()),
            _ => self.text(),
        }
    }

    /// The path of a file, made absolute: a relative one begins at the directory of the config file.
    pub(super) fn file_path(self) -> Option<PathBuf> {
        let text = self.text()?;
        if text.is_empty() || text.contains('\0') {
            return self.mismatch_found("the path of a file", &quoted(&text), None);
        }
        let path = self.cx.surroundings.directory.join(text);
        // Fails only where this process has no working directory.
        Some(std::path::absolute(&path).unwrap_or(path))
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(self, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let wanted = format!("one of {}", names.join(", "));
        let Data::Text(text) = &self.node.data else { return self.mismatch(wanted, None) };
        let text = self.expanded(text)?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(*choice);
        }
        let hint = nearest(&text, names.iter().copied()).map(|name| format!("did you mean `{name}`?"));
        self.mismatch_found(wanted, &quoted(&text), hint.as_deref())
    }

    /// A whole number. A range up to `u32::MAX` is told as "N or more".
    pub(super) fn whole(self, range: RangeInclusive<u64>) -> Option<u64> {
        let wanted = match *range.end() == u64::from(u32::MAX) {
            true => format!("a whole number, {} or more", range.start()),
            false => format!("a whole number from {} to {}", range.start(), range.end()),
        };
        let data = self.scalar()?;
        match &data {
            Data::Int(number) => match u64::try_from(*number) {
                Ok(number) if range.contains(&number) => Some(number),
                _ => self.mismatch_found(wanted, &data.describe(), None),
            },
            Data::Text(text) if text.parse::<u64>().is_ok() => {
                self.mismatch_found(wanted, "text", Some("write the number without quotes"))
            }
            _ => self.mismatch_found(wanted, &data.describe(), None),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(self) -> Option<bool> {
        match self.scalar()? {
            Data::Bool(flag) => Some(flag),
            data => self.mismatch_found("true or false", &data.describe(), None),
        }
    }

    /// A number that may have a fraction.
    pub(super) fn fraction(self, range: RangeInclusive<f64>) -> Option<f64> {
        let data = self.scalar()?;
        match data {
            Data::Float(number) if range.contains(&number) => Some(number),
            _ => {
                let wanted = format!("a number from {} to {}", range.start(), range.end());
                self.mismatch_found(wanted, &data.describe(), None)
            }
        }
    }

    /// Part of a hundred, with up to two digits after the point.
    pub(super) fn percent(self) -> Option<Share> {
        let data = self.scalar()?;
        let count = match data {
            Data::Int(number) => u16::try_from(number).ok().and_then(|number| number.checked_mul(100)),
            Data::Float(number) => hundredths(number),
            _ => None,
        };
        count.and_then(Share::of_ten_thousand).or_else(|| {
            let wanted = "a number from 0 to 100, with up to two digits after the point";
            self.mismatch_found(wanted, &data.describe(), None)
        })
    }

    /// `250ms`, `5s`, `2m` or `1h`.
    pub(super) fn duration(self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let (least, most) = (show_duration(*range.start()), show_duration(*range.end()));
        let wanted = format!("a duration from {least} to {most}");
        let data = self.scalar()?;
        match &data {
            Data::Text(text) => match parse_duration(text) {
                Some(duration) if range.contains(&duration) => Some(duration),
                Some(_) => self.mismatch_found(wanted, &quoted(text), None),
                None => self.mismatch_found(
                    wanted,
                    &quoted(text),
                    Some("write it as `250ms`, `5s`, `2m` or `1h`"),
                ),
            },
            Data::Int(number) => {
                let hint = format!("add the unit, as in `{number}s` or `{number}ms`");
                self.mismatch_found(wanted, &data.describe(), Some(&hint))
            }
            _ => {
                self.mismatch_found(wanted, &data.describe(), Some("write it as `250ms`, `5s`, `2m` or `1h`"))
            }
        }
    }

    /// `64KiB`, `10MiB`, `1GiB` or plain bytes.
    pub(super) fn size(self, range: RangeInclusive<u64>) -> Option<u64> {
        let data = self.scalar()?;
        let bytes = match &data {
            Data::Text(text) => parse_size(text),
            Data::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        let hint = bytes.is_none().then_some("write it as `512`, `64KiB`, `10MiB` or `1GiB`");
        bytes.filter(|bytes| range.contains(bytes)).or_else(|| {
            let wanted = format!("a size from {} to {}", show_size(*range.start()), show_size(*range.end()));
            self.mismatch_found(wanted, &data.describe(), hint)
        })
    }

    /// One of a few words or numbers, as they stand in the file. `choices` in the order to name them.
    pub(super) fn word_or_number<T: Copy>(self, choices: &[(&str, T)]) -> Option<T> {
        let data = self.scalar()?;
        let found = match &data {
            Data::Text(text) => text.clone(),
            Data::Int(number) => number.to_string(),
            _ => String::new(),
        };
        let names = choices.iter().map(|(name, _)| *name);
        choices.iter().find(|(name, _)| *name == found).map(|(_, choice)| *choice).or_else(|| {
            let hint = nearest(&found, names.clone()).map(|name| format!("did you mean `{name}`?"));
            let wanted = format!("one of {}", names.collect::<Vec<_>>().join(", "));
            self.mismatch_found(wanted, &data.describe(), hint.as_deref())
        })
    }

    /// The items of a list, each called `item` in problems.
    pub(super) fn items(self, item: &'a str) -> Option<impl Iterator<Item = Value<'a>>> {
        let Data::Seq(nodes) = &self.node.data else { return self.mismatch("a list", None) };
        Some(nodes.iter().map(move |node| Value { cx: self.cx, name: item, key_at: node.at, node }))
    }

    /// True for the plain word `off`.
    pub(super) fn is_off(self) -> bool {
        matches!(&self.node.data, Data::Text(text) if text == "off")
    }

    /// `on` or `off`.
    pub(super) fn switch(self) -> Option<bool> {
        self.one_of(&[("on", true), ("off", false)])
    }

    /// True for the plain word `on`.
    pub(super) fn is_on(self) -> bool {
        matches!(&self.node.data, Data::Text(text) if text == "on")
    }

    /// Reports that there is no map where one must be.
    pub(super) fn not_a_map<T>(self) -> Option<T> {
        self.mismatch("a map", None)
    }
}

/// The name most like `text`, if any is like it at all.
pub(super) fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Longer than any key: comparing it costs time and finds nothing.
    if text.len() > 64 {
        return None;
    }
    let scored = names.map(|name| (strsim::jaro_winkler(text, name), name));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 >= 0.75).then_some(best.1)
}

/// `None` for what has more digits, or is none of 0 to 655.
fn hundredths(number: f64) -> Option<u16> {
    let count = (number * 100.0).round();
    let fits = (0.0..=f64::from(u16::MAX)).contains(&count) && (number * 100.0 - count).abs() < 1e-6;
    #[expect(clippy::cast_possible_truncation, reason = "it is a whole number that fits")]
    fits.then_some(count as u16)
}

fn reread(text: String) -> Data {
    match text.as_str() {
        "true" => return Data::Bool(true),
        "false" => return Data::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse() {
        return Data::Int(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Data::Float(number),
        _ => Data::Text(text),
    }
}
