//! A request's head from the form of one version of HTTP to that of the other (RFC 9113 section 8.3.1).

use std::net::SocketAddr;

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::uri::{self, Authority, PathAndQuery, Scheme};
use http::{Uri, Version};

/// Host becomes part of the target, and what HTTP/2 says by itself goes. `scheme` is how the endpoint is reached, and
/// `endpoint` stands for a Host that is none, which no head has that got this far.
pub fn to_http2(parts: &mut Parts, scheme: Scheme, endpoint: SocketAddr) {
    let host = parts.headers.remove(header::HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut target = uri::Parts::default();
    target.scheme = Some(scheme);
    target.authority = authority.or_else(|| Authority::try_from(endpoint.to_string()).ok());
    target.path_and_query = Some(path_of(&parts.uri));
    if let Ok(target) = Uri::from_parts(target) {
        parts.uri = target;
    }
    parts.headers.remove(header::CONNECTION);
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.version = Version::HTTP_2;
}

/// Undoes [`to_http2`]. `chunked`: its body has no length that is known.
pub fn to_http1(parts: &mut Parts, chunked: bool) {
    let host = parts.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = host {
        parts.headers.insert(header::HOST, host);
    }
    if parts.headers.contains_key(header::TE) {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    if chunked && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    parts.uri = Uri::from(path_of(&parts.uri));
    parts.version = Version::HTTP_11;
}

fn path_of(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};

    use super::*;

    fn parts(method: Method, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn endpoint() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 7001))
    }

    #[test]
    fn host_and_target_become_one_and_apart_again() {
        let headers = [("host", "shop.example:8080"), ("te", "trailers"), ("connection", "te"), ("x-a", "b")];
        let mut there = parts(Method::GET, "/a?b=c", &headers);
        let before = there.headers.clone();
        to_http2(&mut there, Scheme::HTTPS, endpoint());
        assert_eq!(there.uri, "https://shop.example:8080/a?b=c");
        assert_eq!(there.version, Version::HTTP_2);
        let mut names: Vec<&str> = there.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["te", "x-a"]);
        to_http1(&mut there, false);
        assert_eq!((there.uri, there.version), (Uri::from_static("/a?b=c"), Version::HTTP_11));
        assert_eq!(there.headers, before);
    }

    #[test]
    fn a_body_without_a_length_is_chunked_on_http1_only() {
        let mut there = parts(Method::POST, "/", &[("host", "a"), ("transfer-encoding", "chunked")]);
        to_http2(&mut there, Scheme::HTTP, endpoint());
        assert!(there.headers.is_empty());
        to_http1(&mut there, true);
        assert_eq!(there.headers.get(header::TRANSFER_ENCODING).expect("chunked"), "chunked");
    }

    #[test]
    fn a_request_to_the_server_itself_keeps_its_asterisk() {
        let mut there = parts(Method::OPTIONS, "*", &[("host", "a")]);
        to_http2(&mut there, Scheme::HTTP, endpoint());
        assert_eq!((there.uri.authority().map(Authority::as_str), there.uri.path()), (Some("a"), "*"));
        to_http1(&mut there, false);
        assert_eq!(there.uri, "*");
    }

    #[test]
    fn every_host_that_is_let_in_can_be_said_in_http2() {
        for host in ["a", "a_b.example", "127.0.0.1:80", "[::1]:80", "a.", "a-b.c.d:65535"] {
            let mut there = parts(Method::GET, "/", &[("host", host)]);
            to_http2(&mut there, Scheme::HTTP, endpoint());
            assert_eq!(there.uri.authority().expect("an authority"), host);
        }
    }
}
