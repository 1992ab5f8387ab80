//! Puts what a YAML parser says about a broken file into words for somebody who edits a config twice a year.

use super::excerpt;
use super::problem::Problems;
use super::yaml::{Position, SyntaxError};

/// The one problem of a text that is not YAML, shown where the mistake begins if that is known.
pub(super) fn explain(path: &str, text: &str, mut error: SyntaxError) -> Problems {
    if error.message.contains("more than one document") {
        return second_document(path, text);
    }
    let lines = excerpt::lines(text);
    error.position = error.position.map(|at| within(at, &lines));
    let line = error.position.and_then(|at| lines.get(at.line - 1)).copied().unwrap_or_default();
    let hint = hint(&error, line);
    let (position, message) = plain_words(error);
    Problems::at(path, text, position, message, hint)
}

/// The parser may place the end of a file that lacks its last line break one line too low.
fn within(at: Position, lines: &[&str]) -> Position {
    match lines.last() {
        Some(last) if at.line > lines.len() => {
            Position { line: lines.len(), column: last.chars().count() + 1 }
        }
        _ => at,
    }
}

/// An unclosed quote or bracket is shown where it opens: the parser noticed at the end of the file only.
fn plain_words(error: SyntaxError) -> (Option<Position>, String) {
    let SyntaxError { position, is_ours, message, context } = error;
    match context {
        Some((context, opened)) if context.contains("quoted scalar") && is_end(&message) => {
            (opened.or(position), "this quote is never closed".to_owned())
        }
        Some((context, opened)) if context.contains("flow") && opened.is_some() => {
            let end = position.map_or(String::new(), |at| format!(" (noticed in line {})", at.line));
            (opened, format!("this bracket is not closed properly: {message}{end}"))
        }
        Some((context, _)) => (position, format!("this is not valid YAML: {message} while {context}")),
        None if is_ours => (position, message),
        None => (position, in_our_words(&message)),
    }
}

fn in_our_words(message: &str) -> String {
    match message {
        "recursion limit exceeded" => "this is nested too deeply, 128 levels are allowed".to_owned(),
        "repetition limit exceeded" => "the aliases in this file expand to too many values".to_owned(),
        "unknown anchor" => "this alias names no anchor".to_owned(),
        other => format!("this is not valid YAML: {other}"),
    }
}

fn hint(error: &SyntaxError, line: &str) -> Option<String> {
    let message = error.message.as_str();
    let context = error.context.as_ref().map_or("", |(context, _)| context.as_str());
    let hint = if indented_by_tab(line) {
        "indent with spaces; YAML does not allow tabs there"
    } else if message == "unknown anchor" || context.contains("an alias") {
        "a value that begins with `*`, as in `host: \"*.shop.example\"`, stands in quotes"
    } else if context.contains("quoted scalar") && is_end(message) {
        "add the closing quote at the end of the value"
    } else if context.contains("flow") {
        flow_hint(line)
    } else if message.contains("mapping values are not allowed") {
        "a value that contains `: ` stands in quotes, and a key begins a line of its own"
    } else if context.contains("block mapping") || message.contains("expected ':'") {
        "keys of one map begin in the same column, as `key: value`; was the file saved half-written?"
    } else if message.contains("cannot start any token") {
        "a value that begins with `@`, `%` or a backquote stands in quotes"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

fn flow_hint(line: &str) -> &'static str {
    if line.contains("${") {
        "inside `{ }` and `[ ]` an environment reference stands in quotes: \"${NAME}\""
    } else {
        "every `{` needs a `}` and every `[` a `]`, with commas in between; `[::1]:8080` stands in quotes"
    }
}

fn indented_by_tab(line: &str) -> bool {
    line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t')
}

fn is_end(message: &str) -> bool {
    message.contains("end of stream") || message.contains("document indicator")
}

fn second_document(path: &str, text: &str) -> Problems {
    let Some(line) = second_start(text) else {
        let message = "this is not valid YAML: there is something behind the end of the config".to_owned();
        return Problems::whole_file(
            path,
            message,
            Some("a config is one map from its first line on".to_owned()),
        );
    };
    let message = "a config is one YAML document, here a second one begins".to_owned();
    let hint = "remove the line `---` and what belongs to another file".to_owned();
    Problems::at(path, text, Some(Position { line, column: 1 }), message, Some(hint))
}

/// The line of the first `---` that has content before it.
fn second_start(text: &str) -> Option<usize> {
    let is_start = |line: &str| line == "---" || line.starts_with("--- ");
    let is_content = |line: &str| !line.trim().is_empty() && !line.starts_with(['#', '%']) && line != "---";
    let lines = excerpt::lines(text);
    let first = lines.iter().position(|line| is_content(line))?;
    let next = lines.iter().skip(first + 1).position(|line| is_start(line))?;
    Some(first + 1 + next + 1)
}
