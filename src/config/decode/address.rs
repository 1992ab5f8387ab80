//! Addresses: what is connected to ([`HostPort`]) and what is bound ([`SocketAddr`]).

use std::net::{Ipv6Addr, SocketAddr};

use super::host::{self, Refusal, refusal};
use super::value::Value;
use crate::config::model::{Host, HostPort};

/// `127.0.0.1:7001`, `[::1]:7001` or `orders.internal:7001`.
pub(super) fn host_port(value: Value<'_>) -> Option<HostPort> {
    let text = value.text()?;
    refuse(value, parse_host_port(&text))
}

/// `0.0.0.0:8080` or `[::]:8080`; port 0 takes a free one.
pub(super) fn socket_addr(value: Value<'_>) -> Option<SocketAddr> {
    let text = value.text()?;
    refuse(value, parse_socket_addr(&text))
}

/// Reports a refusal at `value`.
pub(super) fn refuse<T>(value: Value<'_>, parsed: Result<T, Refusal>) -> Option<T> {
    match parsed {
        Ok(parsed) => Some(parsed),
        Err((message, hint)) => value.refuse_hint(message, hint),
    }
}

fn parse_host_port(text: &str) -> Result<HostPort, Refusal> {
    let (host, port) = split(text)?;
    if port == 0 {
        return Err(refusal(text, "has port 0", "an endpoint has a port from 1 to 65535"));
    }
    let host = match host::literal(host) {
        Some(ip) => Host::Ip(ip?),
        None => Host::Name(host::dns_name(host)?),
    };
    Ok(HostPort { host, port })
}

fn parse_socket_addr(text: &str) -> Result<SocketAddr, Refusal> {
    let (host, port) = split(text)?;
    match host::literal(host) {
        Some(ip) => Ok(SocketAddr::new(ip?, port)),
        None if host == "*" => Err(refusal(text, "has no IP address", format!("write `0.0.0.0:{port}`"))),
        None => {
            let hint = "only an IP address can be bound, such as `127.0.0.1:8080` or `0.0.0.0:8080`";
            Err(refusal(text, "has no IP address", hint))
        }
    }
}

/// Host and port. The hints are for what other programs take.
fn split(text: &str) -> Result<(&str, u16), Refusal> {
    if let Some((_, rest)) = text.split_once("://") {
        let hint = format!("write `{}`", rest.split('/').next().unwrap_or_default());
        return Err(refusal(text, "is a URL, not an address", hint));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        let hint = format!("an IPv6 address stands in brackets, with a port: `[{text}]:8080`");
        return Err(refusal(text, "has no port", hint));
    }
    let no_port = || refusal(text, "has no port", format!("write `{text}:8080`"));
    let (host, port) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).ok_or_else(no_port)?;
    if host.is_empty() {
        return Err(refusal(text, "has no host", format!("write `0.0.0.0:{port}` or `127.0.0.1:{port}`")));
    }
    if host.contains(':') && !host.starts_with('[') {
        let hint = format!("an IPv6 address stands in brackets: `[{host}]:{port}`");
        return Err(refusal(text, "is not an address", hint));
    }
    Ok((host, parse_port(text, port)?))
}

fn parse_port(text: &str, port: &str) -> Result<u16, Refusal> {
    let digits = Some(port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| refusal(text, "has no valid port", "a port is a number up to 65535"))
}
