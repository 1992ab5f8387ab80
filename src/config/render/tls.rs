//! `listeners.*.tls`.

use super::{Doc, map, optional_map, text};
use crate::config::model::{Certificate, ClientAuth, ListenerTls};

pub(super) fn doc(tls: Option<&ListenerTls>) -> Doc {
    let Some(ListenerTls { certificates, min_version, client_auth, alpn, session_tickets }) = tls else {
        return text("off");
    };
    map([
        ("certificates", Doc::List(certificates.iter().map(certificate_doc).collect())),
        ("min_version", text(min_version.name())),
        ("client_auth", client_auth.as_ref().map_or_else(|| text("off"), client_auth_doc)),
        ("alpn", Doc::List(alpn.iter().map(|protocol| text(protocol.name())).collect())),
        ("session_tickets", Doc::Flag(*session_tickets)),
    ])
}

fn certificate_doc(certificate: &Certificate) -> Doc {
    let Certificate { cert, key, ocsp } = certificate;
    optional_map([
        ("cert", Some(text(&cert.display()))),
        ("key", Some(text(&key.display()))),
        ("ocsp", ocsp.as_ref().map(|path| text(&path.display()))),
    ])
}

fn client_auth_doc(auth: &ClientAuth) -> Doc {
    map([("ca", text(&auth.ca.display())), ("mode", text(auth.mode.name()))])
}
