//! `routes[].rate_limit`.

use super::{Doc, map, text, whole};
use crate::config::model::{RateKey, RateLimit};

/// `None` where there is none: only the absent one may be written.
pub(super) fn doc(limits: &[RateLimit]) -> Option<Doc> {
    match limits {
        [] => None,
        [only] => Some(one(only)),
        several => Some(Doc::List(several.iter().map(one).collect())),
    }
}

fn one(limit: &RateLimit) -> Doc {
    let RateLimit { key, rate, burst, max_keys } = limit;
    let key = match key {
        RateKey::ClientIp => text("client_ip"),
        RateKey::Header(name) => map([("header", text(name))]),
        RateKey::Cookie(name) => map([("cookie", text(name))]),
    };
    map([
        ("key", key),
        ("rate", text(rate)),
        ("burst", Doc::Whole(burst.get().into())),
        ("max_keys", whole(*max_keys as usize)),
    ])
}
