//! `routes[].rewrite`, and the paths of `routes[].redirect`.

use super::{Doc, bytes, map, optional_map, text};
use crate::config::model::{PathChange, Rewrite};

pub(super) fn doc(rewrite: &Rewrite) -> Doc {
    let Rewrite { path, host } = rewrite;
    let (key, path) = path_doc(path.as_ref());
    optional_map([(key, path), ("host", host.as_ref().map(|host| bytes(host.as_bytes())))])
}

/// The key that it stands under, and what stands there.
pub(super) fn path_doc(change: Option<&PathChange>) -> (&'static str, Option<Doc>) {
    match change {
        None => ("path", None),
        Some(PathChange::Whole(path)) => ("path", Some(text(path))),
        Some(PathChange::Prefix(base)) => ("path_prefix", Some(text(base))),
        Some(PathChange::Pattern { pattern, replacement }) => {
            ("path_regex", Some(map([("pattern", text(pattern)), ("replacement", text(replacement))])))
        }
    }
}
