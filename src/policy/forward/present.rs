//! Which of the headers that need work a message has: one walk over its dozen names costs a third of asking for each.

use http::HeaderMap;

use super::look_alike::{is_client_certificate, is_look_alike};

/// A set of the names below, taken before anything is changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present(u32);

impl Present {
    pub(super) const CONNECTION: u32 = 1;
    pub(super) const TE: u32 = 1 << 1;
    pub(super) const TRANSFER_ENCODING: u32 = 1 << 3;
    pub(super) const EXPECT: u32 = 1 << 10;
    pub(super) const FORWARDED: u32 = 1 << 11;
    pub(super) const X_FORWARDED_PORT: u32 = 1 << 12;
    pub(super) const X_REAL_IP: u32 = 1 << 13;
    pub(super) const LOOK_ALIKE: u32 = 1 << 14;
    pub(super) const OWN: u32 = 1 << 15;
    pub(super) const TRAILER: u32 = 1 << 16;

    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.keys().fold(0, |names, name| names | bit(name.as_str())))
    }

    pub(super) fn has(self, name: u32) -> bool {
        self.0 & name != 0
    }
}

/// The bit of a name, 0 for most; a match on text tells most of those by their length. The first ten are
/// [`HOP_BY_HOP`](super::hop_by_hop), in its order.
pub(super) fn bit(name: &str) -> u32 {
    match name {
        "connection" => Present::CONNECTION,
        "te" => Present::TE,
        "upgrade" => 1 << 2,
        "transfer-encoding" => Present::TRANSFER_ENCODING,
        "proxy-authenticate" => 1 << 4,
        "proxy-authorization" => 1 << 5,
        "keep-alive" => 1 << 6,
        "proxy-connection" => 1 << 7,
        "http2-settings" => 1 << 8,
        "proxy-authentication-info" => 1 << 9,
        "expect" => Present::EXPECT,
        "forwarded" => Present::FORWARDED,
        "x-forwarded-port" => Present::X_FORWARDED_PORT,
        "x-real-ip" => Present::X_REAL_IP,
        "trailer" => Present::TRAILER,
        "x-tillgate-token" | "x-tillgate-endpoint" | "x-tillgate-mirror" => Present::OWN,
        _ if is_client_certificate(name) => Present::OWN,
        _ if is_look_alike(name) => Present::LOOK_ALIKE,
        _ => 0,
    }
}
