//! Compressing a response where its route says so and its client can read it.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};

use super::body::{Compressed, Download, ResponseBody};
use crate::config::Coding;
use crate::policy::compress::{self, Verdict, Wish};
use crate::policy::grpc;
use crate::snapshot::{Compress, Route};

/// What is remembered of a request whose route compresses.
#[derive(Debug)]
pub struct Asked {
    compress: Arc<Compress>,
    wish: Wish,
    is_head: bool,
    /// Its If-None-Match.
    known: Option<HeaderValue>,
}

/// `None`, and no cost, where the route does not compress. Nor is a call: where one breaks off, its client is told in
/// trailers, which compressed would be a good end.
pub(super) fn asked(route: &Route, parts: &Parts) -> Option<Box<Asked>> {
    let compress = route.compress.as_ref().filter(|_| !grpc::is_call(&parts.headers))?;
    // HTTP/1.0 has no way to end a body of unknown length but to close. And a client may want nothing changed.
    let plain = parts.version < Version::HTTP_11 || compress::forbids_change(&parts.headers);
    let wish =
        if plain { Wish::default() } else { compress::wish(&parts.headers, &compress.config.algorithms) };
    Some(Box::new(Asked {
        compress: Arc::clone(compress),
        wish,
        is_head: parts.method == Method::HEAD,
        known: parts.headers.get(header::IF_NONE_MATCH).cloned(),
    }))
}

/// The response as the client that asked so gets it.
pub(super) fn compress(asked: Asked, mut response: Response<Download>) -> Response<ResponseBody> {
    match asked.judge(&response) {
        Verdict::Encode(coding) => asked.encode(coding, response),
        Verdict::Plain => {
            compress::vary(response.headers_mut());
            response.map(ResponseBody::Download)
        }
        Verdict::Leave => {
            if let Some(known) = asked.known.filter(|_| response.status() == StatusCode::NOT_MODIFIED) {
                compress::mark_not_modified(response.headers_mut(), &known);
            }
            response.map(ResponseBody::Download)
        }
    }
}

impl Asked {
    fn judge(&self, response: &Response<Download>) -> Verdict {
        // What HEAD is answered has no body, and speaks of the one that GET would have.
        let length = match self.is_head {
            true => declared_length(response.headers()),
            false => response.body().length(),
        };
        compress::judge(&self.compress.config, self.wish, response, length)
    }

    fn encode(&self, coding: Coding, mut response: Response<Download>) -> Response<ResponseBody> {
        compress::vary(response.headers_mut());
        let place = if self.is_head { None } else { self.compress.begin(coding) };
        if self.is_head || place.is_some() {
            compress::mark(response.headers_mut(), coding);
        }
        let levels = self.compress.config.levels;
        response.map(|download| match place {
            Some(place) => {
                ResponseBody::Compressed(Box::new(Compressed::new(download, coding, levels, place)))
            }
            None => ResponseBody::Download(download),
        })
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
