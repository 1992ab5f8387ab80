//! Headers that an endpoint may take for one that Tillgate writes or frames by.
//!
//! CGI and what descends from it (WSGI, PHP, Rack) turn `-` into `_`, so `X_Forwarded_For` reaches the application as
//! X-Forwarded-For does. And some frameworks believe more of X-Forwarded-* than is written anew here, or take the
//! path from X-Original-URL or X-Rewrite-URL, past the route that let the request in.

use http::HeaderMap;
use http::header::HeaderName;

/// Takes them off a request whose sender is not trusted.
pub(super) fn strip(headers: &mut HeaderMap) {
    let found: Vec<HeaderName> =
        headers.keys().filter(|name| is_look_alike(name.as_str())).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Takes what would name a client's certificate off any message, however it is spelled.
pub(super) fn strip_client_certificates(headers: &mut HeaderMap) {
    let is_it = |name: &&HeaderName| is_client_certificate(name.as_str());
    let found: Vec<HeaderName> = headers.keys().filter(is_it).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Whether it is X-Forwarded-Client-Cert to an application.
pub(super) fn is_client_certificate(name: &str) -> bool {
    name.len() == 23 && name.starts_with('x') && folds_to(name.as_bytes(), b"x-forwarded-client-cert")
}

/// Asked about most names of every request: all but a few are done with after their first byte.
pub(super) fn is_look_alike(name: &str) -> bool {
    match name.as_bytes() {
        [b'x', b'-' | b'_', rest @ ..] => is_look_alike_after_x(name, rest),
        [b'c' | b't', ..] => ["content_length", "transfer_encoding"].contains(&name),
        _ => false,
    }
}

/// `rest` is the name after its `x-`.
fn is_look_alike_after_x(name: &str, rest: &[u8]) -> bool {
    match rest {
        [b'f', ..] => folds_to(&rest[..rest.len().min(10)], b"forwarded-") && !is_rewritten(name),
        [b'r', ..] => {
            folds_to(rest, b"rewrite-url")
                || (folds_to(rest, b"real-ip") || folds_to(rest, b"request-id")) && name.contains('_')
        }
        [b'o', ..] => folds_to(rest, b"original-url"),
        [b't', ..] => folds_to(rest, b"tillgate-mirror"),
        _ => false,
    }
}

/// Those of X-Forwarded-* that [`declare`](super::origin::declare) writes anew.
fn is_rewritten(name: &str) -> bool {
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"].contains(&name)
}

/// Whether `bytes` is `name` once every `_` is a `-`.
fn folds_to(bytes: &[u8], name: &[u8]) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte };
    bytes.len() == name.len() && bytes.iter().zip(name).all(|(byte, wanted)| fold(*byte) == *wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fold_to_one_that_is_written_are_look_alikes() {
        let written =
            ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip"];
        for name in written.into_iter().chain(["x-request-id", "content-length", "transfer-encoding"]) {
            assert!(!is_look_alike(name), "{name}");
            for place in name.match_indices('-').map(|(place, _)| place) {
                let mut spelled = name.to_owned();
                spelled.replace_range(place..=place, "_");
                assert!(is_look_alike(&spelled), "{spelled}");
            }
            assert!(is_look_alike(&name.replace('-', "_")), "{name}");
        }
    }

    #[test]
    fn forwarding_headers_that_nobody_writes_anew_are_look_alikes() {
        let names = [
            "x-forwarded-prefix",
            "x-forwarded-ssl",
            "x-forwarded-",
            "x_forwarded_anything",
            "x-original-url",
            "x_original_url",
            "x-rewrite-url",
            "x-rewrite_url",
        ];
        for name in names {
            assert!(is_look_alike(name), "{name}");
        }
    }

    #[test]
    fn the_name_of_a_client_s_certificate_is_known_however_it_is_spelled() {
        for name in ["x-forwarded-client-cert", "x_forwarded_client_cert", "x-forwarded_client-cert"] {
            assert!(is_client_certificate(name), "{name}");
        }
        for name in ["x-forwarded-client-certs", "x-forwarded-client", "y-forwarded-client-cert", "x"] {
            assert!(!is_client_certificate(name), "{name}");
        }
    }

    #[test]
    fn other_names_are_not() {
        let names = [
            "host",
            "forwarded",
            "x-forwarded",
            "x-f",
            "x-",
            "x",
            "my_header",
            "x_tenant",
            "x-request_ids",
            "x-originating-ip",
            "content_type",
            "te",
            "cookie",
            "x-real-ips",
        ];
        for name in names {
            assert!(!is_look_alike(name), "{name}");
        }
    }
}
