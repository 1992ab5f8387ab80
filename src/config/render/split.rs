//! `routes[].split` and `routes[].split_cookie`.

use super::{Doc, cookie, map, text};
use crate::config::model::{Branch, Split};

pub(super) fn doc(split: &Split) -> Doc {
    let branch = |branch: &Branch| {
        let Branch { upstream, weight } = branch;
        map([("upstream", text(upstream)), ("weight", Doc::Whole((*weight).into()))])
    };
    Doc::List(split.branches.iter().map(branch).collect())
}

pub(super) fn cookie_doc(split: &Split) -> Option<Doc> {
    split.cookie.as_ref().map(|own| cookie::doc(own, "name"))
}
