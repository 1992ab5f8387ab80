//! Headers that Tillgate adds to an answer, whoever makes it: the endpoint, or Tillgate itself.

use http::{HeaderMap, HeaderName, HeaderValue};

/// What is left of a limit (draft-ietf-httpapi-ratelimit-headers).
pub static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What a limit allows (the same).
pub static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is to be added to the answer of one request. Takes no memory while there is nothing.
#[derive(Debug, Default)]
pub struct Told(Vec<(HeaderName, HeaderValue)>);

impl Told {
    /// Says it in place of what was to be said under this name.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, value));
    }

    /// Says it beside what is there under this name: a cookie, a limit.
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Adds everything to an answer. What was set replaces what the endpoint says, save cookies and limits, which are added.
    pub fn apply(self, headers: &mut HeaderMap) {
        for (name, value) in self.0 {
            if name == http::header::SET_COOKIE || name == RATELIMIT || name == RATELIMIT_POLICY {
                headers.append(name, value);
            } else {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{RETRY_AFTER, SET_COOKIE};

    use super::*;

    #[test]
    fn the_last_word_counts_and_cookies_add_up() {
        let mut told = Told::default();
        told.set(RETRY_AFTER, HeaderValue::from_static("1"));
        told.set(RETRY_AFTER, HeaderValue::from_static("2"));
        told.add(SET_COOKIE, HeaderValue::from_static("b=2"));
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("9"));
        headers.insert(SET_COOKIE, HeaderValue::from_static("a=1"));
        told.apply(&mut headers);
        assert_eq!(headers.get_all(RETRY_AFTER).iter().collect::<Vec<_>>(), ["2"]);
        assert_eq!(headers.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    }
}
