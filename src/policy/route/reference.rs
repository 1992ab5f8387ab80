//! The precedence written down as slowly and plainly as it can be, for the table to be compared with.

use std::cmp::Reverse;

use super::Head;
use crate::config::{HostPattern, PathPattern, RouteMatch};
use crate::policy::query::parameter;

/// What `RouteTable::find` must answer.
pub(super) fn find(routes: &[RouteMatch], head: &Head<'_>) -> Option<usize> {
    let takers = routes.iter().enumerate().filter(|(_, route)| takes(route, head));
    takers.min_by_key(|(index, route)| rank(route, *index)).map(|(index, _)| index)
}

fn takes(route: &RouteMatch, head: &Head<'_>) -> bool {
    let host = match &route.host {
        None => true,
        Some(HostPattern::Exact(host)) => head.host == host,
        Some(HostPattern::Wildcard(domain)) => {
            head.host.strip_suffix(&format!(".{domain}")).is_some_and(|labels| !labels.is_empty())
        }
    };
    let path = match &route.path {
        PathPattern::Any => true,
        PathPattern::Exact(path) => head.path == path,
        PathPattern::Prefix(prefix) if prefix == "/" => true,
        PathPattern::Prefix(prefix) => head.path == prefix || head.path.starts_with(&format!("{prefix}/")),
        PathPattern::Regex(regex) => regex.is_match(head.path),
    };
    let method = route.methods.is_empty() || route.methods.contains(head.method);
    let headers =
        route.headers.iter().all(|(name, value)| head.headers.get_all(name).iter().any(|sent| sent == value));
    let query = route.query.iter().all(|(name, value)| {
        head.query.and_then(|query| parameter(query, name)).as_deref() == Some(value.as_bytes())
    });
    let scheme = route.scheme.is_none_or(|scheme| scheme == head.scheme);
    scheme && route.except != Some(head.scheme) && host && path && method && headers && query
}

fn rank(route: &RouteMatch, index: usize) -> impl Ord {
    let host = match &route.host {
        Some(HostPattern::Exact(_)) => (0, Reverse(0)),
        Some(HostPattern::Wildcard(domain)) => (1, Reverse(domain.len())),
        None => (2, Reverse(0)),
    };
    let path = match &route.path {
        PathPattern::Exact(_) => (0, Reverse(0)),
        PathPattern::Prefix(prefix) if prefix == "/" => (3, Reverse(0)),
        PathPattern::Prefix(prefix) => (1, Reverse(prefix.len())),
        PathPattern::Regex(_) => (2, Reverse(0)),
        PathPattern::Any => (3, Reverse(0)),
    };
    let (headers, query) = (Reverse(route.headers.len()), Reverse(route.query.len()));
    (route.scheme.is_none(), host, path, route.methods.is_empty(), headers, query, index)
}
