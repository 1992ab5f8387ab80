//! Warnings that need the whole config: routes that never match and upstreams that nothing uses.

use std::collections::{HashMap, HashSet};

use super::value::Context;
use crate::config::model::{PathPattern, Route, RouteMatch, Upstream};
use crate::config::node::Ordinal;
use crate::config::problem::Severity;

/// Warns at every route and upstream that might as well not be there.
pub(super) fn warn(cx: &Context<'_>, upstreams: &[(Upstream, Ordinal)], routes: &[(Route, Ordinal)]) {
    dead_routes(cx, routes);
    unused_upstreams(cx, upstreams, routes);
}

/// Ties go to the route that stands first, so the second of two equal ones gets nothing.
fn dead_routes(cx: &Context<'_>, routes: &[(Route, Ordinal)]) {
    let mut first: HashMap<String, &str> = HashMap::new();
    for (route, at) in routes {
        let earlier = *first.entry(normal(&route.matches)).or_insert(&route.name);
        if earlier != route.name {
            let message = format!(
                "route `{}` can never match: `{earlier}` matches the same and stands first",
                route.name
            );
            report(cx, *at, message, "remove one of them, or make this one more specific");
        }
    }
}

/// Equal for two matches exactly if they take the same requests at the same rank, as far as their form tells.
fn normal(matches: &RouteMatch) -> String {
    let RouteMatch { scheme, except, host, path, methods, headers, query } = matches;
    let path = match path {
        // No path at all takes every path, as the root does, and ranks with it.
        PathPattern::Any => "prefix /".to_owned(),
        PathPattern::Exact(path) => format!("exact {path}"),
        PathPattern::Prefix(path) => format!("prefix {path}"),
        PathPattern::Regex(regex) => format!("regex {regex}"),
    };
    let mut methods: Vec<_> = methods.iter().map(http::Method::as_str).collect();
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let mut query = query.clone();
    methods.sort_unstable();
    headers.sort_unstable();
    query.sort_unstable();
    format!("{scheme:?} {except:?} {host:?} {path:?} {methods:?} {headers:?} {query:?}")
}

fn unused_upstreams(cx: &Context<'_>, upstreams: &[(Upstream, Ordinal)], routes: &[(Route, Ordinal)]) {
    let mirrors = routes.iter().filter_map(|(route, _)| route.mirror.as_ref());
    let used: HashSet<&str> = routes.iter().flat_map(|(route, _)| route.upstreams()).collect();
    let used: HashSet<&str> = mirrors.map(|mirror| mirror.upstream.as_str()).chain(used).collect();
    for (upstream, at) in upstreams.iter().filter(|(upstream, _)| !used.contains(upstream.name.as_str())) {
        report(
            cx,
            *at,
            format!("no route uses upstream `{}`", upstream.name),
            "remove it, or add a route to it",
        );
    }
}

fn report(cx: &Context<'_>, at: Ordinal, message: String, hint: &str) {
    cx.report(at, Severity::Warning, message, Some(hint.to_owned()));
}
