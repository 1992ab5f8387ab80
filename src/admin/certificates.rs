//! The TLS of a listener, for people.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::net::tls::Termination;
use crate::pki::{self, Credential, Name};

/// Its certificates in the order of the config, with what is odd about them.
pub(super) fn describe(tls: &Termination) -> Value {
    let certificates: Vec<Value> = tls.credentials.iter().map(|credential| certificate(credential)).collect();
    json!({ "client_auth": tls.client_auth().map(|mode| mode.name()), "certificates": certificates })
}

fn certificate(credential: &Credential) -> Value {
    let leaf = &credential.leaf;
    let oddities: Vec<String> = credential.oddities.iter().map(ToString::to_string).collect();
    json!({
        "subject": leaf.subject,
        "names": leaf.names.iter().map(Name::text).collect::<Vec<_>>(),
        "key": credential.kind.name(),
        "not_before": time(leaf.not_before),
        "not_after": time(leaf.not_after),
        "expired": leaf.not_after < pki::now(),
        "stapled": credential.certified.ocsp.is_some(),
        "cert": credential.files.cert.display().to_string(),
        "warnings": oddities,
    })
}

/// As in `2026-11-22T10:00:00Z`; `null` for what no calendar has.
fn time(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}
