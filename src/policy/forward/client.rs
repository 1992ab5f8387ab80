//! Which client a request comes from, when proxies that are trusted stand in between.
//!
//! Read from the right: the rightmost entry was written by the peer, the one before it by whoever the peer spoke to.
//! The walk ends at the first address that is not a trusted proxy's, so whatever a client writes itself is never reached.

use std::net::{IpAddr, SocketAddr};

use http::header::{self, HeaderMap};
use ipnet::IpNet;

use super::origin::{X_FORWARDED_FOR, X_FORWARDED_PROTO};
use crate::config::Scheme;

/// Proxies that a request is followed back through at most.
const MOST_HOPS: usize = 32;

/// `trusted_proxies`: the peers whose forwarding headers are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Box<[IpNet]>,
}

impl TrustedProxies {
    /// Those with an address in one of these networks.
    pub fn new(networks: &[IpNet]) -> Self {
        Self { networks: networks.into() }
    }

    /// Whether the address is one of theirs; `::ffff:10.0.0.1` is `10.0.0.1`.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// The address of the client: the peer, or, while that is trusted, whom it names in X-Forwarded-For, or in Forwarded
/// when there is no X-Forwarded-For. An entry that is no address ends the walk at the proxy that wrote it.
pub fn client_address(peer: IpAddr, trusted: &TrustedProxies, headers: &HeaderMap) -> IpAddr {
    if trusted.contains(peer) { client_behind(peer, trusted, headers) } else { peer.to_canonical() }
}

/// The same, of a peer that is trusted.
pub fn client_behind(peer: IpAddr, trusted: &TrustedProxies, headers: &HeaderMap) -> IpAddr {
    let peer = peer.to_canonical();
    if headers.contains_key(&X_FORWARDED_FOR) {
        walk_back(peer, trusted, entries(headers, &X_FORWARDED_FOR).map(parse_address))
    } else {
        walk_back(peer, trusted, entries(headers, &header::FORWARDED).map(forwarded_for))
    }
}

/// How the client speaks to the shop: as it speaks to this server, or, where the peer is trusted, as that says in
/// X-Forwarded-Proto. Several words, or another, say nothing.
pub fn client_scheme(here: Scheme, peer_trusted: bool, headers: &HeaderMap) -> Scheme {
    if !peer_trusted {
        return here;
    }
    let mut lines = headers.get_all(&X_FORWARDED_PROTO).iter();
    let said = lines.next().and_then(|word| Scheme::of(word.as_bytes()));
    said.filter(|_| lines.next().is_none()).unwrap_or(here)
}

fn walk_back(peer: IpAddr, trusted: &TrustedProxies, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
    let mut nearest = peer;
    for hop in hops.take(MOST_HOPS).map_while(|hop| hop) {
        nearest = hop;
        if !trusted.contains(hop) {
            break;
        }
    }
    nearest
}

/// The list entries of all lines of this name, last first. Quotes are not honoured: an entry torn apart by a comma in a
/// quoted string is no address, whereas a quote that a client leaves open could swallow the entry of a proxy.
fn entries<'a>(
    headers: &'a HeaderMap,
    name: &header::HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines = headers.get_all(name).into_iter().rev();
    lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse().or_else(|_| with_port()).ok().map(|address: IpAddr| address.to_canonical())
}

/// The address in the `for` parameter of one element of Forwarded (RFC 7239 section 6).
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut pairs = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let node = pairs
        .find_map(|pair| pair.get(..4).filter(|key| key.eq_ignore_ascii_case(b"for=")).map(|_| &pair[4..]))?;
    let unquoted = node.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(node);
    parse_address(unquoted)
}
