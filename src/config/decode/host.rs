//! Host names and literal addresses, as endpoints and `match.host` write them.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU16;

/// What is wrong with a piece of text: message and hint.
pub(super) type Refusal = (String, String);

/// A DNS name in lower case. Underscores are taken: container names have them.
pub(super) fn dns_name(text: &str) -> Result<String, Refusal> {
    let labels_fit = text.split('.').all(is_label);
    let last = text.rsplit('.').next().unwrap_or_default();
    if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refusal(text, "is not an IP address", "an IPv4 address is four numbers from 0 to 255"));
    }
    if !text.is_ascii() {
        return Err(refusal(text, "is not a host name", "write an international name in its `xn--` form"));
    }
    if !labels_fit || text.len() > 253 {
        return Err(refusal(text, "is not a host name", name_hint(text)));
    }
    Ok(text.to_ascii_lowercase())
}

/// A name in lower case, or an address as it stands in a URL.
pub(super) fn named(text: &str) -> Result<String, Refusal> {
    match literal(text) {
        Some(Ok(IpAddr::V6(v6))) => Ok(format!("[{v6}]")),
        Some(ip) => Ok(ip?.to_string()),
        None => dns_name(text),
    }
}

/// [`named`], and the port behind it if there is one.
pub(super) fn with_port(text: &str) -> Result<(String, Option<NonZeroU16>), Refusal> {
    match text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => match port.parse() {
            Ok(port) => Ok((named(host)?, Some(port))),
            Err(_) => Err(refusal(text, "has no valid port", "a port is a number from 1 to 65535")),
        },
        _ => Ok((named(text)?, None)),
    }
}

/// `[v6]` without its brackets.
pub(super) fn bracketed(text: &str) -> Option<Result<Ipv6Addr, Refusal>> {
    let inside = text.strip_prefix('[')?;
    let parsed = inside.strip_suffix(']').and_then(|inside| inside.parse().ok());
    Some(parsed.ok_or_else(|| refusal(text, "is not an IPv6 address", "write it as `[::1]`")))
}

/// An IPv4 address, `[v6]` or neither.
pub(super) fn literal(text: &str) -> Option<Result<IpAddr, Refusal>> {
    if let Some(v6) = bracketed(text) {
        return Some(v6.map(IpAddr::V6));
    }
    text.parse().ok().map(|v4| Ok(IpAddr::V4(v4)))
}

pub(super) fn refusal(text: &str, what: &str, hint: impl Into<String>) -> Refusal {
    (format!("{} {what}", crate::config::excerpt::quoted(text)), hint.into())
}

fn is_label(label: &str) -> bool {
    let is_fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=63).contains(&label.len())
        && label.bytes().all(is_fit)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn name_hint(text: &str) -> &'static str {
    if text.contains('/') {
        "leave out the scheme and the path"
    } else if text.ends_with('.') {
        "leave out the dot at the end"
    } else {
        "a name has labels of letters, digits and `-` between dots"
    }
}
