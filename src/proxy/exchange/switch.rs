//! What is different where a request asks to switch to another protocol.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::Exchange;
use crate::proxy::tunnel;

impl Exchange {
    /// The endpoint is to be asked to switch to another protocol.
    pub fn ask_upgrade(&mut self, asked: Box<tunnel::Asked>) {
        self.upgrade = Some(asked);
    }

    /// Puts that into a head that has been made for the endpoint.
    pub fn offer_upgrade(&self, headers: &mut HeaderMap) {
        if let Some(asked) = &self.upgrade {
            asked.offer(headers);
        }
    }

    /// What it is to be asked, if anything.
    pub fn upgrade(&self) -> Option<&tunnel::Asked> {
        self.upgrade.as_deref()
    }

    /// The same, for good.
    pub fn take_upgrade(&mut self) -> Option<Box<tunnel::Asked>> {
        self.upgrade.take()
    }

    /// It is a tunnel from here on, as the client is told by `status`: no deadline of a request holds. The client has
    /// `stall` to take what is there for it.
    pub fn tunnels(&mut self, status: StatusCode, stall: Duration) {
        self.record.tunnel = true;
        self.record.status = status.as_u16();
        self.permit = None;
        self.deadlines.forget();
        self.connection.switched();
        self.connection.allow_write(stall, None);
    }

    /// So much went through the tunnel.
    pub fn tunnel_moved(&mut self, bytes_in: u64, bytes_out: u64) {
        self.record.bytes_in += bytes_in;
        self.record.bytes_out += bytes_out;
    }
}
