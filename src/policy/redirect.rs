//! Where a client is sent instead of being served (RFC 9110 section 15.4).
//!
//! The answer names scheme, host and path in full. So whatever the path begins with, it cannot be taken for another
//! host; and what has no place in a header is escaped, so that it cannot end the line.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderValue, StatusCode};

use super::path::PathError;
use super::rewrite::PathChange;
use crate::config::{self, PathPattern, Scheme};

/// A route's redirect, compiled.
#[derive(Debug)]
pub struct Redirect {
    scheme: Option<Scheme>,
    host: Option<Box<str>>,
    port: Option<u16>,
    path: Option<PathChange>,
    status: StatusCode,
}

/// A URL in pieces: what a client asks for, and where it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// As the client sees it.
    pub scheme: Scheme,
    /// [`Checked::host`](super::head::Checked): empty if the client named none.
    pub host: Cow<'a, str>,
    /// If it was named.
    pub port: Option<u16>,
    /// [`NormalPath::forwarded`](super::path::NormalPath).
    pub path: Cow<'a, str>,
    /// Without `?`.
    pub query: Option<&'a str>,
}

/// Why a client cannot be sent elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unplaced {
    /// It did not say which host it asks, and neither does the redirect.
    NoHost,
    /// What the redirect makes of the path is none.
    Path(PathError),
}

impl Redirect {
    /// For a route that matches these paths.
    pub fn new(redirect: &config::Redirect, matched: &PathPattern) -> Self {
        let config::Redirect { scheme, host, port, path, status } = redirect;
        Self {
            scheme: *scheme,
            host: host.as_deref().map(Box::from),
            port: port.map(u16::from),
            path: path.as_ref().map(|change| PathChange::new(change, matched)),
            status: *status,
        }
    }

    /// What is answered.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Where a client is sent that asked for this.
    ///
    /// # Errors
    /// There is no such place.
    pub fn place<'a>(&'a self, asked: &'a Place<'_>) -> Result<Place<'a>, Unplaced> {
        let host = self.host.as_deref().unwrap_or(&asked.host);
        if host.is_empty() {
            return Err(Unplaced::NoHost);
        }
        let path = if asked.path == "*" { "/" } else { &*asked.path };
        let path = self.path.as_ref().map_or(Ok(Cow::Borrowed(path)), |change| change.apply(path));
        let scheme = self.scheme.unwrap_or(asked.scheme);
        Ok(Place {
            scheme,
            host: Cow::Borrowed(host),
            port: self.port(asked).filter(|port| *port != scheme.default_port()),
            path: path.map_err(Unplaced::Path)?,
            query: asked.query,
        })
    }

    /// Another scheme is not spoken at the same port.
    fn port(&self, asked: &Place<'_>) -> Option<u16> {
        let kept = if self.scheme.is_none() { asked.port } else { None };
        self.port.or(kept)
    }
}

impl Place<'_> {
    /// The value of Location.
    pub fn location(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("whatever is not visible ASCII is escaped")
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        visible(&self.path, f)?;
        match self.query {
            Some(query) => f.write_str("?").and_then(|()| visible(query, f)),
            None => Ok(()),
        }
    }
}

/// The text, with everything escaped that is not visible ASCII.
fn visible(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for part in text.split_inclusive(|c: char| !c.is_ascii_graphic()) {
        let end = part.rfind(|c: char| !c.is_ascii_graphic()).unwrap_or(part.len());
        f.write_str(&part[..end])?;
        part[end..].bytes().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(host: &'a str, port: Option<u16>, path: &'a str) -> Place<'a> {
        Place { scheme: Scheme::Http, host: host.into(), port, path: path.into(), query: Some("a=1&b=%20") }
    }

    fn plain() -> Redirect {
        Redirect { scheme: None, host: None, port: None, path: None, status: StatusCode::PERMANENT_REDIRECT }
    }

    fn sent(redirect: &Redirect, asked: &Place<'_>) -> String {
        let place = redirect.place(asked).expect("a place");
        place.location().to_str().expect("visible ASCII").to_owned()
    }

    #[test]
    fn what_is_not_changed_stays() {
        let https = Redirect { scheme: Some(Scheme::Https), ..plain() };
        let page = asked("shop.example", None, "/cart/a%2fb");
        assert_eq!(sent(&https, &page), "https://shop.example/cart/a%2fb?a=1&b=%20");
        let host = Redirect { host: Some("www.shop.example".into()), ..plain() };
        assert_eq!(sent(&host, &page), "http://www.shop.example/cart/a%2fb?a=1&b=%20");
    }

    #[test]
    fn a_port_is_named_where_it_is_not_the_scheme_s_own() {
        let of = |scheme, port| Redirect { scheme, port, ..plain() };
        let page = asked("shop.example", Some(8080), "/");
        for (redirect, wanted) in [
            (of(None, None), "http://shop.example:8080/?"),
            (of(Some(Scheme::Https), None), "https://shop.example/?"),
            (of(Some(Scheme::Https), Some(443)), "https://shop.example/?"),
            (of(Some(Scheme::Https), Some(8443)), "https://shop.example:8443/?"),
            (of(None, Some(80)), "http://shop.example/?"),
        ] {
            assert!(sent(&redirect, &page).starts_with(wanted), "{redirect:?}");
        }
        assert!(sent(&plain(), &asked("shop.example", Some(80), "/")).starts_with("http://shop.example/"));
    }

    #[test]
    fn no_path_names_another_host_or_ends_the_line() {
        for (path, wanted) in [
            ("//evil.example/", "http://shop.example//evil.example/?"),
            ("/é\u{7f}", "http://shop.example/%C3%A9%7F?"),
            ("/@evil.example", "http://shop.example/@evil.example?"),
            ("*", "http://shop.example/?"),
        ] {
            assert!(sent(&plain(), &asked("shop.example", None, path)).starts_with(wanted), "{path}");
        }
        let split = Place { query: Some("x=\r\nset-cookie: y ü"), ..asked("shop.example", None, "/") };
        assert_eq!(sent(&plain(), &split), "http://shop.example/?x=%0D%0Aset-cookie:%20y%20%C3%BC");
    }

    #[test]
    fn a_client_that_names_no_host_needs_one_that_is_configured() {
        let page = asked("", None, "/");
        assert_eq!(plain().place(&page), Err(Unplaced::NoHost));
        let host = Redirect { host: Some("[::1]".into()), ..plain() };
        assert!(sent(&host, &page).starts_with("http://[::1]/"));
    }
}
