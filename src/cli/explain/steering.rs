//! What a route does beside balancing: faults, a split, sticky clients, a mirror.

use std::time::SystemTime;

use http::HeaderMap;

use super::report::Report;
use crate::config::{Cookie, Route, Share, show_duration, show_size};
use crate::policy::cookies;
use crate::policy::seal::Mark;
use crate::snapshot::{OwnCookie, Upstream};

/// What is done to the request before an upstream is chosen.
pub(super) fn before(route: &Route, report: &mut Report) {
    let Some(fault) = &route.fault else { return };
    let mut words = Vec::new();
    if let Some(delay) = fault.delay {
        words.push(format!("{} held back for {}", percent(delay.percent), show_duration(delay.length)));
    }
    if let Some(abort) = fault.abort {
        words.push(format!("{} answered {}", percent(abort.percent), abort.status.as_u16()));
    }
    let when = fault.when.as_ref().map(|header| format!("; only those with {header}"));
    report.line("fault", format!("{}{}", words.join(", "), when.unwrap_or_default()));
}

/// The upstreams that the request may go to, which are more than one where it is drawn.
pub(super) fn upstreams(route: &Route, headers: &HeaderMap, report: &mut Report) -> Vec<String> {
    let Some(split) = &route.split else { return vec![route.upstream.clone()] };
    let branches: Vec<String> =
        split.branches.iter().map(|branch| format!("{} {}", branch.upstream, branch.weight)).collect();
    report.line("split", format!("by weight: {}", branches.join(", ")));
    if let Some(cookie) = &split.cookie {
        let own = OwnCookie::for_split(cookie, &route.name);
        let named = own.read(headers, now()).and_then(|opened| {
            split
                .branches
                .iter()
                .find(|branch| opened.mark == Mark::of(&branch.upstream) && branch.weight > 0)
        });
        report.line("", state(cookie, headers, named.map(|branch| branch.upstream.as_str())));
        if let Some(branch) = named {
            return vec![branch.upstream.clone()];
        }
    }
    let open = split.branches.iter().filter(|branch| branch.weight > 0);
    open.map(|branch| branch.upstream.clone()).collect()
}

/// Which endpoint the client stays with.
pub(super) fn sticky(upstream: &Upstream, headers: &HeaderMap, report: &mut Report) {
    let Some(sticky) = &upstream.sticky else { return };
    let opened = sticky.cookie.read(headers, now());
    let named = opened.and_then(|opened| sticky.endpoint(opened.mark));
    let name = named.map(|index| &*upstream.endpoints[index].name);
    report.line("sticky", state(sticky.cookie.config(), headers, name));
}

/// Where copies go.
pub(super) fn beside(route: &Route, report: &mut Report) {
    let Some(mirror) = &route.mirror else { return };
    let share = percent(mirror.percent);
    let body = show_size(mirror.max_body);
    report.line("mirror", format!("{share} copied to {}, with bodies of up to {body}", mirror.upstream));
}

fn state(cookie: &Cookie, headers: &HeaderMap, named: Option<&str>) -> String {
    let has = cookies::values(headers, &cookie.name).next().is_some();
    let what = match (named, has) {
        (Some(name), _) => {
            format!("stays with {name}, which its cookie {} names, as long as that is fit", cookie.name)
        }
        (None, false) => format!("has no cookie {}: it gets one with the answer", cookie.name),
        (None, true) if cookie.secrets.is_empty() => {
            format!("has a cookie {}, which only the running process can read", cookie.name)
        }
        (None, true) => format!("has a cookie {} that is not good: it gets a new one", cookie.name),
    };
    format!("the request {what}")
}

fn percent(share: Share) -> String {
    format!("{} % are", f64::from(share.per_ten_thousand()) / 100.0)
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
