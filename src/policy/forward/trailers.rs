//! Trailers of a request. Some servers merge them into its headers (RFC 9110 section 6.5.1 would have them ask first), so what a
//! client may not say in the one it may not say in the other.
//!
//! A trusted peer's go as well: what it has to say of a client it says before the body.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::hop_by_hop::{is_protected, tokens};
use super::present::bit;

/// Makes the trailers of a request those to send to the endpoint.
pub fn prepare_trailers(trailers: &mut HeaderMap) {
    let found: Vec<HeaderName> = trailers.keys().filter(|name| is_unfit(name.as_str())).cloned().collect();
    for name in found {
        trailers.remove(name);
    }
}

/// Takes the same out of what Trailer announces.
pub(super) fn strip_announced(headers: &mut HeaderMap) {
    let fits = |name: &&[u8]| HeaderName::from_bytes(name).is_ok_and(|name| !is_unfit(name.as_str()));
    let fit = tokens(headers, &header::TRAILER).filter(fits).collect::<Vec<_>>().join(&b", "[..]);
    match HeaderValue::from_bytes(&fit) {
        Ok(fit) if !fit.is_empty() => headers.insert(header::TRAILER, fit),
        Ok(_) | Err(_) => headers.remove(header::TRAILER),
    };
}

/// Whether a header of this name is framing or one connection's, is written here, or is what endpoints decide by; or an
/// application would take it for one that is.
fn is_unfit(name: &str) -> bool {
    let name = name.replace('_', "-");
    bit(&name) != 0 || is_protected(&name) || name.starts_with("x-tillgate-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNFIT: [&str; 28] = [
        "connection",
        "te",
        "trailer",
        "transfer-encoding",
        "transfer_encoding",
        "content-length",
        "content_length",
        "upgrade",
        "keep-alive",
        "proxy-authorization",
        "expect",
        "host",
        "cookie",
        "authorization",
        "forwarded",
        "x-forwarded-for",
        "x_forwarded_for",
        "x-forwarded-proto",
        "x-forwarded-prefix",
        "x-forwarded-client-cert",
        "x_forwarded-client_cert",
        "x-real-ip",
        "x-request-id",
        "x_request_id",
        "x-original-url",
        "x-tillgate-token",
        "x-tillgate-anything",
        "x_tillgate_mirror",
    ];

    #[test]
    fn what_may_not_stand_in_the_head_may_not_follow_the_body() {
        for name in UNFIT {
            let mut trailers = HeaderMap::new();
            trailers.append(name, HeaderValue::from_static("forged"));
            trailers.append(name, HeaderValue::from_static("twice"));
            prepare_trailers(&mut trailers);
            assert!(trailers.is_empty(), "{name}");
        }
    }

    #[test]
    fn other_trailers_stay() {
        let names = ["x-sum", "digest", "grpc-status", "grpc-message", "x_sum", "server-timing"];
        let mut trailers = HeaderMap::new();
        for name in names {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        prepare_trailers(&mut trailers);
        assert_eq!(trailers.len(), names.len());
    }

    #[test]
    fn nothing_is_announced_that_will_not_come() {
        let announced = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (header::TRAILER, HeaderValue::from_static(line)));
            let mut headers: HeaderMap = lines.collect();
            strip_announced(&mut headers);
            headers.remove(header::TRAILER).map(|value| value.to_str().expect("visible").to_owned())
        };
        assert_eq!(announced(&["x-sum"]).as_deref(), Some("x-sum"));
        let mixed = ["X-Forwarded-For, X-Sum,", "cookie", "digest, not a name"];
        assert_eq!(announced(&mixed).as_deref(), Some("X-Sum, digest"));
        assert_eq!(announced(&UNFIT), None);
    }
}
