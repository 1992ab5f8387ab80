//! `proxy_protocol`, of a listener and of an upstream.

use super::value::Value;
use crate::config::model::{AcceptProxy, SendProxy};

/// Unused connections that are looked through for one of a client.
const MOST_IDLE: usize = 1024;

/// Of a listener. `trusts` says whether any peer is in `trusted_proxies`.
pub(super) fn accept(value: Value<'_>, trusts: bool) -> Option<AcceptProxy> {
    const HINT: &str = "add `trusted_proxies: [10.0.0.0/8]` with the addresses of the proxy in front";
    let accept = value.one_of(&AcceptProxy::WORDS)?;
    match accept {
        AcceptProxy::Require if !trusts => value.refuse_hint(
            "`proxy_protocol: require` closes every connection, since `trusted_proxies` names nobody",
            HINT,
        ),
        AcceptProxy::Optional if !trusts => {
            value.warn("no PROXY header is read, since `trusted_proxies` names nobody", HINT);
            Some(accept)
        }
        AcceptProxy::Off | AcceptProxy::Optional | AcceptProxy::Require => Some(accept),
    }
}

/// Of an upstream that keeps so many unused connections.
pub(super) fn send(value: Value<'_>, max_idle: usize) -> Option<SendProxy> {
    let send = value.one_of(&SendProxy::WORDS)?;
    if send != SendProxy::Off && max_idle > MOST_IDLE {
        let message = format!("`max_idle` may be {MOST_IDLE} at most where each connection is one client's");
        return value
            .refuse_hint(message, "write a lower `max_idle`: one that is left over is seldom of use");
    }
    Some(send)
}
