//! A route's own edits of headers: removed, then set, then added.

use http::{HeaderMap, HeaderName};

use crate::config::HeaderEdits;

/// Edits the headers of a request, or of an endpoint's answer.
pub fn apply(edits: &HeaderEdits, headers: &mut HeaderMap) {
    for name in &edits.remove {
        headers.remove(name);
    }
    for (name, value) in &edits.set {
        headers.insert(name, value.clone());
    }
    for (name, value) in &edits.add {
        headers.append(name, value.clone());
    }
}

/// Edits those of an answer that Tillgate makes itself. What that says stays: a page that may be cached for a year must
/// not make a 503 in its place one.
pub fn apply_to_own(edits: &HeaderEdits, headers: &mut HeaderMap) {
    let own: Vec<HeaderName> = headers.keys().cloned().collect();
    let is_free = |name: &HeaderName| !own.contains(name);
    for (name, value) in edits.set.iter().filter(|(name, _)| is_free(name)) {
        headers.insert(name, value.clone());
    }
    for (name, value) in edits.add.iter().filter(|(name, _)| is_free(name)) {
        headers.append(name, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{CACHE_CONTROL, LINK, SERVER, STRICT_TRANSPORT_SECURITY, VIA};

    use super::*;

    fn of(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn edits() -> HeaderEdits {
        let value = HeaderValue::from_static;
        HeaderEdits {
            remove: vec![SERVER, LINK],
            set: vec![(CACHE_CONTROL, value("max-age=60")), (STRICT_TRANSPORT_SECURITY, value("max-age=1"))],
            add: vec![(LINK, value("b")), (LINK, value("c")), (CACHE_CONTROL, value("public"))],
        }
    }

    #[test]
    fn what_is_removed_may_be_set_and_what_is_set_may_be_added_to() {
        let mut headers = of(&[(SERVER, "x"), (LINK, "a"), (CACHE_CONTROL, "private"), (VIA, "1.1 a")]);
        headers.append(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        apply(&edits(), &mut headers);
        let all = |name| headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all(LINK), ["b", "c"]);
        assert_eq!(all(CACHE_CONTROL), ["max-age=60", "public"]);
        assert_eq!(all(STRICT_TRANSPORT_SECURITY), ["max-age=1"]);
        assert_eq!((all(SERVER).len(), all(VIA).len()), (0, 1));
    }

    #[test]
    fn an_answer_of_tillgate_s_own_keeps_what_it_says_and_gets_the_rest() {
        let mut headers = of(&[(CACHE_CONTROL, "no-store"), (SERVER, "tillgate")]);
        apply_to_own(&edits(), &mut headers);
        let all = |name| headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all(CACHE_CONTROL), ["no-store"]);
        assert_eq!(all(SERVER), ["tillgate"]);
        assert_eq!(all(STRICT_TRANSPORT_SECURITY), ["max-age=1"]);
        assert_eq!(all(LINK), ["b", "c"]);
    }
}
