//! Who a client is by its certificate, in the words that an endpoint is told: one element of X-Forwarded-Client-Cert, as
//! Envoy writes it.

use std::fmt::Write;

use http::HeaderValue;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::distinguished;

/// Bytes of the element; endpoints bound their heads too.
const LONGEST: usize = 4096;

/// A client's certificate, after the handshake has verified it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// As in `CN=till-7,O=Shop`.
    pub subject: String,
    /// Seconds since 1970 after which it is not valid any more.
    pub not_after: i64,
    /// `Hash=...;Subject="...";URI=...;DNS=...`.
    pub element: HeaderValue,
}

impl ClientCertificate {
    /// Reads the certificate. `None` if that cannot be done, and then nobody should be told that it was verified.
    pub fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = distinguished::text(certificate.subject());
        let not_after = certificate.validity().not_after.timestamp();
        let element = element(der, &subject, &alternatives(&certificate));
        Some(Self { subject, not_after, element })
    }
}

/// Of a certificate that says more than fits, only the hash: it names the certificate as well, and half a name would name
/// another.
fn element(der: &[u8], subject: &str, alternatives: &str) -> HeaderValue {
    let mut hash = "Hash=".to_owned();
    for byte in Sha256::digest(der) {
        let _ = write!(hash, "{byte:02x}");
    }
    let whole = format!("{hash};Subject={}{alternatives}", quoted(subject));
    let text = if whole.len() <= LONGEST { whole } else { hash };
    HeaderValue::try_from(text).expect("printable ASCII")
}

/// `;URI=...` and `;DNS=...` for each such name of the certificate.
fn alternatives(certificate: &X509Certificate<'_>) -> String {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::URI(uri) if is_plain(uri) => Some(format!(";URI={}", value(uri))),
            GeneralName::DNSName(name) if is_plain(name) => Some(format!(";DNS={}", value(name))),
            _ => None,
        })
        .collect()
}

/// A name with anything else in it is no name, and is left out.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// In quotes where it holds what separates values.
fn value(text: &str) -> String {
    if text.contains([',', ';', '=', '"']) { quoted(text) } else { text.to_owned() }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
