use std::time::Duration;

use super::{bad, good, hint, read, rendering::survives, upstream};
use crate::config::{OutlierDetection, to_json};

fn detection(lines: &str) -> Option<OutlierDetection> {
    good(&upstream(lines)).config.upstreams.remove(0).outlier_detection
}

fn of(keys: &str) -> String {
    upstream(&format!("outlier_detection: {{ {keys} }}"))
}

#[test]
fn endpoints_that_fail_are_taken_out_unless_told_otherwise() {
    let default = OutlierDetection::default();
    assert_eq!(detection(""), Some(default));
    assert_eq!(detection("outlier_detection: {}"), Some(default));
    assert_eq!(detection("outlier_detection: off"), None);
    assert_eq!((default.consecutive_failures, default.failure_percent), (Some(5), Some(50)));
    assert_eq!((default.min_requests, default.max_ejected_percent, default.latency_factor), (20, 50, None));
    let seconds = [default.interval, default.base_ejection, default.max_ejection].map(|time| time.as_secs());
    assert_eq!(seconds, [10, 10, 300]);
}

#[test]
fn every_part_of_an_outlier_detection_is_read() {
    let text = "outlier_detection: { consecutive_failures: off, failure_percent: 7, latency_factor: 5, \
                min_requests: 3, interval: 1m, base_ejection: 100ms, max_ejection: 2s, max_ejected_percent: 0 }";
    let wanted = OutlierDetection {
        consecutive_failures: None,
        failure_percent: Some(7),
        latency_factor: Some(5),
        min_requests: 3,
        interval: Duration::from_secs(60),
        base_ejection: Duration::from_millis(100),
        max_ejection: Duration::from_secs(2),
        max_ejected_percent: 0,
    };
    assert_eq!(detection(text), Some(wanted));
    let long = detection("outlier_detection: { base_ejection: 1h }").expect("on");
    assert_eq!(long.max_ejection, long.base_ejection, "never shorter");
}

#[test]
fn numbers_out_of_range_are_refused_all_at_once() {
    let keys = "consecutive_failures: 0, failure_percent: 101, latency_factor: 1, min_requests: 0, \
                interval: 1ms, base_ejection: 2h, max_ejected_percent: 101";
    let problems = read(&of(keys)).expect_err("seven problems");
    let wanted = [
        "`consecutive_failures` must be a whole number from 1 to 1000, found the number 0",
        "`failure_percent` must be a whole number from 1 to 100, found the number 101",
        "`latency_factor` must be a whole number from 2 to 100, found the number 1",
        "`min_requests` must be a whole number from 1 to 1000000, found the number 0",
        "`interval` must be a duration from 1s to 10m, found `1ms`",
        "`base_ejection` must be a duration from 100ms to 1h, found `2h`",
        "`max_ejected_percent` must be a whole number from 0 to 100, found the number 101",
    ];
    let found: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(found, wanted);
}

#[test]
fn what_contradicts_itself_is_refused_with_what_to_write_instead() {
    assert_eq!(
        bad(&of("base_ejection: 30s, max_ejection: 10s")),
        ["5:60 `max_ejection` is shorter than `base_ejection`, which is 30s"]
    );
    let nothing = of("consecutive_failures: off, failure_percent: off");
    assert_eq!(hint(&nothing), "write `outlier_detection: off`");
    assert_eq!(hint(&of("max_ejection_percent: 3")), "did you mean `max_ejected_percent`?");
}

#[test]
fn more_than_the_panic_threshold_leaves_is_warned_of() {
    let warnings = |lines: &str| good(&upstream(lines)).warnings.iter().count();
    let half = |ejected: u8| {
        format!("panic_threshold_percent: 50\noutlier_detection: {{ max_ejected_percent: {ejected} }}")
    };
    assert_eq!((warnings(&half(51)), warnings(&half(50))), (1, 0));
    assert_eq!(warnings("outlier_detection: { max_ejected_percent: 99 }"), 0);
    assert_eq!(warnings("panic_threshold_percent: 0\noutlier_detection: { max_ejected_percent: 100 }"), 0);
    assert_eq!(warnings("panic_threshold_percent: 80"), 0, "nobody wrote the default");
}

#[test]
fn what_is_printed_of_it_reads_back() {
    survives(&upstream("outlier_detection: off"));
    survives(&of("consecutive_failures: off, latency_factor: 9, interval: 90s, base_ejection: 1500ms"));
    let json = to_json(&good(&upstream("")).config);
    let shown = &json["upstreams"]["shop"]["outlier_detection"];
    assert_eq!((&shown["consecutive_failures"], &shown["latency_factor"]), (&5.into(), &"off".into()));
    assert_eq!((&shown["base_ejection"], &shown["max_ejection"]), (&"10s".into(), &"5m".into()));
}
