//! What may not be read in two ways is refused, and nothing of it reaches an endpoint (design, section 10).
//!
//! Every payload drags a second request behind it: whoever reads the first one differently serves the second.

use crate::support::{OK, Origin, Proxy, Yaml};

mod chunks;
mod heads;
mod hosts;
mod lengths;
mod request_lines;
mod transfer_encoding;

/// What a payload tries to get past the proxy.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: shop.example\r\n\r\n";

/// A request line and Host, for headers to follow.
const POST: &str = "POST / HTTP/1.1\r\nhost: shop.example\r\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: shop.example\r\n";

/// A proxy in front of an origin that should never hear of most of what is sent.
struct Gate {
    origin: Origin,
    proxy: Proxy,
}

impl Gate {
    fn open() -> Self {
        Self::with_limits("")
    }

    fn with_limits(yaml: &str) -> Self {
        let origin = Origin::answering(OK);
        let proxy = Yaml::before(&[&origin]).limits(yaml).start();
        Self { origin, proxy }
    }

    /// Sends each head with a smuggled request behind it, and asserts that it is answered `status` and `reason`.
    fn refuses(&self, status: u16, reason: &str, heads: &[(&str, String)]) {
        for (case, head) in heads {
            self.refuses_bytes(status, reason, case, format!("{head}\r\n{SMUGGLED}"));
        }
    }

    fn refuses_bytes(&self, status: u16, reason: &str, case: &str, bytes: impl AsRef<[u8]>) {
        let mut client = self.proxy.client();
        let response = client.send(bytes).response();
        assert_eq!((response.status(), response.reason()), (status, reason), "{case}: {}", response.head);
        assert_eq!(response.header("connection"), Some("close"), "{case}");
        assert!(client.rest().is_empty(), "{case}: more than one answer");
        self.let_nothing_through(case);
    }

    /// A good request that is sent now arrives, and nothing but such requests ever did.
    fn let_nothing_through(&self, case: &str) {
        assert_eq!(self.proxy.get("/witness").status(), 200, "{case}");
        for request in self.origin.requests() {
            assert_eq!(request.asks(), "GET /witness", "{case}: reached the origin");
        }
    }

    /// Sends a request whose body is wrong, and asserts that the origin never takes it for whole.
    fn breaks_off(&self, case: &str, bytes: impl AsRef<[u8]>) {
        let ended = self.origin.connections();
        let mut client = self.proxy.client();
        let response = client.send(bytes).finish().response();
        assert_eq!((response.status(), response.reason()), (400, "body_incomplete"), "{case}");
        assert!(client.rest().is_empty(), "{case}: more than one answer");
        self.origin.wait_for_ends(ended + 1);
        for request in self.origin.requests() {
            assert!(request.truncated, "{case}: the origin took it for whole: {request:?}");
        }
    }
}

/// POST with these headers; the empty line is still to come.
fn post(header: &str) -> String {
    format!("{POST}{header}\r\n")
}

/// GET with these headers; the empty line is still to come.
fn get(header: &str) -> String {
    format!("{GET}{header}\r\n")
}
