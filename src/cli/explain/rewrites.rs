//! What the endpoint gets in place of what the client sent.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::asked::Asked;
use super::report::Report;
use crate::config::Config;
use crate::policy::forward::{ForwardContext, TrustedProxies, prepare_request};
use crate::proxy::received::Received;

/// Stands for the bits that each request has of its own.
const REQUEST_ID: &str = "(128 random bits)";

/// The path, where it is matched or forwarded otherwise than it was written.
pub(super) fn path(asked: &Asked, received: &Received<'_>, report: &mut Report) {
    let (sent, matched) = (asked.parts.uri.path(), received.head().path);
    let target = received.outgoing().target;
    if sent != matched {
        report.line("path", format!("{sent} is matched as {matched}"));
    }
    if let Some(target) = target {
        report.line(if sent == matched { "path" } else { "" }, format!("and forwarded as {target}"));
    }
}

/// The headers that are set, added to or removed.
pub(super) fn headers(
    config: &Config,
    asked: &Asked,
    received: &Received<'_>,
    from: IpAddr,
    report: &mut Report,
) {
    let before = &asked.parts.headers;
    let mut after = before.clone();
    let host = received.outgoing().host;
    prepare_request(
        &mut after,
        &ForwardContext {
            client: from,
            peer_trusted: TrustedProxies::new(&config.trusted_proxies).contains(from),
            scheme: asked.scheme(config),
            client_certificate: None,
            host: host.as_ref(),
            request_id: &HeaderValue::from_static(REQUEST_ID),
        },
    );
    let mut label = "headers";
    for (name, value) in
        after.iter().filter(|(name, _)| values(before, name.as_str()) != values(&after, name.as_str()))
    {
        report.line(label, format!("set {name}: {}", String::from_utf8_lossy(value.as_bytes())));
        label = "";
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        report.line(label, format!("remove {name}"));
        label = "";
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a HeaderValue> {
    headers.get_all(name).iter().collect()
}
