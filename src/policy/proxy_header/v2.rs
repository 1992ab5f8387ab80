//! Version 2: binary, with a length, and after the addresses any number of typed values.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crc::{CRC_32_ISCSI, Crc};

use super::{Ends, Flaw, LONGEST, Pair, Reading};

/// What it begins with.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, version and command, family and transport, and the length of what follows.
const HEAD: usize = SIGNATURE.len() + 4;

const VERSION: u8 = 0x20;
const LOCAL: u8 = VERSION;
const PROXY: u8 = VERSION | 1;

const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// The highest address family, UNIX, and the highest transport, datagrams.
const HIGHEST: (u8, u8) = (3, 2);

/// The type of the value that is a checksum.
const TYPE_CRC32C: u8 = 0x03;

/// CRC-32C by its name in the catalogue.
static CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Of bytes that begin with the signature.
pub(super) fn read(bytes: &[u8]) -> Result<Reading, Flaw> {
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else {
        return Ok(Reading::Partial);
    };
    let [command, family] = [head[SIGNATURE.len()], head[SIGNATURE.len() + 1]];
    let announced = usize::from(u16::from_be_bytes([head[HEAD - 2], head[HEAD - 1]]));
    if !matches!(command, LOCAL | PROXY) || family >> 4 > HIGHEST.0 || family & 15 > HIGHEST.1 {
        return Err(Flaw::Malformed);
    }
    let length = HEAD + announced;
    if length > LONGEST {
        return Err(Flaw::TooLong);
    }
    let Some(block) = rest.get(..announced) else { return Ok(Reading::Partial) };
    // Of the other families, and of LOCAL, only the length is to be looked at.
    let ends = match (command, family) {
        (PROXY, TCP4) => Some(with_values(&bytes[..length], block, ends_v4)?),
        (PROXY, TCP6) => Some(with_values(&bytes[..length], block, ends_v6)?),
        _ => None,
    };
    Ok(Reading::Whole { length, ends })
}

/// The addresses, once what follows them is looked through.
fn with_values<const N: usize>(
    header: &[u8],
    block: &[u8],
    ends: impl Fn(&[u8; N]) -> Ends,
) -> Result<Ends, Flaw> {
    let (addresses, values) = block.split_first_chunk::<N>().ok_or(Flaw::Malformed)?;
    check_values(header, values)?;
    Ok(ends(addresses))
}

fn ends_v4(block: &[u8; 12]) -> Ends {
    let [a, b, c, d, e, f, g, h, ..] = *block;
    let address = |ip: [u8; 4], port| SocketAddr::new(Ipv4Addr::from(ip).into(), port);
    Ends { client: address([a, b, c, d], port(block, 8)), server: address([e, f, g, h], port(block, 10)) }
}

fn ends_v6(block: &[u8; 36]) -> Ends {
    let address = |from: usize, port| {
        let ip: [u8; 16] = std::array::from_fn(|index| block[from + index]);
        SocketAddr::new(Ipv6Addr::from(ip).into(), port)
    };
    Ends { client: address(0, port(block, 32)), server: address(16, port(block, 34)) }
}

fn port(block: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([block[at], block[at + 1]])
}

/// Goes through the typed values: each has a type, a length of two bytes, and as many bytes.
fn check_values(header: &[u8], values: &[u8]) -> Result<(), Flaw> {
    let mut left = values;
    while let [kind, high, low, rest @ ..] = left {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, after) = rest.split_at_checked(length).ok_or(Flaw::Malformed)?;
        if *kind == TYPE_CRC32C {
            check_sum(header, value, header.len() - after.len() - length)?;
        }
        left = after;
    }
    if left.is_empty() { Ok(()) } else { Err(Flaw::Malformed) }
}

/// The checksum is of the header with the checksum's own four bytes as zeros.
fn check_sum(header: &[u8], value: &[u8], at: usize) -> Result<(), Flaw> {
    let sum = <[u8; 4]>::try_from(value).map_err(|_| Flaw::Malformed)?;
    let mut digest = CRC32C.digest();
    digest.update(&header[..at]);
    digest.update(&[0; 4]);
    digest.update(&header[at + 4..]);
    if digest.finalize() == u32::from_be_bytes(sum) { Ok(()) } else { Err(Flaw::WrongChecksum) }
}

pub(super) fn write(pair: Option<&Pair>) -> Vec<u8> {
    let (command, family, block) = match pair {
        None => (LOCAL, 0, vec![]),
        Some(Pair::V4(client, server)) => {
            (PROXY, TCP4, block(&client.ip().octets(), &server.ip().octets(), client.port(), server.port()))
        }
        Some(Pair::V6(client, server)) => {
            (PROXY, TCP6, block(&client.ip().octets(), &server.ip().octets(), client.port(), server.port()))
        }
    };
    let length = u16::try_from(block.len()).expect("36 bytes at most");
    [SIGNATURE, &[command, family], &length.to_be_bytes(), &block].concat()
}

fn block(client: &[u8], server: &[u8], from: u16, to: u16) -> Vec<u8> {
    [client, server, &from.to_be_bytes(), &to.to_be_bytes()].concat()
}
