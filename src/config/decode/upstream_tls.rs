//! `upstreams.*.tls` and `upstreams.*.protocol`, and what is wrong with the files they name.

use super::fields::Fields;
use super::tls;
use super::value::Value;
use crate::config::excerpt::quoted;
use crate::config::model::{ClientCertificate, Endpoint, Host, Protocol, UpstreamTls};
use crate::config::node::Data;
use crate::config::problem::Severity;
use crate::pki::{self, Credential, Part};

/// `protocol`.
pub(super) fn protocol(value: Value<'_>) -> Option<Protocol> {
    value.one_of(&Protocol::ALL.map(|protocol| (protocol.name(), protocol)))
}

/// `Some(None)` for `off`. `on` and `{}` are all defaults.
pub(super) fn read(value: Value<'_>) -> Option<Option<UpstreamTls>> {
    if value.is_off() {
        return Some(None);
    }
    if is_on(value) {
        return Some(Some(UpstreamTls::default()));
    }
    let mut fields = Fields::open(value)?;
    let default = UpstreamTls::default();
    let tls = UpstreamTls {
        server_name: fields.get("server_name", server_name),
        ca: fields.get("ca", tls::authorities),
        client_certificate: fields.get("client_certificate", client_certificate),
        min_version: fields.get("min_version", tls::min_version).unwrap_or(default.min_version),
        verify: fields.get("verify", verify).unwrap_or(default.verify),
    };
    fields.close();
    Some(Some(tls))
}

/// Points at what is allowed and does not do what one may think.
pub(super) fn warn(value: Value<'_>, tls: &UpstreamTls, endpoints: &[Endpoint]) {
    if !tls.verify {
        return;
    }
    let is_address = |endpoint: &&Endpoint| matches!(endpoint.address.host, Host::Ip(_));
    if tls.server_name.is_none()
        && let Some(endpoint) = endpoints.iter().find(is_address)
    {
        let message = format!("the certificate of `{}` has to be for that address", endpoint.address);
        value.warn(message, "where it is for a name, add `server_name: orders.internal`");
    }
}

/// Without TLS there is nobody to ask what is spoken.
pub(super) fn warn_of_auto(value: Value<'_>) {
    value.warn(
        "without `tls`, `protocol: auto` is HTTP/1.1",
        "write `http1`, or `h2` where the endpoints speak it without TLS",
    );
}

fn is_on(value: Value<'_>) -> bool {
    matches!(&value.node.data, Data::Text(text) if text == "on")
        || matches!(&value.node.data, Data::Map(entries) if entries.is_empty())
}

/// A DNS name or an address, as it stands in certificates.
fn server_name(value: Value<'_>) -> Option<String> {
    let text = value.text()?;
    let name = text.strip_suffix('.').unwrap_or(&text).to_ascii_lowercase();
    if name.parse::<std::net::IpAddr>().is_ok() || is_dns_name(&name) {
        return Some(name);
    }
    let hint = "write a name such as `orders.internal`, without scheme, port or wildcard";
    value.refuse_hint(format!("{} is no host name", quoted(&text)), hint)
}

fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let good = label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        good && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn client_certificate(value: Value<'_>) -> Option<ClientCertificate> {
    let mut fields = Fields::open(value)?;
    let (mut cert_at, mut key_at) = (value, value);
    let cert = fields
        .require("cert", "add `cert: /etc/tillgate/client.pem`", |value| tls::path(value, &mut cert_at));
    let key =
        fields.require("key", "add `key: /etc/tillgate/client.key`", |value| tls::path(value, &mut key_at));
    fields.close();
    let pair = ClientCertificate { cert: cert?, key: key? };
    if !value.cx.reads_files() {
        return Some(pair);
    }
    let place = |part| match part {
        Part::Certificate => cert_at,
        Part::Key => key_at,
        Part::Staple | Part::Authorities => value,
    };
    match Credential::read_client(&pair, pki::now()) {
        Ok(credential) => {
            let odd = credential.oddities.iter();
            odd.for_each(|fault| tls::tell(place(fault.part), Severity::Warning, fault));
            Some(pair)
        }
        Err(fault) => tls::refuse(place(fault.part), &fault),
    }
}

fn verify(value: Value<'_>) -> Option<bool> {
    let verify = value.flag()?;
    if !verify {
        value.warn(
            "with `verify: false`, whoever answers at the endpoint's address is believed, and reads every request",
            "give its authority as `ca`, and leave `verify` out",
        );
    }
    Some(verify)
}
