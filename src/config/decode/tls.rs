//! `listeners.*.tls`, and what is wrong with the files it names.

use super::fields::Fields;
use super::value::Value;
use crate::config::model::{Alpn, Certificate, ClientAuth, ClientAuthMode, ListenerTls, TlsVersion};
use crate::config::problem::Severity;
use crate::pki::{self, Authorities, Credential, Fault, Part};

/// Certificates of one listener.
const MOST: usize = 1000;

const EXAMPLE: &str = "add `certificates: [ { cert: shop.pem, key: shop.key } ]`";

/// `Some(None)` for `off`.
pub(super) fn read(value: Value<'_>) -> Option<Option<ListenerTls>> {
    if value.is_off() {
        return Some(None);
    }
    let mut fields = Fields::open(value)?;
    let certificates = fields.require("certificates", EXAMPLE, certificates);
    let min_version = fields.get("min_version", min_version).unwrap_or(TlsVersion::V1_2);
    let client_auth = fields.take("client_auth").map_or(Some(None), client_auth);
    let alpn = fields.get("alpn", alpn).unwrap_or_else(|| Alpn::ALL.to_vec());
    let session_tickets = fields.get("session_tickets", Value::flag).unwrap_or(true);
    fields.close();
    Some(Some(ListenerTls {
        certificates: certificates?,
        min_version,
        client_auth: client_auth?,
        alpn,
        session_tickets,
    }))
}

fn certificates(value: Value<'_>) -> Option<Vec<Certificate>> {
    let items: Vec<_> = value.items("certificate")?.collect();
    if items.is_empty() {
        return value.refuse_hint("there is no certificate", EXAMPLE);
    }
    if items.len() > MOST {
        return value.refuse(format!("there are more than {MOST} certificates"));
    }
    let (mut found, wanted) = (Vec::with_capacity(items.len()), items.len());
    for item in items {
        match certificate(item) {
            Some(twice) if found.contains(&twice) => {
                item.refuse::<()>(format!("{} stands there already", twice.cert.display()));
            }
            new => found.extend(new),
        }
    }
    (found.len() == wanted).then_some(found)
}

fn certificate(value: Value<'_>) -> Option<Certificate> {
    let mut fields = Fields::open(value)?;
    let (mut cert_at, mut key_at, mut ocsp_at) = (value, value, value);
    let cert = fields.require("cert", "add `cert: shop.pem`", |value| path(value, &mut cert_at));
    let key = fields.require("key", "add `key: shop.key`", |value| path(value, &mut key_at));
    let ocsp = fields.take("ocsp").map_or(Some(None), |value| path(value, &mut ocsp_at).map(Some));
    fields.close();
    let certificate = Certificate { cert: cert?, key: key?, ocsp: ocsp? };
    if !value.cx.reads_files() {
        return Some(certificate);
    }
    let place = |part| match part {
        Part::Certificate => cert_at,
        Part::Key => key_at,
        Part::Staple => ocsp_at,
        Part::Authorities => value,
    };
    match Credential::read(&certificate, pki::now()) {
        Ok(credential) => {
            credential.oddities.iter().for_each(|fault| tell(place(fault.part), Severity::Warning, fault));
            Some(certificate)
        }
        Err(fault) => refuse(place(fault.part), &fault),
    }
}

/// Notes where the path stands.
pub(super) fn path<'a>(value: Value<'a>, at: &mut Value<'a>) -> Option<std::path::PathBuf> {
    *at = value;
    value.file_path()
}

pub(super) fn tell(at: Value<'_>, severity: Severity, fault: &Fault) {
    at.cx.report(at.node.at, severity, fault.to_string(), fault.hint.clone());
}

pub(super) fn refuse<T>(at: Value<'_>, fault: &Fault) -> Option<T> {
    tell(at, Severity::Error, fault);
    None
}

pub(super) fn min_version(value: Value<'_>) -> Option<TlsVersion> {
    let hint = "write `min_version: \"1.2\"` or `min_version: \"1.3\"`";
    let found = value.version_text()?;
    let known = TlsVersion::ALL.into_iter().find(|version| version.name() == found);
    known.or_else(|| match found.as_str() {
        // A number loses the zero.
        "1.0" | "1" => value.refuse_hint("TLS 1.0 is broken, and not spoken here", hint),
        "1.1" => value.refuse_hint("TLS 1.1 is broken, and not spoken here", hint),
        _ => value.refuse_hint("`min_version` must be one of 1.2, 1.3", hint),
    })
}

fn client_auth(value: Value<'_>) -> Option<Option<ClientAuth>> {
    if value.is_off() {
        return Some(None);
    }
    let mut fields = Fields::open(value)?;
    let ca =
        fields.require("ca", "add `ca: clients.pem`, of who issues the clients' certificates", authorities);
    let modes = ClientAuthMode::ALL.map(|mode| (mode.name(), mode));
    let mode = fields.get("mode", |value| value.one_of(&modes)).unwrap_or(ClientAuthMode::Require);
    fields.close();
    Some(Some(ClientAuth { ca: ca?, mode }))
}

/// The path of a file that holds some.
pub(super) fn authorities(value: Value<'_>) -> Option<std::path::PathBuf> {
    let path = value.file_path()?;
    let read = value.cx.reads_files().then(|| Authorities::read(&path));
    match read {
        Some(Err(fault)) => refuse(value, &fault),
        Some(Ok(_)) | None => Some(path),
    }
}

fn alpn(value: Value<'_>) -> Option<Vec<Alpn>> {
    let items: Vec<_> = value.items("protocol")?.collect();
    if items.is_empty() {
        return value.refuse_hint("`alpn` names no protocol", "write `alpn: [h2, http/1.1]`");
    }
    let choices = Alpn::ALL.map(|protocol| (protocol.name(), protocol));
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        let protocol = item.one_of(&choices)?;
        if found.contains(&protocol) {
            return item.refuse(format!("`{}` stands there already", protocol.name()));
        }
        found.push(protocol);
    }
    Some(found)
}
