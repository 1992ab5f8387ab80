//! What it costs to check a head and to rewrite the headers of a typical browser request and its response.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::header::{HOST, HeaderMap, HeaderValue};
use http::request::Parts;
use tillgate::policy::forward::{ForwardContext, prepare_request, prepare_response};
use tillgate::policy::head::check_request;

const REQUEST: [(&str, &str); 12] = [
    ("host", "shop.example"),
    ("connection", "keep-alive"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("cookie", "session=4f1c9a7e2b; cart=77; theme=dark"),
    ("upgrade-insecure-requests", "1"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("priority", "u=0, i"),
];

const RESPONSE: [(&str, &str); 8] = [
    ("date", "Fri, 21 Nov 2025 12:00:00 GMT"),
    ("content-type", "application/json"),
    ("content-length", "512"),
    ("connection", "keep-alive"),
    ("keep-alive", "timeout=5"),
    ("cache-control", "no-store"),
    ("etag", "\"33a64df5\""),
    ("vary", "accept-encoding"),
];

fn parts() -> Parts {
    let request = http::Request::builder().uri("/api/v1/orders/42?expand=items");
    let request = REQUEST.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).expect("a request").into_parts().0
}

fn check(criterion: &mut Criterion) {
    let parts = parts();
    criterion
        .bench_function("headers/check", |bencher| bencher.iter(|| check_request(black_box(&parts)).is_ok()));
}

fn request(criterion: &mut Criterion) {
    let headers = parts().headers;
    let host = headers.get(HOST).cloned();
    let request_id = HeaderValue::from_static("01993f0e6c2b7a2f8d6b8a1d5c3e4f70");
    let client = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 195));
    let ctx = ForwardContext {
        client,
        peer_trusted: false,
        client_certificate: None,
        scheme: "https",
        host: host.as_ref(),
        request_id: &request_id,
    };
    bench(criterion, "headers/request", &headers, |headers| prepare_request(headers, &ctx));
}

fn response(criterion: &mut Criterion) {
    let mut headers = HeaderMap::new();
    for (name, value) in RESPONSE {
        headers.insert(name, HeaderValue::from_static(value));
    }
    bench(criterion, "headers/response", &headers, prepare_response);
}

/// Each run rewrites a fresh copy, which is neither made nor dropped on the clock. Few copies at a time, so that the
/// allocator is as warm as in a worker.
fn bench(criterion: &mut Criterion, name: &str, headers: &HeaderMap, rewrite: impl Fn(&mut HeaderMap)) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched_ref(
            || headers.clone(),
            |headers| rewrite(headers),
            BatchSize::NumIterations(16),
        );
    });
}

criterion_group!(benches, check, request, response);
criterion_main!(benches);
