//! The keys of one map: known ones are taken, and [`Fields::close`] refuses the rest: nothing is silently ignored.

use std::collections::HashSet;

use super::value::{Value, nearest};
use crate::config::excerpt::quoted;
use crate::config::node::{Data, Node};
use crate::config::problem::Severity;

/// A map being read. Must be [closed](Self::close).
#[must_use]
pub(super) struct Fields<'a> {
    owner: Value<'a>,
    entries: Vec<Value<'a>>,
    /// Every key that was asked for, to suggest one for a mistyped key.
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// `None`, and a problem, if it is not a map.
    pub(super) fn open(owner: Value<'a>) -> Option<Self> {
        Some(Self { owner, entries: entries(owner)?, known: Vec::new() })
    }

    /// The value of `key`, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let index = self.entries.iter().position(|entry| entry.name == key)?;
        Some(self.entries.swap_remove(index))
    }

    /// True if `key` is there and not taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == key)
    }

    /// `key` as `read` reads it; `None` if it is absent or wrong.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Option<T> {
        self.take(key).and_then(read)
    }

    /// [`Self::get`], and a problem if it is absent.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        hint: &str,
        read: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Option<T> {
        if let Some(value) = self.take(key) {
            return read(value);
        }
        let message = format!("`{key}` is missing in `{}`", self.owner.name);
        self.owner.cx.report(self.owner.key_at, Severity::Error, message, Some(hint.to_owned()));
        None
    }

    /// Keys of the schema that later work brings.
    pub(super) fn not_yet(&mut self, keys: &[&'static str]) {
        for key in keys {
            if let Some(value) = self.take(key) {
                refuse_key(value, format!("`{key}` is not supported yet"), None);
            }
        }
    }

    /// Refuses every key that nobody asked for.
    pub(super) fn close(self) {
        for entry in &self.entries {
            let known = self.known.iter().copied();
            let hint = match nearest(entry.name, known.clone()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("the keys here are {}", known.collect::<Vec<_>>().join(", ")),
            };
            refuse_key(*entry, format!("unknown key {}", quoted(entry.name)), Some(hint));
        }
    }
}

/// The entries of a map in file order, with merge keys followed and duplicates refused.
pub(super) fn entries(owner: Value<'_>) -> Option<Vec<Value<'_>>> {
    let Data::Map(nodes) = &owner.node.data else { return owner.not_a_map() };
    let mut entries = Vec::new();
    let mut seen = HashSet::new();
    for (key, node) in nodes.iter().filter(|(key, _)| !is_merge(key)) {
        let Some(entry) = entry(owner, key, node) else { continue };
        if seen.insert(entry.name) {
            entries.push(entry);
        } else {
            refuse_key(entry, format!("{} is given twice", quoted(entry.name)), None);
        }
    }
    for (_, bases) in nodes.iter().filter(|(key, _)| is_merge(key)) {
        merge(owner, bases, &mut entries, &mut seen);
    }
    // A map of nothing but refused keys is not also called empty.
    (!entries.is_empty() || nodes.is_empty()).then_some(entries)
}

fn entry<'a>(owner: Value<'a>, key: &'a Node, node: &'a Node) -> Option<Value<'a>> {
    if let Data::Text(name) = &key.data {
        return Some(Value { cx: owner.cx, name, key_at: key.at, node });
    }
    let message = format!("a key in `{}` must be text, found {}", owner.name, key.data.describe());
    owner.cx.report(key.at, Severity::Error, message, Some("put the key in quotes".to_owned()));
    None
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.data, Data::Text(text) if text == "<<")
}

/// Adds what `<<: *base` or `<<: [*base, *other]` brings and the map does not say itself.
fn merge<'a>(owner: Value<'a>, bases: &'a Node, entries: &mut Vec<Value<'a>>, seen: &mut HashSet<&'a str>) {
    let list = match &bases.data {
        Data::Seq(list) => list.as_slice(),
        _ => std::slice::from_ref(bases),
    };
    for base in list {
        let base = Value { cx: owner.cx, name: "<<", key_at: base.at, node: base };
        // Nesting is bounded by the parser, so this recursion is too.
        for entry in self::entries(base).unwrap_or_default() {
            if seen.insert(entry.name) {
                entries.push(entry);
            }
        }
    }
}

fn refuse_key(entry: Value<'_>, message: String, hint: Option<String>) {
    entry.cx.report(entry.key_at, Severity::Error, message, hint);
}
