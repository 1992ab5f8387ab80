//! `routes[].redirect`.

use super::rewrite::path_doc;
use super::{Doc, optional_map, text, whole};
use crate::config::model::Redirect;

pub(super) fn doc(redirect: &Redirect) -> Doc {
    let Redirect { scheme, host, port, path, status } = redirect;
    let (key, path) = path_doc(path.as_ref());
    optional_map([
        ("scheme", scheme.map(|scheme| text(scheme.name()))),
        ("host", host.as_ref().map(text)),
        ("port", port.map(|port| whole(port.get().into()))),
        (key, path),
        ("status", Some(whole(status.as_u16().into()))),
    ])
}
