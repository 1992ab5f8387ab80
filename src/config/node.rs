//! A YAML document as a tree that still knows where each of its nodes came from.

/// A node's number in document order, keys counted too; [`super::yaml::positions`] makes a place of it.
pub(super) type Ordinal = u32;

/// One key or value of the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Ordinal,
    pub(super) data: Data,
}

/// What a node holds, after YAML's own reading of plain scalars and before any `${NAME}` is looked at.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Seq(Vec<Node>),
    /// In file order; duplicates and merge keys are still in it.
    Map(Vec<(Node, Node)>),
}

impl Data {
    /// What it is, for "found ..." in a problem.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Int(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Text(value) => super::excerpt::quoted(value),
            Self::Seq(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }
}
