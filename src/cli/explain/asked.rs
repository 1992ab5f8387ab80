//! The request that is asked about, as a client would send it.

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};

use crate::config::{Config, Listener, Scheme};

/// A request head, and where it is sent.
#[derive(Debug)]
pub(super) struct Asked {
    /// In origin form, with Host among the headers.
    pub(super) parts: Parts,
    url: Uri,
}

impl Asked {
    /// Reads what was typed.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub(super) fn read(method: &str, url: &str, headers: &[String]) -> Result<Self, String> {
        let method = read_method(method)?;
        let url = read_url(url)?;
        let target = url.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let (mut parts, ()) = Request::new(()).into_parts();
        (parts.method, parts.uri) = (method, Uri::from(target));
        for typed in headers {
            let (name, value) = read_header(typed)?;
            parts.headers.append(name, value);
        }
        name_host(&mut parts, &url)?;
        Ok(Self { parts, url })
    }

    /// As it was asked.
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.parts.method, self.url)
    }

    /// Which listeners take it, as far as its address tells. All listeners have the same routes.
    pub(super) fn listeners(&self, config: &Config) -> String {
        let all = config.listeners.iter();
        if self.url.host().is_none() {
            return format!("any: {}", listed(all));
        }
        let secure = self.is_secure();
        let taking: Vec<_> = self.taking(config).collect();
        match taking.is_empty() {
            false => listed(taking.into_iter()),
            true if secure && all.clone().all(|listener| listener.tls.is_none()) => {
                format!("none speaks TLS; behind something that does: {}", listed(all))
            }
            true => format!("none at this address; what passes it on reaches: {}", listed(all)),
        }
    }

    /// How the client speaks, as far as its address tells.
    pub(super) fn scheme(&self) -> Scheme {
        if self.is_secure() { Scheme::Https } else { Scheme::Http }
    }

    fn is_secure(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }

    fn taking<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = &'a Listener> {
        let port = self.url.port_u16().unwrap_or(if self.is_secure() { 443 } else { 80 });
        let speaks = |listener: &&Listener| listener.tls.is_some() == self.is_secure();
        config.listeners.iter().filter(speaks).filter(move |listener| self.may_take(listener, port))
    }

    /// A name may have any address; which one it has here says nothing of where the client is.
    fn may_take(&self, listener: &Listener, port: u16) -> bool {
        let host = self.url.host().unwrap_or_default().trim_matches(['[', ']']);
        let ip = listener.address.ip();
        let here = host.parse().map_or(true, |asked: std::net::IpAddr| ip.is_unspecified() || ip == asked);
        here && listener.address.port() == port
    }
}

fn listed<'a>(listeners: impl Iterator<Item = &'a Listener>) -> String {
    let shown: Vec<_> =
        listeners.map(|listener| format!("{} ({})", listener.name, listener.address)).collect();
    shown.join(", ")
}

fn read_method(text: &str) -> Result<Method, String> {
    match Method::from_bytes(text.as_bytes()) {
        Ok(_) if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            Err(format!("`{text}`: methods are case-sensitive\n  hint: write {}", text.to_ascii_uppercase()))
        }
        Ok(method) => Ok(method),
        Err(_) => Err(format!("{text:?} is not a method\n  hint: the method comes first, as in GET /orders")),
    }
}

fn read_url(text: &str) -> Result<Uri, String> {
    let wrong = |hint: &str| format!("{text:?} is not a URL\n  hint: {hint}");
    let url: Uri = text.parse().map_err(|_| wrong("write http://HOST/PATH, with blanks as %20"))?;
    match url.scheme_str() {
        Some("http" | "https") => Ok(url),
        None if text.starts_with('/') => Ok(url),
        _ => Err(wrong("write http://HOST/PATH, or /PATH and -H 'Host: HOST'")),
    }
}

fn read_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = |hint: &str| format!("-H {text:?} is not a header\n  hint: {hint}");
    let (name, value) = text.split_once(':').ok_or_else(|| wrong("write -H 'Name: value'"))?;
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| wrong("a name has letters, digits and `-`, and no blank before the colon"))?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong("a value is printable text"))?;
    Ok((name, value))
}

/// A Host that was typed stands, as in curl; else it is the URL's.
fn name_host(parts: &mut Parts, url: &Uri) -> Result<(), String> {
    if parts.headers.contains_key(header::HOST) {
        return Ok(());
    }
    let Some(authority) = url.authority() else {
        return Err(format!("{url} names no host\n  hint: write http://HOST{url}, or add -H 'Host: HOST'"));
    };
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| format!("{authority} is not a host"))?;
    parts.headers.insert(header::HOST, host);
    Ok(())
}
