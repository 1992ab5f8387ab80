//! `routes[].request_headers` and `routes[].response_headers`.

use http::{HeaderName, HeaderValue};

use super::{Doc, bytes, filled, text};
use crate::config::model::{HeaderEdits, Secret};

type Lines = [(HeaderName, HeaderValue)];

/// `None` where there is nothing to do.
pub(super) fn doc(edits: &HeaderEdits) -> Option<Doc> {
    let HeaderEdits { remove, set, add } = edits;
    let entries = [
        filled("remove", Doc::List(remove.iter().map(text).collect())),
        filled("set", Doc::Map(set.iter().map(|(name, value)| (name.to_string(), shown(value))).collect())),
        filled("add", Doc::Map(added(add))),
    ];
    (!edits.is_empty()).then(|| Doc::Map(entries.into_iter().flatten().collect()))
}

/// A name with its value, or with all of them.
fn added(lines: &Lines) -> Vec<(String, Doc)> {
    let groups = lines.chunk_by(|(one, _), (next, _)| one == next);
    let entry = |group: &Lines| {
        let mut values: Vec<Doc> = group.iter().map(|(_, value)| shown(value)).collect();
        let only = if values.len() == 1 { values.pop() } else { None };
        (group[0].0.to_string(), only.unwrap_or(Doc::List(values)))
    };
    groups.map(entry).collect()
}

/// A file that is made of this has to be given the secrets again.
fn shown(value: &HeaderValue) -> Doc {
    if value.is_sensitive() { text(Secret::SHOWN) } else { bytes(value.as_bytes()) }
}
