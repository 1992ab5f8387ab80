//! `routes[].cors`.

use super::{Doc, duration, map, text};
use crate::config::model::{Cors, Listed, OriginPattern};

pub(super) fn doc(cors: &Cors) -> Doc {
    map([
        ("allow_origins", list(&cors.allow_origins, origin)),
        ("allow_methods", list(&cors.allow_methods, text)),
        ("allow_headers", list(&cors.allow_headers, text)),
        ("expose_headers", list(&cors.expose_headers, text)),
        ("allow_credentials", Doc::Flag(cors.allow_credentials)),
        ("max_age", duration(cors.max_age)),
    ])
}

fn list<T>(listed: &Listed<T>, doc: impl Fn(&T) -> Doc) -> Doc {
    match listed {
        Listed::All => text("*"),
        Listed::These(entries) => Doc::List(entries.iter().map(doc).collect()),
    }
}

fn origin(pattern: &OriginPattern) -> Doc {
    match pattern {
        OriginPattern::Exact(origin) => text(origin),
        OriginPattern::Wildcard { scheme, domain } => text(&format!("{scheme}*{domain}")),
    }
}
