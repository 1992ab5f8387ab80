//! `routes[].hedge`.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::Method;

use super::fields::Fields;
use super::value::{Context, Value};
use crate::config::excerpt::quoted;
use crate::config::model::{After, Endpoint, Hedge, Host, Percentile, Route, RouteMatch, Upstream};
use crate::config::node::{Data, Ordinal};
use crate::config::problem::Severity;

/// Timers of hedges tell milliseconds apart.
const TIME: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

/// `Some(None)` for `off`.
pub(super) fn read(value: Value<'_>) -> Option<Option<Hedge>> {
    if value.is_off() {
        return Some(None);
    }
    let mut fields = Fields::open(value)?;
    let default = Hedge::default();
    let hedge = Hedge {
        after: fields.get("after", after).unwrap_or(default.after),
        max_percent: fields.get("max_percent", percent).unwrap_or(default.max_percent),
    };
    fields.close();
    Some(Some(hedge))
}

/// Refuses a hedge where nothing could ever be sent twice: somebody may believe that payments are.
pub(super) fn check(value: Value<'_>, matches: &RouteMatch) {
    let reads = |method: &Method| matches!(*method, Method::GET | Method::HEAD);
    if !matches.methods.is_empty() && !matches.methods.iter().any(reads) && !value.is_off() {
        let message = "`hedge` is for GET and HEAD, and this route takes neither";
        value.refuse_hint::<()>(message, "remove it: nothing else is ever sent to two endpoints");
    }
}

/// Warns at every route that would hedge if there were an endpoint to hedge to.
pub(super) fn warn(cx: &Context<'_>, upstreams: &[(Upstream, Ordinal)], routes: &[(Route, Ordinal)]) {
    let by_name: HashMap<&str, &Upstream> =
        upstreams.iter().map(|(upstream, _)| (upstream.name.as_str(), upstream)).collect();
    for (route, at) in routes.iter().filter(|(route, _)| route.hedge.is_some()) {
        if by_name.get(route.upstream.as_str()).is_some_and(|upstream| !has_two(upstream)) {
            let message =
                format!("route `{}` never hedges: `{}` has one endpoint only", route.name, route.upstream);
            let hint = "add an endpoint that is no backup, or remove `hedge`".to_owned();
            cx.report(*at, Severity::Warning, message, Some(hint));
        }
    }
}

/// A name may have several addresses.
fn has_two(upstream: &Upstream) -> bool {
    let asked = |endpoint: &&Endpoint| endpoint.weight > 0 && !endpoint.backup;
    let named = |endpoint: &Endpoint| matches!(endpoint.address.host, Host::Name(_));
    let asked: Vec<&Endpoint> = upstream.endpoints.iter().filter(asked).collect();
    asked.len() > 1 || asked.into_iter().any(named)
}

fn after(value: Value<'_>) -> Option<After> {
    if let Data::Text(_) = &value.node.data {
        let text = value.text()?;
        if let Some(percent) = text.strip_prefix('p') {
            return percentile(percent).map(After::Quantile).or_else(|| {
                let message = format!("`after` must be from p50 to p99.9, found {}", quoted(&text));
                value.refuse_hint(message, "write it as `p95` or `p99.5`, or as a time such as `30ms`")
            });
        }
    }
    value.duration(TIME).map(After::Time)
}

/// `95` or `99.5`.
fn percentile(text: &str) -> Option<Percentile> {
    let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole, 2) || !digits(tenth, 1) {
        return None;
    }
    Percentile::new(whole.parse::<u16>().ok()? * 10 + tenth.parse::<u16>().ok()?)
}

fn percent(value: Value<'_>) -> Option<u8> {
    if matches!(value.node.data, Data::Int(0)) {
        return value.refuse_hint("`max_percent` must be at least 1", "write `hedge: off` to hedge nothing");
    }
    value.whole(1..=100).and_then(|number| u8::try_from(number).ok())
}
