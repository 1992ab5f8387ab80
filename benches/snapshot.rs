//! What a reload of a large config costs: 10,000 routes, 100 upstreams of 4 endpoints.

use criterion::{Criterion, criterion_group, criterion_main};
use std::fmt::Write;
use std::hint::black_box;
use std::io;
use std::net::SocketAddr;

use tillgate::config::{Config, parse};
use tillgate::snapshot::{Snapshot, build};

const ROUTES: usize = 10_000;
const UPSTREAMS: usize = 100;

fn yaml() -> String {
    let mut yaml = String::from("listeners: { web: { address: \"127.0.0.1:8080\" } }\nupstreams:\n");
    for upstream in 0..UPSTREAMS {
        let endpoints: Vec<String> = (0..4).map(|n| format!("\"10.0.{upstream}.{n}:80\"")).collect();
        writeln!(yaml, "  u{upstream}: {{ endpoints: [{}] }}", endpoints.join(", ")).expect("into memory");
    }
    yaml.push_str("routes:\n");
    for route in 0..ROUTES {
        let (upstream, shop) = (route % UPSTREAMS, route % 50);
        writeln!(
            yaml,
            "  - {{ match: {{ host: shop{shop}.example, path_prefix: /p/{route} }}, upstream: u{upstream} }}"
        )
        .expect("into memory");
    }
    yaml
}

fn config(yaml: &str) -> Config {
    parse("bench.yaml", yaml, &|_| None).expect("a good config").config
}

fn snapshot(config: Config, previous: Option<&Snapshot>) -> Snapshot {
    let no_names = |_: &str, _: u16| -> io::Result<Vec<SocketAddr>> { Ok(Vec::new()) };
    build(config, previous, None, &no_names).expect("addresses only")
}

fn benches(criterion: &mut Criterion) {
    let yaml = yaml();
    let parsed = config(&yaml);
    let first = snapshot(parsed.clone(), None);
    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(10);
    group.bench_function("parse/10000", |bench| bench.iter(|| config(black_box(&yaml))));
    group.bench_function("build/10000", |bench| bench.iter(|| snapshot(parsed.clone(), None)));
    group.bench_function("rebuild/10000", |bench| bench.iter(|| snapshot(parsed.clone(), Some(&first))));
    group.bench_function("reload/10000", |bench| {
        bench.iter(|| snapshot(config(black_box(&yaml)), Some(&first)))
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
