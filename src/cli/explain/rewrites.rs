//! What the endpoint gets in place of what the client sent.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header};

use super::answers::shown;
use super::asked::Asked;
use super::report::Report;
use crate::config::{Config, Route};
use crate::policy::forward::{ForwardContext, TrustedProxies, prepare_request};
use crate::policy::header_edits;
use crate::policy::rewrite::Rewrite;
use crate::proxy::answer::Refusal;
use crate::proxy::received::Received;

/// Stands for the bits that each request has of its own.
const REQUEST_ID: &str = "(128 random bits)";

/// The path, where it is matched or forwarded otherwise than it was written.
pub(super) fn path(asked: &Asked, received: &Received<'_>, report: &mut Report) {
    let (sent, matched) = (asked.parts.uri.path(), received.head().path);
    let target = received.outgoing(None).ok().and_then(|outgoing| outgoing.target);
    if sent != matched {
        report.line("path", format!("{sent} is matched as {matched}"));
    }
    if let Some(target) = target {
        report.line(if sent == matched { "path" } else { "" }, format!("and forwarded as {target}"));
    }
}

/// What the route's own rewrite makes of path and Host.
///
/// # Errors
/// The path cannot be sent.
pub(super) fn route(route: &Route, received: &Received<'_>, report: &mut Report) -> Result<(), Refusal> {
    let Some(rewrite) = &route.rewrite else { return Ok(()) };
    let rewrite = Rewrite::new(rewrite, &route.matches.path);
    let target = received.outgoing(Some(&rewrite))?.target;
    let path = target.filter(|_| rewrite.path.is_some()).map(|target| format!("sent as {target}"));
    let host = rewrite.host.map(|host| format!("with Host {}", String::from_utf8_lossy(host.as_bytes())));
    let words: Vec<String> = path.into_iter().chain(host).collect();
    report.line("rewrite", if words.is_empty() { "the path stays".to_owned() } else { words.join(", ") });
    Ok(())
}

/// The headers that are set, added to or removed.
pub(super) fn headers(
    config: &Config,
    route: &Route,
    asked: &Asked,
    received: &Received<'_>,
    from: IpAddr,
    report: &mut Report,
) {
    let before = &asked.parts.headers;
    let mut after = before.clone();
    let host = received.outgoing(None).ok().and_then(|outgoing| outgoing.host);
    prepare_request(
        &mut after,
        &ForwardContext {
            client: from,
            peer_trusted: TrustedProxies::new(&config.trusted_proxies).contains(from),
            scheme: asked.scheme().name(),
            client_certificate: None,
            host: host.as_ref(),
            request_id: &HeaderValue::from_static(REQUEST_ID),
        },
    );
    if let Some(host) = route.rewrite.as_ref().and_then(|rewrite| rewrite.host.clone()) {
        after.insert(header::HOST, host);
    }
    header_edits::apply(&route.request_headers, &mut after);
    let mut label = "headers";
    for (name, value) in
        after.iter().filter(|(name, _)| values(before, name.as_str()) != values(&after, name.as_str()))
    {
        report.line(label, format!("set {name}: {}", shown(value)));
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
