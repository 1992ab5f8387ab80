//! `routes[].mirror`.

use super::{Doc, map, share, text};
use crate::config::model::Mirror;
use crate::config::show_size;

pub(super) fn doc(mirror: &Mirror) -> Doc {
    let Mirror { upstream, percent, max_body, max_in_flight } = mirror;
    map([
        ("upstream", text(upstream)),
        ("percent", share(*percent)),
        ("max_body", text(&show_size(*max_body))),
        ("max_in_flight", Doc::Whole((*max_in_flight).into())),
    ])
}
