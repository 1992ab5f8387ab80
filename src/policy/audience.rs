//! Who may be told which endpoint was picked, and why: an operator's own requests, and nobody else's.
//!
//! A client that could ask would learn how many endpoints there are, where, and how busy. So the peer's own address
//! counts, and no header that says where a request came from.

use std::hint::black_box;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::config::ExplainHeader;

/// What a request says to be told. It never goes on to an endpoint.
pub static X_TILLGATE_TOKEN: HeaderName = HeaderName::from_static("x-tillgate-token");

/// Those whom `explain_header` names.
#[derive(Debug)]
pub struct Audience {
    config: ExplainHeader,
}

impl Audience {
    /// Those whom the config names.
    pub fn new(config: ExplainHeader) -> Self {
        Self { config }
    }

    /// Whether a request with these headers is one of theirs. `None`: it is not known from which address it is.
    pub fn includes(&self, address: Option<IpAddr>, headers: &HeaderMap) -> bool {
        let ExplainHeader { token, addresses } = &self.config;
        let knows = token.as_ref().is_some_and(|token| has_token(headers, token.reveal().as_bytes()));
        let is_theirs = address.is_some_and(|address| is_in(addresses, address.to_canonical()));
        knows || (is_theirs && !is_forwarded(headers))
    }
}

/// A proxy in front, as one for TLS on the same machine, would lend its address to everybody.
fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// A repeated header is nobody's own: something between has added to it.
fn has_token(headers: &HeaderMap, token: &[u8]) -> bool {
    let mut lines = headers.get_all(&X_TILLGATE_TOKEN).iter();
    match (lines.next(), lines.next()) {
        (Some(sent), None) => is_equal(sent.as_bytes(), token),
        (_, _) => false,
    }
}

/// Takes as long for a near miss as for a wide one, so that a token cannot be found byte by byte. Its length is no
/// secret.
fn is_equal(sent: &[u8], token: &[u8]) -> bool {
    let differing = |bits: u8, (sent, wanted): (&u8, &u8)| black_box(bits | (sent ^ wanted));
    sent.len() == token.len() && sent.iter().zip(token).fold(0, differing) == 0
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;
    use crate::config::Secret;

    const TOKEN: &str = "0123456789abcdef";

    fn audience(token: Option<&str>, addresses: &[&str]) -> Audience {
        Audience::new(ExplainHeader {
            token: token.map(|token| Secret::new(token.to_owned())),
            addresses: addresses.iter().map(|network| network.parse().expect("a network")).collect(),
        })
    }

    fn headers(tokens: &[&'static str]) -> HeaderMap {
        let lines = tokens.iter().map(|token| (X_TILLGATE_TOKEN.clone(), HeaderValue::from_static(token)));
        let mut headers = HeaderMap::new();
        headers.extend(lines);
        headers
    }

    #[test]
    fn a_request_with_the_token_is_told_from_anywhere() {
        let audience = audience(Some(TOKEN), &[]);
        let peer = Some("203.0.113.9".parse().expect("an address"));
        assert!(audience.includes(peer, &headers(&[TOKEN])));
        for wrong in [
            &[][..],
            &[""],
            &["0123456789abcdeF"],
            &["0123456789abcde"],
            &["0123456789abcdef0"],
            &[TOKEN, TOKEN],
        ] {
            assert!(!audience.includes(peer, &headers(wrong)), "{wrong:?}");
        }
    }

    #[test]
    fn a_peer_in_a_network_is_told_without_a_token() {
        let audience = audience(None, &["10.0.0.0/8", "2001:db8::/32"]);
        let told = |peer: &str| audience.includes(peer.parse().ok(), &headers(&[]));
        assert!(told("10.1.2.3") && told("::ffff:10.1.2.3") && told("2001:db8::1"));
        let forwarded =
            HeaderMap::from_iter([(header::FORWARDED, HeaderValue::from_static("for=203.0.113.9"))]);
        assert!(!audience.includes("10.1.2.3".parse().ok(), &forwarded));
        assert!(!audience.includes(None, &headers(&[])));
        assert!(!told("11.0.0.1") && !told("::1") && !told("2001:db9::1"));
    }
}
