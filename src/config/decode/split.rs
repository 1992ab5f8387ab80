//! `routes[].split` and `routes[].split_cookie`.

use std::collections::HashSet;

use super::cookie;
use super::fields::Fields;
use super::value::Value;
use crate::config::model::{Branch, Split};

/// A pick walks over them.
const MOST: usize = 100;

/// Both keys, and what excludes them. `Some(None)` where neither is there; `upstream` reads a name.
pub(super) fn read(
    fields: &mut Fields<'_>,
    upstream: &impl Fn(Value<'_>) -> Option<String>,
) -> Option<Option<Split>> {
    let (split, cookie) = (fields.take("split"), fields.take("split_cookie"));
    let Some(split) = split else { return needless(cookie) };
    let alone = alone(fields);
    let cookie = cookie.map_or(Some(None), |value| cookie::named(value).map(Some));
    let branches = branches(split, upstream);
    alone?;
    Some(Some(Split { branches: branches?, cookie: cookie? }))
}

fn needless(cookie: Option<Value<'_>>) -> Option<Option<Split>> {
    match cookie {
        Some(cookie) => cookie.refuse_hint("`split_cookie` has no meaning without `split`", "remove it"),
        None => Some(None),
    }
}

/// What a route with several upstreams cannot have.
fn alone(fields: &mut Fields<'_>) -> Option<()> {
    let one = fields.take("upstream").map(|value| {
        value.refuse_hint::<()>("`upstream` and `split` exclude each other", "remove one of them")
    });
    let strategies = ["strategy", "hash"].map(|key| fields.take(key));
    let strategy = strategies.into_iter().flatten().next().map(|value| {
        let message = format!("`{}` has no meaning beside `split`", value.name);
        value.refuse_hint::<()>(message, "give the upstreams theirs")
    });
    (one.is_none() && strategy.is_none()).then_some(())
}

fn branches(value: Value<'_>, upstream: &impl Fn(Value<'_>) -> Option<String>) -> Option<Vec<Branch>> {
    let items: Vec<_> = value.items("branch")?.collect();
    if items.is_empty() || items.len() > MOST {
        let hint = "write `split: [ { upstream: a, weight: 90 }, { upstream: b, weight: 10 } ]`";
        return value.refuse_hint("`split` must have 1 to 100 upstreams", hint);
    }
    let mut seen = HashSet::new();
    let found: Vec<Branch> = items.iter().filter_map(|item| branch(*item, upstream, &mut seen)).collect();
    if found.len() == items.len() && found.iter().all(|branch| branch.weight == 0) {
        return value.refuse_hint("every upstream has weight 0", "give one a weight of 1 or more");
    }
    (found.len() == items.len()).then_some(found)
}

fn branch(
    item: Value<'_>,
    upstream: &impl Fn(Value<'_>) -> Option<String>,
    seen: &mut HashSet<String>,
) -> Option<Branch> {
    let mut fields = Fields::open(item)?;
    let name = fields.require("upstream", "add `upstream: NAME`", |value| {
        let name = upstream(value)?;
        match seen.insert(name.clone()) {
            true => Some(name),
            false => value.refuse(format!("`{name}` stands in this split already")),
        }
    });
    let weight = fields.require("weight", "add `weight: 1`", |value| {
        value.whole(0..=1000).and_then(|number| u32::try_from(number).ok())
    });
    fields.close();
    Some(Branch { upstream: name?, weight: weight? })
}
