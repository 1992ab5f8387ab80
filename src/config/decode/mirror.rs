//! `routes[].mirror`.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use super::fields::Fields;
use super::value::{Context, Value};
use crate::config::model::{Host, HostPort, Mirror, Route, Upstream};
use crate::config::node::Ordinal;
use crate::config::problem::Severity;
use crate::policy::network::canonical_host;

/// Bytes of a body that may be held for each copy under way.
const BODY: RangeInclusive<u64> = 0..=1 << 20;

/// What to do where a copy would be the request a second time.
const ELSEWHERE: &str = "mirror to endpoints that answer no request of this route";

/// `Some(None)` for `off`; `upstream` reads a name.
pub(super) fn read(
    value: Value<'_>,
    upstream: &impl Fn(Value<'_>) -> Option<String>,
) -> Option<Option<Mirror>> {
    if value.is_off() {
        return Some(None);
    }
    let mut fields = Fields::open(value)?;
    let name = fields.require("upstream", "add `upstream: NAME`", upstream);
    let default = Mirror::to(name.clone().unwrap_or_default());
    let mirror = Mirror {
        percent: fields.get("percent", Value::percent).unwrap_or(default.percent),
        max_body: fields.get("max_body", |value| value.size(BODY)).unwrap_or(default.max_body),
        max_in_flight: fields.get("max_in_flight", max_in_flight).unwrap_or(default.max_in_flight),
        upstream: default.upstream,
    };
    fields.close();
    name.map(|_| Some(mirror))
}

fn max_in_flight(value: Value<'_>) -> Option<u32> {
    value.whole(1..=10_000).and_then(|number| u32::try_from(number).ok())
}

/// An endpoint must not get the same request twice: design, section 9.
pub(super) fn check(cx: &Context<'_>, upstreams: &[(Upstream, Ordinal)], routes: &[(Route, Ordinal)]) {
    let endpoints: HashMap<&str, HashSet<HostPort>> =
        upstreams.iter().map(|(upstream, _)| (upstream.name.as_str(), addresses(upstream))).collect();
    for (route, at) in routes {
        let Some(mirror) = &route.mirror else { continue };
        let copied = &endpoints[mirror.upstream.as_str()];
        let shared =
            route.upstreams().find_map(|own| Some((own, endpoints[own].intersection(copied).min()?)));
        if let Some((own, address)) = shared {
            let message = match own == mirror.upstream {
                true => format!("route `{}` mirrors to `{own}`, which answers its requests", route.name),
                false => format!(
                    "route `{}` mirrors to `{}`, whose endpoint {address} is one of `{own}` too",
                    route.name, mirror.upstream
                ),
            };
            cx.report(*at, Severity::Error, message, Some(ELSEWHERE.to_owned()));
        }
    }
}

/// Names are compared as they are written: where they lead is known only to the snapshot, which sends no copies there.
fn addresses(upstream: &Upstream) -> HashSet<HostPort> {
    upstream.endpoints.iter().map(|endpoint| canonical(&endpoint.address)).collect()
}

fn canonical(address: &HostPort) -> HostPort {
    match &address.host {
        Host::Ip(ip) => HostPort { host: Host::Ip(canonical_host(*ip)), port: address.port },
        Host::Name(_) => address.clone(),
    }
}
