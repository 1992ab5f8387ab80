//! Keeps the pages of strangers, open in an operator's browser, away from an admin server that asks for no password.
//!
//! A page can have its own host name resolve to 127.0.0.1 and read the answers (DNS rebinding): so a name is no way to
//! get here over TCP. A page can send a form to any address without reading the answer: so what changes something must
//! not come from another origin. What is no browser sends neither Origin nor Sec-Fetch-Site and is not held up.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// How a request reached the admin server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    /// No browser connects to one, and its clients put into Host what they like.
    Unix,
}

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const NOT_BY_NAME: &str = "the admin server is reached by an IP address or `localhost`, not by a name that anybody's DNS can point here\n";
const CROSS_SITE: &str = "the admin server takes no orders from the pages of other sites\n";

/// What a scraper or an orchestrator asks for by the name of a service. It tells a page nothing worth hiding.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Refuses what a stranger's page may have sent: 421 for its host name, 403 for what changes something.
pub(super) async fn refuse_strangers(
    State(transport): State<Transport>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let open = OPEN.contains(&request.uri().path());
    if transport == Transport::Tcp && !open && !is_addressed(request.version(), headers) {
        return (StatusCode::MISDIRECTED_REQUEST, NOT_BY_NAME).into_response();
    }
    if !request.method().is_safe() && is_cross_site(headers) {
        return (StatusCode::FORBIDDEN, CROSS_SITE).into_response();
    }
    next.run(request).await
}

/// Whether the one Host is a name that no DNS is asked for. HTTP/1.0 may have none, and no browser speaks it.
fn is_addressed(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version == Version::HTTP_10,
        (Some(host), None) => host.to_str().is_ok_and(is_address),
        (Some(_), Some(_)) => false,
    }
}

/// `192.0.2.1`, `[2001:db8::1]` or `localhost`, with a port or without.
fn is_address(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_ip = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(name) => name.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<Ipv4Addr>().is_ok(),
    };
    port.is_none_or(|port| port.parse::<u16>().is_ok()) && (is_ip || name.eq_ignore_ascii_case("localhost"))
}

/// Whether a browser says that another site's page sent this. Old ones say so in Origin only.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(&SEC_FETCH_SITE).iter();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let host = headers.get(header::HOST).map_or(&b""[..], |host| host.as_bytes());
    sites.any(|site| site != "same-origin" && site != "none")
        || origins.any(|origin| !is_origin_of(origin.as_bytes(), host))
}

/// `http://127.0.0.1:9900` is of `127.0.0.1:9900`. `null` is of nobody.
fn is_origin_of(origin: &[u8], host: &[u8]) -> bool {
    let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    authority.is_some_and(|authority| !authority.is_empty() && authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn an_ip_literal_and_localhost_are_addresses_and_names_are_not() {
        for host in ["127.0.0.1", "127.0.0.1:9900", "10.1.2.3:80", "[::1]", "[::1]:9900", "LocalHost:9900"] {
            assert!(is_address(host), "{host}");
        }
        let names =
            ["", "evil.example", "evil.example:9900", "127.0.0.1.evil.example", "localhost.evil.example"];
        let odd =
            ["a@127.0.0.1", "::1", "[::1", "[evil]", "[127.0.0.1", "127.0.0.1/", "127.0.0.1:x", "admin"];
        for host in names.into_iter().chain(odd) {
            assert!(!is_address(host), "{host}");
        }
    }

    #[test]
    fn only_http_1_0_may_have_no_host_and_nobody_two() {
        assert!(is_addressed(Version::HTTP_10, &map(&[])));
        assert!(!is_addressed(Version::HTTP_11, &map(&[])));
        assert!(!is_addressed(Version::HTTP_10, &map(&[("host", "evil.example")])));
        assert!(!is_addressed(Version::HTTP_11, &map(&[("host", "127.0.0.1"), ("host", "127.0.0.1")])));
    }

    #[test]
    fn a_page_of_another_origin_is_cross_site() {
        let host = ("host", "127.0.0.1:9900");
        for other in
            ["http://evil.example", "http://127.0.0.1:8080", "http://127.0.0.1", "null", "", "http://"]
        {
            assert!(is_cross_site(&map(&[host, ("origin", other)])), "{other}");
        }
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            assert!(is_cross_site(&map(&[host, ("sec-fetch-site", site)])), "{site}");
        }
        assert!(is_cross_site(&map(&[("origin", "http://127.0.0.1:9900")])));
    }

    #[test]
    fn the_own_page_and_what_is_no_browser_are_not_cross_site() {
        let host = ("host", "127.0.0.1:9900");
        assert!(!is_cross_site(&map(&[host])));
        assert!(!is_cross_site(&map(&[host, ("sec-fetch-site", "none")])));
        let own = [host, ("origin", "http://127.0.0.1:9900"), ("sec-fetch-site", "same-origin")];
        assert!(!is_cross_site(&map(&own)));
    }
}
