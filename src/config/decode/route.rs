//! `routes`.

use std::collections::{BTreeSet, HashMap};

use super::fields::Fields;
use super::value::{Value, nearest};
use super::{
    check_name, compress, cors, fault, header_edits, hedge, mirror, overload, rate_limit, redirect, retry,
    rewrite, route_match, split, strategy, timeouts, upgrades,
};
use crate::config::excerpt::quoted;
use crate::config::model::{Compress, Retry, Route};
use crate::config::node::Ordinal;

/// Bytes of a request body that may be configured: up to 1 TiB.
const BODY_BYTES: std::ops::RangeInclusive<u64> = 0..=1 << 40;

/// All routes in file order, with the place of each. `upstreams`: the names there are, if that could be read;
/// `compress`: what counts for a route that does not say.
pub(super) fn all(
    value: Value<'_>,
    upstreams: Option<&BTreeSet<String>>,
    compress: Option<&Compress>,
) -> Option<Vec<(Route, Ordinal)>> {
    let items: Vec<_> = value.items("route")?.collect();
    if items.is_empty() {
        return value.refuse_hint("there is no route", "add `- { upstream: shop }`");
    }
    let mut names = HashMap::new();
    let routes = items.into_iter().enumerate().filter_map(|(i, item)| {
        let route = one(item, i + 1, (upstreams, compress), &mut names)?;
        Some((route, item.key_at))
    });
    let routes: Vec<_> = routes.collect();
    rate_limit::check_total(value, &routes);
    Some(routes)
}

fn one(
    item: Value<'_>,
    number: usize,
    (upstreams, compress): (Option<&BTreeSet<String>>, Option<&Compress>),
    names: &mut HashMap<String, usize>,
) -> Option<Route> {
    let mut fields = Fields::open(item)?;
    let name = name(&mut fields, item, number, names);
    let matches = fields.take("match").map_or(Some(Default::default()), route_match::read);
    let redirect = redirect::read(&mut fields, matches.as_ref());
    let read = |value: Value<'_>| upstream(value, upstreams?);
    let split = split::read(&mut fields, &read);
    let upstream = match &split {
        Some(Some(split)) => Some(split.branches[0].upstream.clone()),
        Some(None) if !matches!(redirect, Some(None)) => Some(String::new()),
        Some(None) => fields.require("upstream", "add `upstream: NAME`", read),
        None => fields.take("upstream").and(None),
    };
    let strategy = strategy::read(&mut fields, None);
    let rewrite = rewrite::read(&mut fields, matches.as_ref());
    let request_headers = header_edits::request(&mut fields);
    let cors = cors::read(&mut fields, matches.as_ref());
    let response_headers = header_edits::response(&mut fields, matches!(cors, Some(Some(_))));
    let timeouts = fields.get("timeouts", timeouts::read).unwrap_or_default();
    let rate_limit = fields.get("rate_limit", rate_limit::read).unwrap_or_default();
    let retry = fields.take("retry").map_or(Some(Some(Retry::default())), retry::read);
    let hedge = fields.take("hedge");
    if let (Some(hedge), Some(matches)) = (hedge, &matches) {
        hedge::check(hedge, matches);
    }
    let hedge = hedge.map_or(Some(None), hedge::read);
    let max_body = fields.get("max_body", |value| value.size(BODY_BYTES));
    let mirror = fields.take("mirror").map_or(Some(None), |value| mirror::read(value, &read));
    let fault = fields.take("fault").map_or(Some(None), |value| fault::read(value, name.as_deref()));
    let compress = match fields.take("compress") {
        Some(value) => compress::read(value, compress),
        None => Some(compress.cloned()),
    };
    let early_hints = fields.get("early_hints", Value::switch).unwrap_or(false);
    let priority = fields.get("priority", overload::priority).unwrap_or_default();
    let slo = fields.get("slo", overload::slo).flatten();
    let upgrades = fields.get("upgrades", upgrades::read).unwrap_or_default();
    fields.close();
    Some(Route {
        name: name?,
        matches: redirect::narrow(matches?, redirect.as_ref()?.as_ref()),
        upstream: upstream?,
        split: split?,
        redirect: redirect?,
        rewrite: rewrite?,
        request_headers: request_headers?,
        response_headers: response_headers?,
        cors: cors?,
        mirror: mirror?,
        fault: fault?,
        strategy: strategy?,
        timeouts,
        rate_limit,
        retry: retry?,
        hedge: hedge?,
        max_body,
        compress: compress?,
        early_hints,
        priority,
        slo,
        upgrades,
    })
}

/// `name`, or `route-N`; either way no other route has it.
fn name(
    fields: &mut Fields<'_>,
    item: Value<'_>,
    number: usize,
    names: &mut HashMap<String, usize>,
) -> Option<String> {
    let (value, name) = match fields.take("name") {
        Some(value) => (value, check_name(value, &value.text()?)?),
        None => (item, format!("route-{number}")),
    };
    match names.insert(name.clone(), number) {
        None => Some(name),
        Some(other) => value.refuse_hint(
            format!("`{name}` is the name of route {other} already"),
            "give every route a name of its own",
        ),
    }
}

fn upstream(value: Value<'_>, names: &BTreeSet<String>) -> Option<String> {
    let name = value.text()?;
    if names.contains(&name) {
        return Some(name);
    }
    // Bounded, so that ten thousand mistakes stay cheap.
    let known: Vec<&str> = names.iter().map(String::as_str).take(200).collect();
    let hint = match nearest(&name, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there is {}", known[..known.len().min(10)].join(", ")),
    };
    value.refuse_hint(format!("there is no upstream {}", quoted(&name)), hint)
}
