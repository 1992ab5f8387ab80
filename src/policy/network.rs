//! What of a client's address is the client's own, and which addresses are one host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of an IPv6 address that name the network. A subscriber is given at least a /64 (RFC 6177) and has every address
/// in it, so to count by address would be not to count.
const NETWORK: u128 = !0 << 64;

/// By what a client is counted: an IPv4 address, or the /64 of an IPv6 address.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
    }
}

/// A host's address as it is compared with others: several ways to write it are one. Where a connection to this very host
/// would lead (`::1`, and `0.0.0.0` and `::`, by which Linux means it), it is `127.0.0.1`.
pub fn canonical_host(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    let is_local = address.is_unspecified() || address == IpAddr::V6(Ipv6Addr::LOCALHOST);
    if is_local { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_is_its_network_and_an_ipv4_client_itself() {
        let network = |text: &str| client_network(text.parse().expect("an address")).to_string();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }

    #[test]
    fn however_a_host_is_written_it_is_one() {
        let host = |text: &str| canonical_host(text.parse().expect("an address")).to_string();
        for local in ["127.0.0.1", "::ffff:127.0.0.1", "::1", "::", "0.0.0.0"] {
            assert_eq!(host(local), "127.0.0.1", "{local}");
        }
        assert_eq!(host("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(host("127.0.0.2"), "127.0.0.2");
        assert_eq!(host("2001:db8::1"), "2001:db8::1");
    }
}
