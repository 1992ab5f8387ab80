//! Prefix routes as a tree of path segments: `/api` takes `/api/x` and not `/apix` because no segment is `apix`.

use std::collections::HashMap;

use super::candidate::first_taker;
use super::{Candidate, Head};

/// The tree. A lookup walks down as far as the path has nodes, then back up to the longest prefix that takes it;
/// nodes stand in one vector and know their parent, so neither way recurses.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    /// The root's children; the root itself, prefix `/`, is not kept here.
    roots: HashMap<Box<str>, usize>,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    parent: Option<usize>,
    children: HashMap<Box<str>, usize>,
    candidates: Vec<Candidate>,
}

impl Prefixes {
    /// Adds a prefix that begins with `/` and does not end with it.
    pub(super) fn insert(&mut self, prefix: &str, candidate: Candidate) {
        let mut at = None;
        for segment in segments(prefix) {
            at = Some(self.child(at, segment).unwrap_or_else(|| self.add_child(at, segment)));
        }
        if let Some(node) = at {
            self.nodes[node].candidates.push(candidate);
        }
    }

    pub(super) fn seal(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.candidates.sort_by_key(Candidate::rank));
    }

    /// The route of the longest prefix of the path that takes the request.
    pub(super) fn find(&self, head: &Head<'_>) -> Option<usize> {
        let mut at = self.deepest(head.path);
        while let Some(node) = at.map(|index| &self.nodes[index]) {
            if let Some(index) = first_taker(&node.candidates, head) {
                return Some(index);
            }
            at = node.parent;
        }
        None
    }

    fn deepest(&self, path: &str) -> Option<usize> {
        let mut at = None;
        for segment in segments(path) {
            match self.child(at, segment) {
                None => break,
                deeper => at = deeper,
            }
        }
        at
    }

    fn child(&self, parent: Option<usize>, segment: &str) -> Option<usize> {
        let children = parent.map_or(&self.roots, |parent| &self.nodes[parent].children);
        if children.is_empty() { None } else { children.get(segment).copied() }
    }

    fn add_child(&mut self, parent: Option<usize>, segment: &str) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node { parent, children: HashMap::new(), candidates: Vec::new() });
        let children = match parent {
            None => &mut self.roots,
            Some(parent) => &mut self.nodes[parent].children,
        };
        children.insert(segment.into(), index);
        index
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1)
}
