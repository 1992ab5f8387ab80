//! Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, and the end of the line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Ends, Flaw, Pair, Reading};

/// What it begins with.
pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// Bytes, the end of the line included.
const LONGEST: usize = 107;

/// Of bytes that begin with the signature.
pub(super) fn read(bytes: &[u8]) -> Result<Reading, Flaw> {
    let window = &bytes[..bytes.len().min(LONGEST)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if bytes.len() < LONGEST { Ok(Reading::Partial) } else { Err(Flaw::TooLong) };
    };
    let line = window[SIGNATURE.len()..end].strip_suffix(b"\r").ok_or(Flaw::Malformed)?;
    let ends = rest(line).ok_or(Flaw::Malformed)?;
    Ok(Reading::Whole { length: end + 1, ends })
}

/// What follows the signature. `Some(None)` for UNKNOWN, whatever comes after it.
fn rest(line: &[u8]) -> Option<Option<Ends>> {
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Some(None);
    }
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let ends = match words.next()? {
        "TCP4" => ends::<Ipv4Addr>(&mut words)?,
        "TCP6" => ends::<Ipv6Addr>(&mut words)?,
        _ => return None,
    };
    words.next().is_none().then_some(Some(ends))
}

fn ends<'a, A: FromStr + Into<IpAddr>>(words: &mut impl Iterator<Item = &'a str>) -> Option<Ends> {
    let mut address = || words.next()?.parse::<A>().ok().map(Into::into);
    let (client, server) = (address()?, address()?);
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    Some(Ends { client: SocketAddr::new(client, from), server: SocketAddr::new(server, to) })
}

/// Decimal, with neither sign nor leading zeros: `parse` alone takes both.
fn port(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| is_plain)
}

pub(super) fn write(pair: Option<&Pair>) -> Vec<u8> {
    let line = match pair {
        None => "PROXY UNKNOWN\r\n".to_owned(),
        Some(Pair::V4(client, server)) => {
            line("TCP4", client.ip(), server.ip(), client.port(), server.port())
        }
        Some(Pair::V6(client, server)) => {
            line("TCP6", client.ip(), server.ip(), client.port(), server.port())
        }
    };
    line.into_bytes()
}

fn line(family: &str, client: &impl ToString, server: &impl ToString, from: u16, to: u16) -> String {
    format!("PROXY {family} {} {} {from} {to}\r\n", client.to_string(), server.to_string())
}
