//! What it costs to normalise a path and to find a route among many, and to build the table on a reload.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use regex::Regex;
use tillgate::config::{HostPattern, PathPattern, RouteMatch, Scheme};
use tillgate::policy::path::normalise;
use tillgate::policy::route::{Head, RouteTable};

/// Of every ten routes: two exact, five prefixes, one with a method, one with a header, and a regex on each 50th; over
/// ten hosts, a wildcard and no host.
fn routes(count: usize) -> Vec<RouteMatch> {
    let regex = Regex::new(r"^/export/\d+/[a-z]+\.csv$").expect("a good pattern");
    (0..count).map(|index| route(index, &regex)).collect()
}

fn route(index: usize, regex: &Regex) -> RouteMatch {
    let path = match index % 50 {
        49 => PathPattern::Regex(regex.clone()),
        part if part % 10 < 2 => PathPattern::Exact(format!("/api/v1/service-{index}/status")),
        _ => PathPattern::Prefix(format!("/api/v1/service-{index}")),
    };
    let host = match index / 10 % 12 {
        10 => Some(HostPattern::Wildcard("shop.example".to_owned())),
        11 => None,
        host => Some(HostPattern::Exact(format!("host-{host}.example"))),
    };
    let methods = if index % 10 == 7 { vec![Method::POST] } else { Vec::new() };
    let header = (HeaderName::from_static("x-channel"), HeaderValue::from_static("web"));
    let headers = if index % 10 == 8 { vec![header] } else { Vec::new() };
    RouteMatch { host, path, methods, headers, ..RouteMatch::default() }
}

const HEADS: [(&str, &str, &str); 5] = [
    ("exact", "host-2.example", "/api/v1/service-21/status"),
    ("prefix", "host-2.example", "/api/v1/service-24/orders/42/items"),
    ("wildcard", "a.b.shop.example", "/api/v1/service-103/orders/42"),
    ("regex", "host-4.example", "/export/42/orders.csv"),
    ("none", "elsewhere.example", "/api/v1/service-21/status"),
];

fn find(criterion: &mut Criterion) {
    let routes = routes(1000);
    let table = RouteTable::new(routes.iter());
    let (method, headers) = (Method::GET, HeaderMap::new());
    for (name, host, path) in HEADS {
        let head = Head { scheme: Scheme::Http, host, path, query: None, method: &method, headers: &headers };
        assert_eq!(table.find(&head).is_some(), name != "none", "{name}");
        criterion.bench_function(&format!("route/find/1000/{name}"), |bencher| {
            bencher.iter(|| table.find(black_box(&head)));
        });
    }
}

fn build(criterion: &mut Criterion) {
    let routes = routes(10_000);
    criterion.bench_function("route/build/10000", |bencher| {
        bencher.iter(|| RouteTable::new(black_box(&routes).iter()));
    });
}

fn path(criterion: &mut Criterion) {
    for (name, path) in
        [("plain", "/api/v1/service-24/orders/42/items"), ("escaped", "/api/v1/../caf%C3%A9/a%20b//42")]
    {
        criterion.bench_function(&format!("route/path/{name}"), |bencher| {
            bencher.iter(|| normalise(black_box(path)).is_ok());
        });
    }
}

criterion_group!(benches, find, build, path);
criterion_main!(benches);
