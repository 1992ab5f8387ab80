//! YAML text to [`Node`]s and back. Nowhere else is `serde_yaml` named, so replacing it touches this file only.
//!
//! serde_yaml tells positions only with errors. So a good file is read once and no position is kept, and for
//! a bad one [`positions`] reads it again and fails on purpose at the nodes that are asked about.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

use super::node::{Data, Node, Ordinal};

/// Nodes in one document after aliases are followed. A route has about ten, so no real file comes near.
const MAX_NODES: Ordinal = 2_000_000;

/// Bytes of all scalars together after aliases are followed; without aliases a file cannot reach it.
const MAX_TEXT_BYTES: usize = 64 * 1024 * 1024;

/// Where something stands: line and column in characters, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Why the text is not one YAML document.
#[derive(Debug)]
pub(super) struct SyntaxError {
    /// `None` when serde_yaml does not say where.
    pub(super) position: Option<Position>,
    /// Whether the message is ours, for a limit of ours, and not the parser's.
    pub(super) is_ours: bool,
    /// Without the position.
    pub(super) message: String,
    /// What it was in the middle of, and where that began.
    pub(super) context: Option<(String, Option<Position>)>,
}

/// The tree of the only document in `text`; [`Data::Null`] if there is none.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let pass = Pass::default();
    Builder(&pass).deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| pass.explain(&error))
}

/// Where the `wanted` nodes of a text stand that [`parse`] took.
///
/// One more pass finds all scalars and keys, and each map or list takes one of its own, because a
/// failure there cannot be resumed. The caller bounds how many it asks for.
pub(super) fn positions(text: &str, wanted: &BTreeSet<Ordinal>) -> BTreeMap<Ordinal, Position> {
    let mut pass = Pass { wanted: wanted.clone(), ..Pass::default() };
    loop {
        let left = pass.wanted.len();
        if let Err(error) = Builder(&pass).deserialize(serde_yaml::Deserializer::from_str(text)) {
            pass.resume(&error);
        }
        let found = pass.found.into_inner();
        let wanted: BTreeSet<_> = pass.wanted.into_iter().filter(|at| !found.contains_key(at)).collect();
        if wanted.is_empty() || wanted.len() == left {
            return found;
        }
        pass = Pass { wanted, found: RefCell::new(found), ..Pass::default() };
    }
}

/// Any value as YAML text.
pub(super) fn to_text(value: &impl serde::Serialize) -> String {
    serde_yaml::to_string(value).expect("a tree of strings, numbers, lists and maps is always printable")
}

/// What one reading of the text shares between its nodes.
#[derive(Default)]
struct Pass {
    next: Cell<Ordinal>,
    text_bytes: Cell<usize>,
    /// Our own reason for stopping, if it was not the parser's.
    fault: Cell<Option<&'static str>>,
    wanted: BTreeSet<Ordinal>,
    /// The wanted node that just failed.
    failed: Cell<Option<Ordinal>>,
    /// The failed node is a map or a list, whose end was not read: the pass is over.
    torn: Cell<bool>,
    found: RefCell<BTreeMap<Ordinal, Position>>,
}

impl Pass {
    /// The number of the node that begins here, or an error to stop at it.
    fn enter<E: Error>(&self, is_scalar: bool) -> Result<Ordinal, E> {
        let at = self.next.get();
        if at >= MAX_NODES {
            return Err(self.stop("the aliases in this file expand to more than 2,000,000 values"));
        }
        self.next.set(at + 1);
        if self.wanted.contains(&at) {
            self.failed.set(Some(at));
            self.torn.set(!is_scalar);
            return Err(E::custom("wanted"));
        }
        Ok(at)
    }

    fn scalar<E: Error>(&self, data: Data) -> Result<Node, E> {
        self.enter(true).map(|at| Node { at, data })
    }

    fn text<E: Error>(&self, text: String) -> Result<Node, E> {
        let bytes = self.text_bytes.get().saturating_add(text.len());
        self.text_bytes.set(bytes);
        if bytes > MAX_TEXT_BYTES {
            return Err(self.stop("the aliases in this file expand to more than 64 MiB of text"));
        }
        self.scalar(Data::Text(text))
    }

