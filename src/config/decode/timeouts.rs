//! `routes[].timeouts`.

use std::num::NonZeroU64;

use super::fields::Fields;
use super::listener::timeout;
use super::value::Value;
use crate::config::model::{BodyPace, Timeouts};

/// Bytes a second that may be asked for: up to 1 GiB.
const RATE: std::ops::RangeInclusive<u64> = 1..=1 << 30;

/// All of them; one that is wrong has its default.
pub(super) fn read(value: Value<'_>) -> Option<Timeouts> {
    let mut fields = Fields::open(value)?;
    let request = fields.get("request", timeout);
    let idle = fields.get("idle", timeout).unwrap_or(Timeouts::default().idle);
    let body_idle = fields.get("body_idle", timeout).unwrap_or(idle);
    let per_try = fields.get("per_try", timeout);
    let tunnel_idle = fields.get("tunnel_idle", timeout).unwrap_or(Timeouts::default().tunnel_idle);
    let pace = pace(&mut fields);
    fields.close();
    Some(Timeouts { request, per_try, idle, body_idle, tunnel_idle, pace })
}

fn pace(fields: &mut Fields<'_>) -> Option<BodyPace> {
    let (rate, grace) = (fields.take("min_body_rate"), fields.take("body_grace"));
    let default = BodyPace::default();
    if rate.is_some_and(Value::is_off) {
        if let Some(grace) = grace {
            grace.refuse_hint::<()>("`body_grace` has no meaning without `min_body_rate`", "remove it");
        }
        return None;
    }
    Some(BodyPace {
        rate: rate.and_then(bytes).unwrap_or(default.rate),
        grace: grace.and_then(timeout).unwrap_or(default.grace),
    })
}

fn bytes(value: Value<'_>) -> Option<NonZeroU64> {
    value.size(RATE).and_then(NonZeroU64::new)
}
