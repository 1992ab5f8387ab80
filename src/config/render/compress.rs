//! `compress` and `routes[].compress` as text.

use super::{Doc, map, text, whole};
use crate::config::model::{Compress, Levels};

/// `off` where there is none.
pub(super) fn doc(compress: Option<&Compress>) -> Doc {
    let Some(compress) = compress else { return text("off") };
    let Compress { algorithms, levels, min_size, types, with_cookies, max_in_flight } = compress;
    let Levels { zstd, brotli, gzip } = *levels;
    let levels =
        map([("zstd", whole(zstd.into())), ("br", whole(brotli.into())), ("gzip", whole(gzip.into()))]);
    map([
        ("algorithms", Doc::List(algorithms.iter().map(|coding| text(coding.name())).collect())),
        ("level", levels),
        ("min_size", text(&super::show_size(*min_size))),
        ("types", Doc::List(types.iter().map(text).collect())),
        ("with_cookies", Doc::Flag(*with_cookies)),
        ("max_in_flight", Doc::Whole((*max_in_flight).into())),
    ])
}
