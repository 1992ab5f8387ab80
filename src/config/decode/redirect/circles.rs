//! Redirects that lead back to themselves, or to one another.
//!
//! A request of each route is made up and followed by the functions that serve. It has no query, and may be less than a
//! regex or a query asks for: what cannot be followed is not warned of.

use http::{HeaderMap, Method};

use crate::config::decode::value::Context;
use crate::config::model::{HostPattern, PathPattern, Route, RouteMatch, Scheme};
use crate::config::node::Ordinal;
use crate::config::problem::Severity;
use crate::policy::path::normalise;
use crate::policy::redirect::{Place, Redirect};
use crate::policy::route::{Head, RouteTable};

/// So many redirects in a row are a circle.
const MOST_HOPS: usize = 10;

/// Warns of routes that would send a client round in circles.
pub(in crate::config::decode) fn warn(cx: &Context<'_>, routes: &[(Route, Ordinal)]) {
    let compile = |route: &Route| Some(Redirect::new(route.redirect.as_ref()?, &route.matches.path));
    let redirects: Vec<_> = routes.iter().map(|(route, _)| compile(route)).collect();
    if redirects.iter().all(Option::is_none) {
        return;
    }
    let table = RouteTable::new(routes.iter().map(|(route, _)| &route.matches));
    for (index, (route, at)) in routes.iter().enumerate() {
        if let Some(place) = circle(&table, &redirects, index, &route.matches) {
            let message = format!("route `{}` sends clients round in circles, by way of {place}", route.name);
            let hint = "let it match less, or give that place a route of its own";
            cx.report(*at, Severity::Warning, message, Some(hint.to_owned()));
        }
    }
}

/// Where a client is last that begins at the route at `index`; `None` if it arrives somewhere.
fn circle(
    table: &RouteTable,
    redirects: &[Option<Redirect>],
    mut index: usize,
    matches: &RouteMatch,
) -> Option<String> {
    let headers: HeaderMap = matches.headers.iter().cloned().collect();
    let method = matches.methods.first().unwrap_or(&Method::GET);
    let mut place = sample(matches)?;
    for _ in 0..MOST_HOPS {
        place = owned(redirects[index].as_ref()?.place(&place).ok()?);
        let path = &normalise(&place.path).ok()?.matched;
        let Place { scheme, host, query, .. } = &place;
        let head = Head { scheme: *scheme, host, path, query: *query, method, headers: &headers };
        index = table.find(&head)?;
    }
    Some(place.to_string())
}

fn owned(place: Place<'_>) -> Place<'static> {
    let Place { scheme, host, port, path, query: _ } = place;
    Place { scheme, host: host.into_owned().into(), port, path: path.into_owned().into(), query: None }
}

/// A request that the route takes; `None` where none can be made up.
fn sample(matches: &RouteMatch) -> Option<Place<'static>> {
    let host = match &matches.host {
        None => "shop.example".to_owned(),
        Some(HostPattern::Exact(host)) => host.clone(),
        Some(HostPattern::Wildcard(domain)) => format!("shop.{domain}"),
    };
    let path = match &matches.path {
        PathPattern::Any => "/".to_owned(),
        PathPattern::Exact(path) | PathPattern::Prefix(path) => path.clone(),
        PathPattern::Regex(_) => return None,
    };
    let scheme = match (matches.scheme, matches.except) {
        (Some(scheme), _) => scheme,
        (None, Some(Scheme::Http)) => Scheme::Https,
        (None, Some(Scheme::Https) | None) => Scheme::Http,
    };
    Some(Place { scheme, host: host.into(), port: None, path: path.into(), query: None })
}
