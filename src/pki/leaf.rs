//! What the first certificate of a chain says of itself.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::distinguished;

/// A host that a certificate is for, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// `shop.example`.
    Exact(String),
    /// `*.shop.example` as `shop.example`: exactly one label before it (RFC 6125 section 6.4.3).
    Wildcard(String),
}

impl Name {
    fn of(text: &str) -> Self {
        let text = text.trim_end_matches('.').to_ascii_lowercase();
        match text.strip_prefix("*.") {
            Some(domain) => Self::Wildcard(domain.to_owned()),
            None => Self::Exact(text),
        }
    }

    /// As it stands in the certificate.
    pub fn text(&self) -> String {
        match self {
            Self::Exact(name) => name.clone(),
            Self::Wildcard(domain) => format!("*.{domain}"),
        }
    }
}

/// Of a certificate that is shown from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// As in `CN=shop.example,O=Shop`.
    pub subject: String,
    /// The DNS names among its subject alternative names, as they stand there.
    pub names: Vec<Name>,
    /// Seconds since 1970 from which on it is valid.
    pub not_before: i64,
    /// Seconds since 1970 after which it is not valid any more.
    pub not_after: i64,
    /// Its number at who issued it, as the certificate has it.
    pub(super) serial: Vec<u8>,
}

impl Leaf {
    /// Reads a certificate. `None` if it is none, or one that contradicts itself.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self {
            subject: distinguished::text(certificate.subject()),
            names: dns_names(&certificate)?,
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            serial: certificate.raw_serial().to_vec(),
        })
    }

    /// What to call it: its first name, or its subject where it has none.
    pub fn title(&self) -> String {
        self.names.first().map_or_else(|| self.subject.clone(), Name::text)
    }
}

fn dns_names(certificate: &X509Certificate<'_>) -> Option<Vec<Name>> {
    let extension = certificate.subject_alternative_name().ok()?;
    let names = extension.iter().flat_map(|names| &names.value.general_names);
    let dns = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(Name::of(name)),
        _ => None,
    });
    Some(dns.collect())
}
