//! What a route answers itself, and what it does to the answers of its endpoints.

use http::header::ORIGIN;
use http::{HeaderName, HeaderValue};

use super::report::Report;
use crate::config::{Route, Secret};
use crate::policy::cors::{Cors, Found};
use crate::policy::reason::Reason;
use crate::policy::redirect::Redirect;
use crate::policy::route::Head;
use crate::proxy::answer::Refusal;
use crate::proxy::received::Received;

/// Whether the page that asks may read the answer.
pub(super) fn readers(route: &Route, found: Found, head: &Head<'_>, report: &mut Report) {
    let Some(cors) = &route.cors else { return };
    let allowed = Cors::new(cors).allows(head.headers);
    let origin = head.headers.get(ORIGIN).map_or_else(|| "no Origin".to_owned(), shown);
    let may = if allowed.is_some() { "may read the answer" } else { "is told nothing" };
    let what = if found.is_preflight { "a preflight, answered here; " } else { "" };
    report.line("cors", format!("{what}{origin} {may}"));
}

/// Whether no endpoint is asked; and says what is answered then.
pub(super) fn is_own(route: &Route, found: Found, received: &Received<'_>, report: &mut Report) -> bool {
    if found.is_preflight {
        report.answered(Reason::Preflight);
        return true;
    }
    let Some(redirect) = &route.redirect else { return false };
    let redirect = Redirect::new(redirect, &route.matches.path);
    match redirect.place(&received.place()) {
        Ok(place) => {
            report.line("redirect", format!("to {place}"));
            report.answered(Reason::Redirected(redirect.status()));
        }
        Err(unplaced) => report.refused(Refusal::from(unplaced).reason),
    }
    true
}

/// What is done to the headers of the answer. Of one that Tillgate makes itself, what it says stays.
pub(super) fn edits(route: &Route, report: &mut Report) {
    let edits = &route.response_headers;
    let line =
        |verb: &str, (name, value): &(HeaderName, HeaderValue)| format!("{verb} {name}: {}", shown(value));
    let removed = edits.remove.iter().map(|name| format!("remove {name}"));
    let set = edits.set.iter().map(|entry| line("set", entry));
    let added = edits.add.iter().map(|entry| line("add", entry));
    for (row, words) in removed.chain(set).chain(added).enumerate() {
        report.line(if row == 0 { "response" } else { "" }, words);
    }
}

/// A header's value, unless the config calls it a secret by its name.
pub(super) fn shown(value: &HeaderValue) -> String {
    match value.is_sensitive() {
        true => Secret::SHOWN.to_owned(),
        false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
    }
}
