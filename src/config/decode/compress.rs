//! `compress` and `routes[].compress`.

use std::ops::RangeInclusive;

use super::fields::Fields;
use super::value::Value;
use crate::config::excerpt::quoted;
use crate::config::model::{Coding, Compress, Levels, MediaPattern};
use crate::config::node::Data;

/// Bytes below which nothing is compressed.
const SIZE: RangeInclusive<u64> = 0..=16 << 20;
/// Each response is held against all of them.
const MOST_TYPES: usize = 64;

/// What to write instead of settings under which nothing is compressed.
const OFF: &str = "write `compress: off` to compress nothing";

/// `Some(None)` for `off`. What a map leaves out, and all of `on`, is as in `base`.
pub(super) fn read(value: Value<'_>, base: Option<&Compress>) -> Option<Option<Compress>> {
    if value.is_off() {
        return Some(None);
    }
    let base = base.cloned().unwrap_or_default();
    if value.is_on() {
        return Some(Some(base));
    }
    if !matches!(value.node.data, Data::Map(_)) {
        return value.mismatch("`on`, `off` or a map", None);
    }
    let mut fields = Fields::open(value)?;
    let compress = Compress {
        algorithms: fields.get("algorithms", algorithms).unwrap_or(base.algorithms),
        levels: fields.get("level", |value| levels(value, base.levels)).unwrap_or(base.levels),
        min_size: fields.get("min_size", |value| value.size(SIZE)).unwrap_or(base.min_size),
        types: fields.get("types", types).unwrap_or(base.types),
        with_cookies: fields.get("with_cookies", Value::flag).unwrap_or(base.with_cookies),
        max_in_flight: fields.get("max_in_flight", in_flight).unwrap_or(base.max_in_flight),
    };
    fields.close();
    Some(Some(compress))
}

fn algorithms(value: Value<'_>) -> Option<Vec<Coding>> {
    let choices = Coding::ALL.map(|coding| (coding.name(), coding));
    let mut all = Vec::new();
    for item in value.items("algorithm")? {
        match item.one_of(&choices) {
            Some(coding) if all.contains(&coding) => {
                item.refuse::<()>(format!("`{}` is given twice", coding.name()));
            }
            coding => all.extend(coding),
        }
    }
    if all.is_empty() { value.refuse_hint("`algorithms` names none", OFF) } else { Some(all) }
}

fn levels(value: Value<'_>, base: Levels) -> Option<Levels> {
    if !matches!(value.node.data, Data::Map(_)) {
        return value.mismatch("a map", Some("write it as `{ gzip: 5, br: 4, zstd: 3 }`"));
    }
    let mut fields = Fields::open(value)?;
    let mut level = |key, range| fields.get(key, |value| byte(value, range));
    let levels = Levels {
        zstd: level("zstd", 1..=9).unwrap_or(base.zstd),
        brotli: level("br", 0..=6).unwrap_or(base.brotli),
        gzip: level("gzip", 1..=9).unwrap_or(base.gzip),
    };
    fields.close();
    Some(levels)
}

fn byte(value: Value<'_>, range: RangeInclusive<u64>) -> Option<u8> {
    value.whole(range).and_then(|number| u8::try_from(number).ok())
}

fn in_flight(value: Value<'_>) -> Option<u32> {
    if matches!(value.node.data, Data::Int(0)) {
        return value.refuse_hint("`max_in_flight` must be at least 1", OFF);
    }
    value.whole(1..=100_000).and_then(|number| u32::try_from(number).ok())
}

fn types(value: Value<'_>) -> Option<Vec<MediaPattern>> {
    let items: Vec<_> = value.items("type")?.collect();
    if items.is_empty() {
        return value.refuse_hint("`types` names none", OFF);
    }
    if items.len() > MOST_TYPES {
        return value.refuse(format!("`types` has {} entries, and may have {MOST_TYPES}", items.len()));
    }
    Some(items.into_iter().filter_map(pattern).collect())
}

fn pattern(value: Value<'_>) -> Option<MediaPattern> {
    let text = value.text()?;
    MediaPattern::parse(&text).or_else(|| {
        let hint = "write it as `text/html`, `text/*` or `application/*+json`";
        value.refuse_hint(format!("{} is not a media type", quoted(&text)), hint)
    })
}
