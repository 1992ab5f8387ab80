//! `routes[].hedge` as text.

use super::{Doc, map, text, whole};
use crate::config::model::Hedge;

/// `off` where there is none.
pub(super) fn doc(hedge: Option<&Hedge>) -> Doc {
    let Some(Hedge { after, max_percent }) = hedge else { return text("off") };
    map([("after", text(after)), ("max_percent", whole((*max_percent).into()))])
}