    fn stop<E: Error>(&self, fault: &'static str) -> E {
        self.fault.set(Some(fault));
        E::custom(fault)
    }

    /// Notes where a wanted node stands. True if reading can go on behind it.
    fn resume(&self, error: &impl fmt::Display) -> bool {
        let Some(at) = self.failed.get() else { return false };
        self.found.borrow_mut().entry(at).or_insert_with(|| first_position(&error.to_string()));
        !self.torn.get()
    }

    /// A child as read, or a stand-in for one that failed only to tell its position.
    fn child<E: Error>(&self, read: Result<Node, E>) -> Result<Node, E> {
        read.or_else(|error| {
            let at = self.failed.get().filter(|_| self.resume(&error)).ok_or(error)?;
            self.failed.set(None);
            Ok(Node { at, data: Data::Null })
        })
    }

    fn explain(&self, error: &serde_yaml::Error) -> SyntaxError {
        let position = error.location().map(|found| Position { line: found.line(), column: found.column() });
        match self.fault.get() {
            Some(fault) => SyntaxError { position, is_ours: true, message: fault.to_owned(), context: None },
            None => from_words(position, &error.to_string()),
        }
    }
}

/// Builds nodes and numbers them.
#[derive(Clone, Copy)]
struct Builder<'p>(&'p Pass);

impl<'de> DeserializeSeed<'de> for Builder<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Builder<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.0.scalar(Data::Null)
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.0.scalar(Data::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.0.scalar(Data::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        self.0.scalar(Data::Int(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        self.0.scalar(Data::Int(value.into()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Node, E> {
        self.0.scalar(Data::Int(value))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Node, E> {
        // No setting takes such a number; the largest one that fits is out of range just the same.
        self.0.scalar(Data::Int(i128::try_from(value).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        self.0.scalar(Data::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        self.0.text(value.to_owned())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let at = self.0.enter(false)?;
        let mut nodes = Vec::new();
        while let Some(item) = next_child(self.0, items.next_element_seed(self))? {
            nodes.push(item);
        }
        Ok(Node { at, data: Data::Seq(nodes) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let at = self.0.enter(false)?;
        let mut nodes = Vec::new();
        while let Some(key) = next_child(self.0, entries.next_key_seed(self))? {
            nodes.push((key, self.0.child(entries.next_value_seed(self))?));
        }
        Ok(Node { at, data: Data::Map(nodes) })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _tagged: A) -> Result<Node, A::Error> {
        Err(self.0.stop("tags such as `!name` have no meaning here"))
    }
}

/// [`Pass::child`] for an access that may be at its end.
fn next_child<E: Error>(pass: &Pass, read: Result<Option<Node>, E>) -> Result<Option<Node>, E> {
    match read {
        Ok(None) => Ok(None),
        Ok(Some(node)) => Ok(Some(node)),
        Err(error) => pass.child(Err(error)).map(Some),
    }
}

/// Takes apart `PROBLEM at line 3 column 5, CONTEXT at line 2 column 1`.
fn from_words(position: Option<Position>, words: &str) -> SyntaxError {
    let (problem, context) = match words.split_once(", while ") {
        Some((problem, context)) => (problem, Some(context)),
        None => (words, None),
    };
    SyntaxError {
        position,
        is_ours: false,
        message: without_position(problem).to_owned(),
        context: context.map(|text| (without_position(text).to_owned(), position_in(text))),
    }
}

fn without_position(words: &str) -> &str {
    let end = words.rfind(" at line ").or_else(|| words.rfind(" at position "));
    end.map_or(words, |end| &words[..end])
}

/// The position an error speaks of. A generic serde error has no other way to tell it than its words, and
/// serde_yaml leaves out the very first position of a file.
fn first_position(words: &str) -> Position {
    position_in(words).unwrap_or(Position { line: 1, column: 1 })
}

fn position_in(words: &str) -> Option<Position> {
    let (_, numbers) = words.rsplit_once(" at line ")?;
    let (line, column) = numbers.split_once(" column ")?;
    Some(Position { line: line.parse().ok()?, column: column.parse().ok()? })
}
