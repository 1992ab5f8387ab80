//! Which route takes the request, what that one is preferred for, and which others come close.

use super::report::Report;
use crate::config::{self, Config, Retry, Route, show_duration, show_size};
use crate::policy::head::Framing;
use crate::policy::reason::Reason;
use crate::policy::route::Head;
use crate::policy::route::conditions::{Condition, Criterion, Placed, comes_before, conditions};
use crate::proxy::received::Received;

/// Other routes that are named at most.
const CLOSE: usize = 5;

/// The route at `index` takes it.
pub(super) fn taken(config: &Config, index: usize, head: &Head<'_>, report: &mut Report) {
    let route = &config.routes[index];
    report.line("route", format!("{}: {}", route.name, shown(&conditions(&route.matches, head))));
    let others = config.routes.iter().enumerate().filter(|(other, _)| *other != index);
    let close = others
        .filter_map(|(other, route)| closeness(config, (index, other), &conditions(&route.matches, head)));
    let mut close: Vec<(usize, String)> = close.collect();
    close.sort_by_key(|(distance, _)| *distance);
    list(close.into_iter().map(|(_, words)| words), report);
}

/// What to say of a route that takes the request too, or would have come first but for one condition.
fn closeness(
    config: &Config,
    (index, other): (usize, usize),
    found: &[Condition],
) -> Option<(usize, String)> {
    let (first, second) = (placed(config, index), placed(config, other));
    let name = &config.routes[other].name;
    let mut unmet = found.iter().filter(|condition| !condition.met);
    match (unmet.next(), unmet.next()) {
        (None, _) => {
            let why = comes_before(first, second).unwrap_or(Criterion::Order);
            Some((0, format!("goes before {name} ({}): {why}", shown(found))))
        }
        // A route that shares nothing with the request is not close.
        (Some(missed), None) if found.len() > 1 && comes_before(second, first).is_some() => {
            Some((1, format!("{name} would go first, but for {}", missed.wanted)))
        }
        (Some(_), _) => None,
    }
}

fn placed(config: &Config, index: usize) -> Placed<'_> {
    (index, &config.routes[index].matches)
}

/// No route takes it: says of the nearest ones what is missing.
pub(super) fn none(config: &Config, head: &Head<'_>, report: &mut Report) {
    report.line("route", "none takes it");
    let mut nearest: Vec<_> =
        config.routes.iter().map(|route| (&route.name, conditions(&route.matches, head))).collect();
    nearest.sort_by_key(|(_, found)| (missed(found).count(), std::cmp::Reverse(alike(found, head.path))));
    list(nearest.iter().map(|(name, found)| format!("{name} needs {}", needs(found))), report);
    report.refused(Reason::NoRoute);
}

fn missed(found: &[Condition]) -> impl Iterator<Item = &Condition> {
    found.iter().filter(|condition| !condition.met)
}

fn needs(found: &[Condition]) -> String {
    let missed: Vec<&str> = missed(found).map(|condition| condition.wanted.as_str()).collect();
    let met: Vec<&str> =
        found.iter().filter(|condition| condition.met).map(|condition| condition.wanted.as_str()).collect();
    match met.is_empty() {
        true => missed.join(" and "),
        false => format!("{} ({} fits)", missed.join(" and "), met.join(" and ")),
    }
}

/// How much of the path the route's own path has, in bytes: a slip of the keyboard is often near the end.
fn alike(found: &[Condition], path: &str) -> usize {
    let paths = found.iter().filter_map(|condition| condition.wanted.strip_prefix("path"));
    let wanted = paths.filter_map(|text| text.split_once(' ')).map(|(_, wanted)| wanted).next();
    let same = |wanted: &str| wanted.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
    wanted.map_or(0, same)
}

fn list(lines: impl ExactSizeIterator<Item = String>, report: &mut Report) {
    let more = lines.len().saturating_sub(CLOSE);
    lines.take(CLOSE).for_each(|words| report.line("", words));
    if more > 0 {
        report.line("", format!("and {more} more"));
    }
}

fn shown(found: &[Condition]) -> String {
    let words: Vec<&str> = found.iter().map(|condition| condition.wanted.as_str()).collect();
    if words.is_empty() { "takes everything".to_owned() } else { words.join(", ") }
}

/// How long the request may take, and how large its body may be.
pub(super) fn limits(route: &Route, report: &mut Report) {
    let request = route.timeouts.request.map_or("unbounded".to_owned(), show_duration);
    let per_try = route.timeouts.per_try.map(|per_try| format!(", per try {}", show_duration(per_try)));
    let (per_try, idle) = (per_try.unwrap_or_default(), show_duration(route.timeouts.idle));
    let body_idle = Some(route.timeouts.body_idle).filter(|body_idle| *body_idle != route.timeouts.idle);
    let body_idle = body_idle.map(|idle| format!(", body idle {}", show_duration(idle))).unwrap_or_default();
    report.line("timeouts", format!("request {request}{per_try}, idle {idle}{body_idle}"));
    for limit in &route.rate_limit {
        report.line("rate limit", format!("{} by {}, {} at once", limit.rate, limit.key, limit.burst));
    }
    report.line("retry", route.retry.as_ref().map_or("off".to_owned(), retry));
    if let Some(hedge) = &route.hedge {
        let share = format!("at most {} %", hedge.max_percent);
        report.line("hedge", format!("GET and HEAD after {}, {share}", hedge.after));
    }
    if let Some(bytes) = route.max_body {
        report.line("max body", show_size(bytes));
    }
}

fn retry(retry: &Retry) -> String {
    let on: Vec<&str> = retry.on.iter().map(config::Condition::name).collect();
    format!("up to {} times more, on {}", retry.attempts, on.join(", "))
}

/// Whether the request says that its body is larger than the route allows.
pub(super) fn is_too_large(route: &Route, received: &Received<'_>) -> bool {
    matches!((received.framing(), route.max_body), (Framing::Length(length), Some(most)) if length > most)
}
