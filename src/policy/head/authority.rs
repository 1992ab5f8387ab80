//! Host and port, from Host or from the target (RFC 9110 section 4.2, RFC 3986 section 3.2.2).
//!
//! Stricter than the RFC: of its many legal characters only those that stand in real host names are let through,
//! since every other one is read differently by somebody.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// What RFC 1035 allows a name, in bytes without the trailing dot.
const LONGEST_NAME: usize = 253;

#[derive(Debug)]
pub(super) struct Authority<'a> {
    /// As it was written.
    pub(super) text: &'a str,
    /// Lower case, without trailing dot; an IPv6 address keeps its brackets.
    pub(super) host: Cow<'a, str>,
    pub(super) port: Option<u16>,
}

impl<'a> Authority<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = split(text)?;
        let port = match port {
            Some(port) => Some(parse_port(port)?),
            None => None,
        };
        Some(Self { text, host: lower_case(host), port })
    }

    /// Whether both name the same host and port, if the port may be left out where it is the scheme's.
    pub(super) fn agrees_with(&self, other: &Self, scheme: Option<&str>) -> bool {
        let default = if scheme == Some("https") { 443 } else { 80 };
        self.host == other.host && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

fn split(text: &str) -> Option<(&str, Option<&str>)> {
    match text.strip_prefix('[') {
        Some(rest) => split_literal(text, rest.split_once(']')?.0),
        None => split_name(text),
    }
}

fn split_literal<'a>(text: &'a str, address: &str) -> Option<(&'a str, Option<&'a str>)> {
    address.parse::<Ipv6Addr>().ok()?;
    let (host, rest) = text.split_at(address.len() + 2);
    if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) }
}

fn split_name(text: &str) -> Option<(&str, Option<&str>)> {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let name = name.strip_suffix('.').unwrap_or(name);
    is_name(name).then_some((name, port))
}

/// Labels of letters, digits, `-` and `_`, none of them empty. An IPv4 address is one too.
fn is_name(name: &str) -> bool {
    let mut previous = b'.';
    let labels_are_good = name.bytes().all(|byte| {
        let is_good = match byte {
            b'.' => previous != b'.',
            _ => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
        };
        previous = byte;
        is_good
    });
    labels_are_good && previous != b'.' && name.len() <= LONGEST_NAME
}

/// Digits only: `u16::from_str` alone would take `+80`.
fn parse_port(port: &str) -> Option<u16> {
    let is_number = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { port.parse().ok() } else { None }
}

fn lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}
