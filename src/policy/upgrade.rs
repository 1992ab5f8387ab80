//! Which switch of protocols a client may ask for, what the endpoint is asked, and whether its answer grants that
//! (RFC 9110 section 7.8; for WebSocket RFC 6455, over HTTP/2 RFC 8441).
//!
//! A switch that is not allowed is no error: the request goes on as plain HTTP without it, as RFC 9110 has it and as nginx
//! does where nobody forwards `Upgrade` by hand. One that an endpoint grants and nobody asked for is its mistake, or
//! somebody's who speaks through it: taken for granted, it would open a way around every rule here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{StatusCode, Version};
use sha1::{Digest, Sha1};

use super::forward::tokens;
use super::head::Framing;
use crate::config::Upgrades;

#[cfg(test)]
mod tests;

/// Added to the client's key before it is hashed (RFC 6455 section 1.3).
const WEBSOCKET_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const WEBSOCKET: &[u8] = b"websocket";

/// A switch that a client asks for and its route allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// What the endpoint is offered, separated by commas.
    offered: HeaderValue,
    /// Of a WebSocket, what the endpoint has to hash.
    key: Option<HeaderValue>,
    client: Asked,
}

/// How the client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// By `Upgrade`, over HTTP/1.1.
    Header,
    /// By extended CONNECT, over HTTP/2.
    Connect,
}

impl Upgrade {
    /// What `Upgrade` asks for and `allowed` has. `None` where nothing is left of it: over HTTP/1.0, where it has no
    /// meaning; without `Connection: upgrade`, where it is not for us; with a body, after which it would begin.
    pub fn asked(parts: &Parts, body: Framing, allowed: &Upgrades) -> Option<Self> {
        if !parts.headers.contains_key(header::UPGRADE) {
            return None;
        }
        let bodiless = matches!(body, Framing::None | Framing::Length(0));
        if parts.version != Version::HTTP_11 || !bodiless || !names_upgrade(&parts.headers) {
            return None;
        }
        let wanted = tokens(&parts.headers, &header::UPGRADE).filter(|protocol| allowed.allow(protocol));
        let offered = wanted.collect::<Vec<_>>().join(&b", "[..]);
        if offered.is_empty() {
            return None;
        }
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).cloned();
        Some(Self { offered: HeaderValue::from_bytes(&offered).ok()?, key, client: Asked::Header })
    }

    /// What an extended CONNECT for `protocol` asks for, if `allowed` has it. `nonce`: 16 bytes at random, for the key that
    /// the client need not make over HTTP/2.
    pub fn connect(protocol: &str, nonce: u128, allowed: &Upgrades) -> Option<Self> {
        let offered = HeaderValue::from_str(protocol).ok().filter(|_| allowed.allow(protocol.as_bytes()))?;
        let key = is_websocket(protocol.as_bytes()).then(|| BASE64.encode(nonce.to_be_bytes()));
        let key = key.map(|key| HeaderValue::try_from(key).expect("base64 is visible ASCII"));
        Some(Self { offered, key, client: Asked::Connect })
    }

    /// Asks the endpoint, in headers that are made for it.
    pub fn offer(&self, headers: &mut HeaderMap) {
        headers.remove(header::TE);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, self.offered.clone());
        if let (Asked::Connect, Some(key)) = (self.client, &self.key) {
            headers.insert(header::SEC_WEBSOCKET_KEY, key.clone());
        }
    }

    /// Whether a 101 with these headers is the answer to what was asked: what it switches to was offered, and of a
    /// WebSocket it holds the hash of the key, which nobody can have by chance.
    pub fn is_granted(&self, headers: &HeaderMap) -> bool {
        let mut chosen = tokens(headers, &header::UPGRADE).peekable();
        chosen.peek().is_some()
            && chosen.all(|protocol| {
                self.has_offered(protocol) && (!is_websocket(protocol) || self.is_accepted(headers))
            })
    }

    /// Tells the client that it is granted: the status, with `headers` that are made for it. `chosen`: the endpoint's
    /// `Upgrade`.
    pub fn grant(&self, chosen: HeaderValue, headers: &mut HeaderMap) -> StatusCode {
        // Neither has a meaning here, and whoever believed them would wait for a body.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
        match self.client {
            Asked::Header => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, chosen);
                StatusCode::SWITCHING_PROTOCOLS
            }
            Asked::Connect => {
                headers.remove(header::SEC_WEBSOCKET_ACCEPT);
                StatusCode::OK
            }
        }
    }

    /// Whether the client asks by extended CONNECT.
    pub fn is_connect(&self) -> bool {
        self.client == Asked::Connect
    }

    fn has_offered(&self, protocol: &[u8]) -> bool {
        let mut offered = self.offered.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        offered.any(|offered| offered.eq_ignore_ascii_case(protocol))
    }

    fn is_accepted(&self, headers: &HeaderMap) -> bool {
        let accept = one(headers, &header::SEC_WEBSOCKET_ACCEPT);
        let Some((key, accept)) = self.key.as_ref().zip(accept) else { return false };
        let hash =
            Sha1::new().chain_update(key.as_bytes().trim_ascii()).chain_update(WEBSOCKET_GUID).finalize();
        BASE64.encode(hash).as_bytes() == accept
    }
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    tokens(headers, &header::CONNECTION).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

fn is_websocket(protocol: &[u8]) -> bool {
    protocol.eq_ignore_ascii_case(WEBSOCKET)
}

/// The value of a header that stands there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none()).map(|value| value.as_bytes().trim_ascii())
}
