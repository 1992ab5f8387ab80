//! Cookies by name (RFC 6265): found in a request, taken out of it, and written for a response.

use http::header::{self, HeaderMap, HeaderValue};

use crate::config::{Cookie, SameSite};

/// The values of the cookies of this name, quotes and all, over every Cookie line: HTTP/2 sends one for each cookie (RFC
/// 6265 section 4.2.1, RFC 9113 section 8.2.3). Names are compared byte for byte.
pub fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| value_of(pair, name))
}

fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// Takes the cookies of these names, which are in order, out. The others stay as they are, byte for byte.
pub fn forget(headers: &mut HeaderMap, names: &[Box<str>]) {
    let lines = || headers.get_all(header::COOKIE).iter();
    if names.is_empty() || lines().all(|line| pairs(line).all(|pair| !is_one_of(pair, names))) {
        return;
    }
    let left: Vec<HeaderValue> = lines().filter_map(|line| without(line, names)).collect();
    headers.remove(header::COOKIE);
    for line in left {
        headers.append(header::COOKIE, line);
    }
}

/// Makes one line of all: an HTTP/1 endpoint may have only one, and HTTP/2 splits it for its compression (RFC 9113 section
/// 8.2.3).
pub fn join(headers: &mut HeaderMap) {
    let lines: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1 {
        let joined = HeaderValue::from_bytes(&lines.join(&b"; "[..])).expect("values of a header make one");
        headers.insert(header::COOKIE, joined);
    }
}

fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b';')
}

/// A client may send thousands of pairs, and a config have many names.
fn is_one_of(pair: &[u8], names: &[Box<str>]) -> bool {
    let pair = pair.trim_ascii();
    let name = pair.iter().position(|byte| *byte == b'=').map(|end| &pair[..end]);
    name.is_some_and(|name| names.binary_search_by(|one| one.as_bytes().cmp(name)).is_ok())
}

/// `None` if nothing is left of the line.
fn without(line: &HeaderValue, names: &[Box<str>]) -> Option<HeaderValue> {
    if pairs(line).all(|pair| !is_one_of(pair, names)) {
        return Some(line.clone());
    }
    let others: Vec<&[u8]> = pairs(line).filter(|pair| !is_one_of(pair, names)).collect();
    let left = others.join(&b';');
    let left = left.trim_ascii_start();
    let is_left = left.iter().any(|byte| *byte != b';' && !byte.is_ascii_whitespace());
    is_left.then(|| HeaderValue::from_bytes(left).expect("parts of a header's value are one"))
}

/// A `Set-Cookie` value. `tls`: whether the client came by TLS. `None` if the value is not one that a cookie may have.
pub fn set_cookie(cookie: &Cookie, value: &str, tls: bool) -> Option<HeaderValue> {
    let Cookie { name, ttl, path, secure, same_site, http_only, secrets: _ } = cookie;
    let secure = if secure.unwrap_or(tls) { "; Secure" } else { "" };
    let http_only = if *http_only { "; HttpOnly" } else { "" };
    let same_site = match same_site {
        SameSite::Lax => "Lax",
        SameSite::Strict => "Strict",
        SameSite::None => "None",
    };
    let (age, same_site) = (ttl.as_secs(), format!("; SameSite={same_site}"));
    HeaderValue::try_from(format!("{name}={value}; Path={path}; Max-Age={age}{secure}{http_only}{same_site}"))
        .ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (header::COOKIE, HeaderValue::from_static(line))).collect()
    }

    fn left(lines: &[&'static str]) -> Vec<String> {
        let mut headers = headers(lines);
        forget(&mut headers, &["other".into(), "own".into()]);
        let left = headers.get_all(header::COOKIE).iter();
        left.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect()
    }

    #[test]
    fn every_cookie_of_the_name_is_found() {
        let headers = headers(&["a=1; own=x; own2=y; OWN=z", "own=\"q\";own=", "own"]);
        assert_eq!(values(&headers, "own").collect::<Vec<_>>(), [&b"x"[..], b"\"q\"", b""]);
    }

    #[test]
    fn the_own_cookie_is_taken_out_and_the_others_are_left_byte_for_byte() {
        assert_eq!(left(&["a=1; own=x; b=2"]), ["a=1; b=2"]);
        assert_eq!(left(&["own=x; a=1;b=2 ;  c"]), ["a=1;b=2 ;  c"]);
        assert_eq!(left(&["a=\"1 ,2\"; own=x"]), ["a=\"1 ,2\""]);
        assert_eq!(left(&["a=1;; own=x;"]), ["a=1;;"]);
        assert_eq!(left(&["own=x"]), [""; 0]);
        assert_eq!(
            left(&["other=1; a=1", "own = x; own2=1;oth=2; other"]),
            ["a=1", "own = x; own2=1;oth=2; other"]
        );
        assert_eq!(left(&["own=x; own=y; "]), [""; 0]);
        assert_eq!(left(&["a=own=x;  town=1", "own=y", "b=2"]), ["a=own=x;  town=1", "b=2"]);
    }

    #[test]
    fn several_lines_become_one() {
        for (lines, expected) in [
            (&["a=1", "b=2; c=3", "d"][..], &["a=1; b=2; c=3; d"][..]),
            (&["a=1;  b"], &["a=1;  b"]),
            (&[], &[]),
        ] {
            let mut headers = headers(lines);
            join(&mut headers);
            assert_eq!(headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_is_set_says_what_the_config_says() {
        let cookie = Cookie { ttl: Duration::from_secs(90), ..Cookie::named("own") };
        let set = |cookie: &Cookie, tls| {
            let value = set_cookie(cookie, "v", tls).expect("a header");
            value.to_str().expect("ASCII").to_owned()
        };
        assert_eq!(set(&cookie, false), "own=v; Path=/; Max-Age=90; HttpOnly; SameSite=Lax");
        assert_eq!(set(&cookie, true), "own=v; Path=/; Max-Age=90; Secure; HttpOnly; SameSite=Lax");
        let other = Cookie {
            secure: Some(true),
            same_site: SameSite::None,
            http_only: false,
            path: "/a".into(),
            ..cookie
        };
        assert_eq!(set(&other, false), "own=v; Path=/a; Max-Age=90; Secure; SameSite=None");
    }
}
