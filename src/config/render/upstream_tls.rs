//! `upstreams.*.tls`.

use super::{Doc, map, optional_map, text};
use crate::config::model::{ClientCertificate, UpstreamTls};

pub(super) fn doc(tls: Option<&UpstreamTls>) -> Doc {
    let Some(UpstreamTls { server_name, ca, client_certificate, min_version, verify }) = tls else {
        return text("off");
    };
    let pair = |ClientCertificate { cert, key }: &ClientCertificate| {
        map([("cert", text(&cert.display())), ("key", text(&key.display()))])
    };
    optional_map([
        ("server_name", server_name.as_ref().map(text)),
        ("ca", ca.as_ref().map(|path| text(&path.display()))),
        ("client_certificate", client_certificate.as_ref().map(pair)),
        ("min_version", Some(text(min_version.name()))),
        ("verify", Some(Doc::Flag(*verify))),
    ])
}
