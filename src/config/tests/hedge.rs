use std::time::Duration;

use super::{bad, good, hint, listed, route};
use crate::config::{After, Hedge, Percentile};

fn hedge(line: &str) -> Option<Hedge> {
    good(&route(line)).config.routes.remove(0).hedge
}

#[test]
fn nothing_is_hedged_unless_a_route_says_so() {
    assert_eq!(hedge(""), None);
    assert_eq!(hedge("hedge: off"), None);
    let after = After::Quantile(Percentile::P95);
    assert_eq!(hedge("hedge: {}"), Some(Hedge { after, max_percent: 3 }));
    assert_eq!(hedge("hedge: { after: p95, max_percent: 3 }"), hedge("hedge: {}"));
}

#[test]
fn the_delay_is_a_percentile_or_a_time() {
    let after = |text: &str| hedge(&format!("hedge: {{ after: {text} }}")).map(|hedge| hedge.after);
    let percentile = |tenths| Percentile::new(tenths).map(After::Quantile);
    assert_eq!(after("p50"), percentile(500));
    assert_eq!(after("p99"), percentile(990));
    assert_eq!(after("p99.9"), percentile(999));
    assert_eq!(after("30ms"), Some(After::Time(Duration::from_millis(30))));
    assert_eq!(Percentile::P95.share(), 0.95);
    assert_eq!((Percentile::new(499), Percentile::new(1000)), (None, None));
}

#[test]
fn a_delay_that_is_neither_is_told_what_to_write() {
    for text in ["p49", "p49.9", "p100", "p5", "p", "p95%", "p9.55", "p95.", "p95.55", "p+9.5", "p999"] {
        assert_eq!(
            bad(&route(&format!("hedge: {{ after: {text} }}"))),
            [format!("7:21 `after` must be from p50 to p99.9, found `{text}`")]
        );
    }
    assert_eq!(
        hint(&route("hedge: { after: p42 }")),
        "write it as `p95` or `p99.5`, or as a time such as `30ms`"
    );
    assert_eq!(hint(&route("hedge: { after: 30 }")), "add the unit, as in `30s` or `30ms`");
    assert_eq!(
        bad(&route("hedge: { after: 2m }")),
        ["7:21 `after` must be a duration from 1ms to 1m, found `2m`"]
    );
    assert_eq!(bad(&route("hedge: on")), ["7:12 `hedge` must be a map, found `on`"]);
    assert_eq!(hint(&route("hedge: { affter: p95 }")), "did you mean `after`?");
}

#[test]
fn the_share_is_bounded() {
    assert_eq!(hint(&route("hedge: { max_percent: 0 }")), "write `hedge: off` to hedge nothing");
    assert_eq!(
        bad(&route("hedge: { max_percent: 101 }")),
        ["7:27 `max_percent` must be a whole number from 1 to 100, found the number 101"]
    );
}

#[test]
fn a_route_that_takes_no_reads_cannot_hedge() {
    let with =
        |methods: &str, hedge: &str| route(&format!("match: {{ methods: [{methods}] }}\nhedge: {hedge}"));
    assert_eq!(
        bad(&with("POST, PUT", "{}")),
        ["8:12 `hedge` is for GET and HEAD, and this route takes neither"]
    );
    good(&with("POST, HEAD", "{}"));
    good(&with("POST", "off"));
}

#[test]
fn a_hedge_with_nobody_to_ask_is_pointed_at() {
    let warned = |endpoints: &str| {
        let text = route("hedge: {}").replace("[\"127.0.0.1:7001\"]", endpoints);
        listed(&good(&text).warnings)
    };
    let alone = ["6:5 route `route-1` never hedges: `shop` has one endpoint only"];
    assert_eq!(warned("[\"127.0.0.1:7001\"]"), alone);
    assert_eq!(warned("[\"127.0.0.1:7001\", { address: \"127.0.0.1:7002\", backup: true }]"), alone);
    assert_eq!(warned("[\"127.0.0.1:7001\", { address: \"127.0.0.1:7002\", weight: 0 }]"), alone);
    assert!(warned("[\"127.0.0.1:7001\", \"127.0.0.1:7002\"]").is_empty());
    assert!(warned("[\"shop.internal:80\"]").is_empty(), "a name may have several addresses");
}
