//! `upstreams.*.sticky` and `routes[].split_cookie`.

use super::{Doc, duration, optional_map, text};
use crate::config::model::{Cookie, Secret};

/// `key`: what its name is called. A file that is made of this has to be given the secrets again.
pub(super) fn doc(cookie: &Cookie, key: &str) -> Doc {
    let Cookie { name, ttl, path, secure, same_site, http_only, secrets } = cookie;
    let hidden = || text(Secret::SHOWN);
    optional_map([
        (key, Some(text(name))),
        ("ttl", Some(duration(*ttl))),
        ("path", Some(text(path))),
        ("secure", Some(secure.map_or_else(|| text("auto"), Doc::Flag))),
        ("same_site", Some(text(same_site.name()))),
        ("http_only", Some(Doc::Flag(*http_only))),
        ("secret", (secrets.len() == 1).then(hidden)),
        ("secrets", (secrets.len() > 1).then(|| Doc::List(secrets.iter().map(|_| hidden()).collect()))),
    ])
}
