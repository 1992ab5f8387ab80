//! `routes[].timeouts`.

use super::{Doc, duration, optional_map, show_size, text};
use crate::config::model::Timeouts;

pub(super) fn doc(timeouts: Timeouts) -> Doc {
    let Timeouts { request, per_try, idle, body_idle, tunnel_idle, pace } = timeouts;
    let rate = pace.map_or_else(|| text("off"), |pace| text(&show_size(pace.rate.get())));
    optional_map([
        ("request", request.map(duration)),
        ("per_try", per_try.map(duration)),
        ("idle", Some(duration(idle))),
        ("body_idle", Some(duration(body_idle))),
        ("tunnel_idle", Some(duration(tunnel_idle))),
        ("min_body_rate", Some(rate)),
        ("body_grace", pace.map(|pace| duration(pace.grace))),
    ])
}
